// The one binary: the plugin it is called as, the one that the configuration's "type" names (its own name is
// that of a chain), or the command line.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "plugin/cli.h"
#include "plugin/error.h"
#include "plugin/registry.h"
#include "plugin/skel.h"
#include "runtime/runtime.h"

namespace fairlead {
namespace {

using namespace plugin;

// The main goroutine belongs to the startup thread for good: it is the one that enters namespaces, and no
// other goroutine may find itself there. Go's plugins do this in an init function.
[[maybe_unused]] const bool kLocked = (runtime::lockOSThread(), true);

// ByType is the plugin that the configuration names.
class ByType : public Plugin {
 public:
  std::string_view type() const override { return "fairlead"; }
  Result add(const Call& call) const override { return dispatch(chosen(call), call).value(); }
  void delivered(const Call& call) const override { chosen(call).delivered(call); }
  void del(const Call& call) const override { dispatch(chosen(call), call); }
  void check(const Call& call) const override { dispatch(chosen(call), call); }
  void gc(const Call& call) const override { dispatch(chosen(call), call); }
  void status(const Call& call) const override { dispatch(chosen(call), call); }
  Explanation explain(const Call& call) const override { return chosen(call).explain(call); }

 private:
  static const Plugin& chosen(const Call& call) {
    if (const Plugin* plugin = findPlugin(call.type); plugin != nullptr) return *plugin;
    throw CniError(Code::InvalidConfig, "no plugin of type " + quoted(call.type) + " is built in");
  }
};

// openStandardStreams() fills what the caller left closed of 0, 1 and 2, or a netlink socket would get such a
// number and be written to as if it were the runtime. What fills it still fails: it is open for the other
// direction.
void openStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

std::string_view baseName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

int goMain(int argc, char** argv) {
  openStandardStreams();
  if (argc > 0) {
    const Plugin* plugin = findPlugin(baseName(argv[0]));
    if (plugin != nullptr && plugin != &chainPlugin()) return serve(*plugin);
  }
  const char* command = std::getenv("CNI_COMMAND");
  if (argc <= 1 && command != nullptr && *command != '\0') return serve(ByType());
  return cli(argc, argv);
}

}  // namespace fairlead
