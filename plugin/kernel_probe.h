// What the plugins need of the kernel, and whether it is there.
#pragma once

#include <string>
#include <vector>

namespace fairlead::plugin {

// MissingFeature is something that an ADD would fail for.
struct MissingFeature {
  std::string name;    // "veth"
  std::string reason;  // the command that failed, with the kernel's words
  std::string mend;    // the command that makes it available, if the kernel was built with it
};

// missingFeatures() tries everything in a throw-away network namespace, which is gone with all that is in it
// when this returns. As with an ADD, the kernel may load modules for it. Main goroutine, root.
std::vector<MissingFeature> missingFeatures();

}  // namespace fairlead::plugin
