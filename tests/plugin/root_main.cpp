// The root tests play no other roles than their own.
#include <string>

namespace fairlead::netns {

int playRole(const std::string&, const std::string&) { return 1; }

}  // namespace fairlead::netns
