// host-local: addresses out of configured ranges, remembered in files on this host.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "netns/error.h"
#include "plugin/error.h"
#include "plugin/host_local_conf.h"
#include "plugin/ip_allocator.h"
#include "plugin/ip_store.h"
#include "plugin/plugin.h"
#include "plugin/registry.h"
#include "plugin/resolv_conf.h"

namespace fairlead::plugin {
namespace {

using netns::IP;

IPOwner ownerOf(const Call& call) { return {call.env.containerId, call.env.ifname}; }

// requireUsable() fails unless the data directory, or where there is none yet the place to make it, can be
// written to.
void requireUsable(const std::string& directory) {
  std::string path = directory;
  while (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    const int error = errno;
    if (error != ENOENT || path == "/" || path == ".") {
      throw CniError(Code::NotAvailable,
                     "data directory " + directory + " cannot be used: " + netns::errnoText(error));
    }
    const size_t slash = path.find_last_of('/');
    path = slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  }
}

std::optional<IPStore> glance(const std::string& directory) {
  try {
    return IPStore::glance(directory);
  } catch (const netns::Error& error) {
    throw CniError(Code::NotAvailable, error.what());
  }
}

class HostLocal final : public Plugin {
 public:
  std::string_view type() const override { return "host-local"; }

  Result add(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    Result result;
    if (!conf.resolvConf.empty()) result.dns = readResolvConf(conf.resolvConf);
    IPStore store = IPStore::open(conf.directory);
    result.ips = IPAllocator(conf, ownerOf(call), &store, IPAllocator::Mode::Take).run();
    store.commit();
    result.routes = conf.routes;
    return result;
  }

  // What the container has is told by the files, not by the configuration: its ranges may have changed since.
  void del(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    auto store = IPStore::openExisting(conf.directory);
    if (!store) return;
    const IPStore::Owned owned = store->find(ownerOf(call));
    for (const IP& ip : owned.exact.empty() ? owned.legacy : owned.exact) store->release(ip);
    store->commit();
  }

  void check(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    const auto store = IPStore::openExisting(conf.directory);
    const IPStore::Owned owned = store ? store->find(ownerOf(call)) : IPStore::Owned{};
    if (!owned.exact.empty() || !owned.legacy.empty()) return;
    throw CniError::internal("host-local: Failed to find address added by container " + call.env.containerId);
  }

  void gc(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    const std::vector<Attachment> valid = call.validAttachments();
    auto store = IPStore::openExisting(conf.directory);
    if (!store) return;
    const auto isValid = [&](const IPOwner& owner) {
      return std::ranges::any_of(valid, [&](const Attachment& attachment) {
        return attachment.containerId == owner.containerId &&
               (owner.ifname.empty() || attachment.ifname == owner.ifname);
      });
    };
    try {
      store->releaseUnless(isValid);
    } catch (const netns::Error&) {
      store->commit();
      throw;
    }
    store->commit();
  }

  void status(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    requireUsable(conf.directory);
    auto store = glance(conf.directory);
    IPAllocator allocator(conf, ownerOf(call), store ? &*store : nullptr, IPAllocator::Mode::Look);
    for (size_t set = 0; set < conf.sets.size(); ++set) {
      if (allocator.hasFree(set)) continue;
      throw CniError(Code::NotAvailable, "no IP addresses available in range set: " + conf.sets[set].str(),
                     "all are reserved in " + conf.directory);
    }
  }

  Explanation explain(const Call& call) const override {
    const HostLocalConf conf = HostLocalConf::read(call);
    Explanation explanation;
    if (!conf.resolvConf.empty()) explanation.result.dns = readResolvConf(conf.resolvConf);
    auto store = IPStore::glance(conf.directory);
    explanation.result.ips =
        IPAllocator(conf, ownerOf(call), store ? &*store : nullptr, IPAllocator::Mode::Look).run();
    explanation.result.routes = conf.routes;
    for (const IPConfig& ip : explanation.result.ips) {
      explanation.lines.push_back("# reserve " + ip.address.ip.str() + " for (" + call.env.containerId +
                                  ", " + call.env.ifname + ") in " + conf.directory + " (host-local)");
    }
    return explanation;
  }
};

}  // namespace

const Plugin& hostLocalPlugin() {
  static const HostLocal plugin;
  return plugin;
}

}  // namespace fairlead::plugin
