#include "plugin/attach.h"

#include <array>
#include <cstdio>

#include "netns/link.h"
#include "plugin/error.h"
#include "plugin/skel.h"

namespace fairlead::plugin {
namespace {

using netns::Error;
using netns::NetNS;
using netns::NetNSError;

std::string hex(uint32_t value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%x", value);
  return text.data();
}

// The reference's words for a namespace that cannot be opened.
std::string reason(const NetNSError& error, const std::string& path) {
  if (error.kind() == NetNSError::Kind::NotNamespace)
    return "unknown FS magic on " + quoted(path) + ": " + hex(error.fsMagic());
  return "failed to Statfs " + quoted(path) + ": " + netns::errnoText(error.code());
}

// open() looks once more at what it has opened: the path may have become another namespace's since dispatch()
// did. CHECK changes nothing and may look anywhere.
NetNS open(const Call& call) {
  NetNS ns = NetNS::open(call.env.netns);
  if (call.env.command != "CHECK") refuseOwnNetNS(call.env, ns.identity());
  return ns;
}

bool hasLink(const NetNS& ns, const std::string& name) {
  netns::Socket socket = netns::Socket::open(ns);
  return netns::link::find(socket, {.name = name}).has_value();
}

CniError exists(const Record& old) {
  return CniError::internal(
      "container veth name (" + quoted(old.attachment.ifname) + ") peer provided (" +
          quoted(old.hostInterface) + ") already exists",
      "network " + old.attachment.network + ", added by " + old.caller + " in " + old.netns);
}

// stale() decides about an attachment's earlier record: true when what it left may be undone; throws when it
// is in use.
bool stale(const Record& old, const NetNS& ns) {
  if (old.state == Record::State::Adding) {
    throw CniError(Code::TryAgainLater,
                   "another ADD of " + quoted(old.attachment.ifname) + " for container " +
                       quoted(old.attachment.containerId) + " is at work",
                   "called by " + old.caller);
  }
  if (old.state == Record::State::Interrupted || !old.alive()) return true;
  if (old.netnsIdentity != ns.identity()) throw exists(old);
  if (hasLink(ns, old.attachment.ifname)) throw exists(old);
  return true;
}

void warn(const std::string& text) { std::fprintf(stderr, "fairlead: %s\n", text.c_str()); }

}  // namespace

NetNS openContainer(const Call& call) {
  const std::string& path = call.env.netns;
  try {
    return open(call);
  } catch (const NetNSError& error) {
    throw CniError::internal("failed to open netns " + quoted(path) + ": " + reason(error, path));
  }
}

std::optional<NetNS> openContainerIfAny(const Call& call) {
  if (call.env.netns.empty()) return std::nullopt;
  try {
    return open(call);
  } catch (const NetNSError& error) {
    if (error.kind() == NetNSError::Kind::Other) throw;
    return std::nullopt;
  }
}

std::optional<RecordStore::Pending> claim(const RecordStore& store, const Record& record, const NetNS& ns,
                                          const std::function<void(const Call&)>& undo) {
  constexpr int kAttempts = 3;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    try {
      if (auto pending = store.begin(record)) return pending;
    } catch (const Error& error) {
      warn(std::string("no record of this attachment: ") + error.what());
      return std::nullopt;
    }
    const std::optional<Record> old = store.find(record.attachment);
    if (old && stale(*old, ns)) undo(old->call());
    store.remove(record.attachment);
  }
  throw CniError(Code::TryAgainLater, "others keep adding " + quoted(record.attachment.ifname) +
                                          " to container " + quoted(record.attachment.containerId));
}

Lease::Lease(const Call& call, const std::string& ipamType) : call_(call) {
  if (!ipamType.empty()) ipam_ = Delegate::find(ipamType, call.env.path);
}

Lease::~Lease() {
  if (!taken_) return;
  try {
    ipam_->del(call_);
  } catch (const std::exception& error) {
    warn(std::string("addresses could not be given back: ") + error.what());
  }
}

Result Lease::take() {
  if (!ipam_) return {};
  Result result = ipam_->add(call_);
  taken_ = true;
  if (result.ips.empty()) throw CniError::internal("IPAM plugin returned missing IP config");
  return result;
}

void throwIfAny(const std::vector<std::string>& errors) {
  if (errors.empty()) return;
  std::string text;
  for (const std::string& error : errors) text += (text.empty() ? "" : "; ") + error;
  throw CniError::internal(text);
}

void throwIfDrifted(const std::vector<Drift>& drift) {
  if (drift.empty()) return;
  std::string details;
  for (const Drift& one : drift) {
    details += (details.empty() ? "" : "\n") + ("wanted: " + one.wanted + "; found: " + one.found) +
               "; mend: " + one.mend;
  }
  throw CniError::internal(drift.front().text, details);
}

}  // namespace fairlead::plugin
