// What may be allocated: ranges of addresses, sets of ranges, and the order in which a set is walked.
//
// A range is a part of one subnet. A set is a list of ranges of one family that are used up one after the
// other; an ADD takes one address from each set. Rules and texts: the reference host-local plugin. Values
// only, no files.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "netns/ip.h"
#include "plugin/json.h"

namespace fairlead::plugin {

// RangeSpec is a range as configured: {"subnet", "rangeStart", "rangeEnd", "gateway"}.
struct RangeSpec {
  std::optional<netns::Prefix> subnet;
  bool mapped = false;  // the subnet was written as an IPv4-mapped IPv6 one (::ffff:10.0.0.0/120)
  std::optional<netns::IP> start;
  std::optional<netns::IP> end;
  std::optional<netns::IP> gateway;

  // read() throws JsonError.
  static RangeSpec read(const Fields& fields);
};

// IPRange is a validated range, with all defaults filled in; both ends belong to it.
struct IPRange {
  netns::Prefix subnet;
  netns::IP start;
  netns::IP end;
  netns::IP gateway;

  // make() throws CniError 999 with the reference's text when the range makes no sense.
  static IPRange make(const RangeSpec& spec);
  bool contains(const netns::IP& ip) const;
  bool overlaps(const IPRange& other) const;
  std::string str() const;  // "10.1.2.1-10.1.2.254"
};

// RangeSet is a list of at least one range; all are of one family, and none overlaps another.
class RangeSet {
 public:
  // Throws CniError 999 with the reference's text.
  explicit RangeSet(const std::vector<RangeSpec>& specs);

  bool isV4() const { return ranges_.front().start.isV4(); }
  // find() returns the range that holds `ip`, or null.
  const IPRange* find(const netns::IP& ip) const;
  bool overlaps(const RangeSet& other) const;
  std::string str() const;  // "10.1.2.1-10.1.2.254,10.1.4.1-10.1.4.254"
  const std::vector<IPRange>& ranges() const { return ranges_; }

 private:
  std::vector<IPRange> ranges_;
};

// RangeWalk goes once around a set: from the address after `last` (from the very first one when `last` is
// none of the set's) upwards, from range to range, around, until it is back. A range's own gateway is passed
// over.
class RangeWalk {
 public:
  // `set` must outlive this.
  RangeWalk(const RangeSet& set, const std::optional<netns::IP>& last);

  struct Candidate {
    netns::IP ip;
    const IPRange* range;
  };
  // next() is the next address that may be given to a container; nullopt at the end of the circle.
  std::optional<Candidate> next();

 private:
  void step();

  const std::vector<IPRange>& ranges_;
  size_t index_ = 0;
  netns::IP current_;
  std::optional<netns::IP> first_;  // where the circle began, once that is known
};

}  // namespace fairlead::plugin
