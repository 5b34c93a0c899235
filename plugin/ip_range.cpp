#include "plugin/ip_range.h"

#include <algorithm>

#include "plugin/error.h"

namespace fairlead::plugin {
namespace {

using netns::IP;

// lastUsable() is the subnet's last address, or for IPv4 the one before: the last is for broadcasts.
IP lastUsable(const netns::Prefix& subnet) {
  const IP last = subnet.ip.last(subnet.length);
  return subnet.ip.isV4() ? last.prev() : last;
}

void validateSubnet(const RangeSpec& spec) {
  if (!spec.subnet) throw CniError::internal("IP <nil> not v4 nor v6");
  const auto& [ip, length] = *spec.subnet;
  if (length > ip.bits() - 2) {
    throw CniError::internal("Network " + spec.subnet->str() + " too small to allocate from");
  }
  if (spec.mapped) throw CniError::internal("IPNet IP and Mask version mismatch");
  if (const IP network = ip.masked(length); network != ip) {
    throw CniError::internal("Network has host bits set. For a subnet mask of length " +
                             std::to_string(length) + " the network address is " + network.str());
  }
}

}  // namespace

// ---- one range ---------------------------------------------------------------------------------

RangeSpec RangeSpec::read(const Fields& fields) {
  RangeSpec spec;
  spec.start = fields.ip("rangeStart");
  spec.end = fields.ip("rangeEnd");
  spec.subnet = fields.prefix("subnet");
  spec.mapped =
      spec.subnet && spec.subnet->ip.isV4() && fields.string("subnet").find(':') != std::string::npos;
  spec.gateway = fields.ip("gateway");
  return spec;
}

IPRange IPRange::make(const RangeSpec& spec) {
  validateSubnet(spec);
  const netns::Prefix subnet = *spec.subnet;
  // The start is held against a configured end only, the end against the start in any case: the order decides
  // which of the two texts a configuration with start > end gets.
  const auto check = [&](const char* name, const IP& ip, bool inOrder) {
    if (subnet.contains(ip) && inOrder) return;
    throw CniError::internal(std::string(name) + " " + ip.str() + " not in network " + subnet.str());
  };
  IPRange range{.subnet = subnet,
                .start = spec.start.value_or(subnet.ip.next()),
                .end = spec.end.value_or(lastUsable(subnet)),
                .gateway = spec.gateway.value_or(subnet.ip.next())};
  if (spec.start) check("RangeStart", range.start, !spec.end || range.start <= *spec.end);
  if (spec.end) check("RangeEnd", range.end, range.start <= range.end);
  return range;
}

bool IPRange::contains(const IP& ip) const { return subnet.contains(ip) && start <= ip && ip <= end; }

bool IPRange::overlaps(const IPRange& other) const {
  return contains(other.start) || contains(other.end) || other.contains(start) || other.contains(end);
}

std::string IPRange::str() const { return start.str() + "-" + end.str(); }

// ---- a set -------------------------------------------------------------------------------------

RangeSet::RangeSet(const std::vector<RangeSpec>& specs) {
  if (specs.empty()) throw CniError::internal("empty range set");
  for (const RangeSpec& spec : specs) {
    ranges_.push_back(IPRange::make(spec));
    if (ranges_.back().start.isV4() != isV4()) throw CniError::internal("mixed address families");
  }
  for (auto one = ranges_.begin(); one != ranges_.end(); ++one) {
    const auto other =
        std::find_if(one + 1, ranges_.end(), [&](const IPRange& range) { return one->overlaps(range); });
    if (other != ranges_.end()) {
      throw CniError::internal("subnets " + one->str() + " and " + other->str() + " overlap");
    }
  }
}

const IPRange* RangeSet::find(const IP& ip) const {
  const auto found = std::ranges::find_if(ranges_, [&](const IPRange& range) { return range.contains(ip); });
  return found == ranges_.end() ? nullptr : &*found;
}

bool RangeSet::overlaps(const RangeSet& other) const {
  return std::ranges::any_of(ranges_, [&](const IPRange& mine) {
    return std::ranges::any_of(other.ranges_, [&](const IPRange& theirs) { return mine.overlaps(theirs); });
  });
}

std::string RangeSet::str() const {
  std::string text;
  for (const IPRange& range : ranges_) text += (text.empty() ? "" : ",") + range.str();
  return text;
}

// ---- the walk ----------------------------------------------------------------------------------

RangeWalk::RangeWalk(const RangeSet& set, const std::optional<IP>& last) : ranges_(set.ranges()) {
  if (const IPRange* range = last ? set.find(*last) : nullptr) {
    index_ = static_cast<size_t>(range - ranges_.data());
    current_ = *last;
  } else {
    // One step takes this to the first range's start.
    index_ = ranges_.size() - 1;
    current_ = ranges_.back().end;
  }
}

void RangeWalk::step() {
  if (current_ == ranges_[index_].end) {
    index_ = (index_ + 1) % ranges_.size();
    current_ = ranges_[index_].start;
  } else {
    current_ = current_.next();
  }
}

std::optional<RangeWalk::Candidate> RangeWalk::next() {
  for (;;) {
    step();
    if (current_ == first_) return std::nullopt;
    // A gateway counts as the circle's beginning as well: a set of nothing but gateways has an end.
    if (!first_) first_ = current_;
    if (current_ != ranges_[index_].gateway) return Candidate{current_, &ranges_[index_]};
  }
}

}  // namespace fairlead::plugin
