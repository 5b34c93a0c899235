// The reservations of one network's addresses in DATADIR/NETWORK, in the layout of the reference host-local
// plugin, which may use the same directory at the same time.
//
//   lock                flock(2)ed by whoever works in the directory; always empty, never removed
//   10.1.2.3            a reservation: "<container id>\r\n<ifname>", in very old ones just the id
//   last_reserved_ip.0  the address that range set 0 gave out last
//
// The name of a file is what reserves the address; its content says for whom. Anything else in the directory
// is left alone, and nothing outside of it is touched: links are not followed, and only regular files are
// read, up to a bound.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/fd.h"
#include "netns/ip.h"
#include "plugin/file_lock.h"
#include "plugin/ip_index.h"

namespace fairlead::plugin {

// IPOwner is for whom an address is reserved. An empty ifname: the file is of the old kind, which does not
// say.
struct IPOwner {
  std::string containerId;
  std::string ifname;

  // parse() reads a reservation's content; nullopt when it is none.
  static std::optional<IPOwner> parse(std::string_view content);
  std::string content() const;
  friend bool operator==(const IPOwner&, const IPOwner&) = default;
};

// IPStore is one visit to the directory, under its lock from beginning to end (glance() apart). What
// reserve() has done is undone by the destructor unless commit() comes first. Belongs to one goroutine.
// Failures are netns::Error, in the reference's words: "open /var/lib/cni/networks/net/lock: read-only file
// system".
class IPStore {
 public:
  // open() makes the directory when there is none. CniError 11 when the lock cannot be had in time.
  static IPStore open(const std::string& directory);
  // openExisting() is nullopt when there is no such directory.
  static std::optional<IPStore> openExisting(const std::string& directory);
  // glance() takes no lock and changes nothing: for the methods that are const. nullopt when there is no
  // directory.
  static std::optional<IPStore> glance(const std::string& directory);

  IPStore(IPStore&&) = default;
  IPStore& operator=(IPStore&&) = delete;
  ~IPStore();

  // Owned lists an attachment's addresses: by files that name it, and by old ones that name its container
  // only. The latter count when there are none of the former.
  struct Owned {
    std::vector<netns::IP> exact;
    std::vector<netns::IP> legacy;
  };
  Owned find(const IPOwner& owner) const;
  // holds() tells whether a file has the address's name, going by what was found when the visit began.
  bool holds(const netns::IP& ip) const;
  // An address is abandoned when its file is empty or holds zeroes only: both we and the reference write a
  // file under the lock, so a crash or a power loss has left it, and nobody's DEL will ever match it.
  bool isAbandoned(const netns::IP& ip) const;
  std::vector<netns::IP> abandoned() const;
  // Reservation is an address's file. Nobody can tell for whom one without an owner is.
  struct Reservation {
    netns::IP ip;
    std::optional<IPOwner> owner;
  };
  // reservations() are all that were found when the visit began. Throws when one could not be read this time.
  std::vector<Reservation> reservations() const;
  // obstacles() are the names of what cannot be the lock or a range set's memory and has their name: no ADD
  // gets past it. Of glance().
  const std::vector<std::string>& obstacles() const { return obstacles_; }
  // lastReserved() is the address that a range set gave out last; nullopt when unknown.
  std::optional<netns::IP> lastReserved(size_t set) const;

  // reserve() takes an address and remembers it as the range set's last. False when it is taken.
  bool reserve(const netns::IP& ip, const IPOwner& owner, size_t set);
  // release() removes an address's file. One that is gone is no error.
  void release(const netns::IP& ip);
  // releaseUnless() releases all addresses whose owner `keep` does not want kept. Returns how many. Throws
  // when an owner could not be read, after it has released the others.
  size_t releaseUnless(const std::function<bool(const IPOwner&)>& keep);
  // refresh() reads the directory anew; false when that was done in this visit before.
  bool refresh();
  // commit() makes the visit's changes stay.
  void commit();

  const std::string& directory() const { return path_; }

 private:
  IPStore(std::string path, netns::Fd directory, std::optional<FileLock> lock);
  static std::optional<IPStore> openLocked(const std::string& path);
  std::string pathOf(std::string_view name) const { return path_ + "/" + std::string(name); }
  void scan();
  // read() returns nothing for what is not there, or is no file of a plausible size.
  std::optional<std::string> read(const std::string& name) const;
  // readIfReadable() nor for what cannot be read for good.
  std::optional<std::string> readIfReadable(const std::string& name) const;
  bool place(const std::string& name, std::string_view content);
  bool placeVisibly(const std::string& name, std::string_view content);
  void remember(size_t set, const std::string& ip);

  std::string path_;
  netns::Fd directory_;
  std::optional<FileLock> lock_;
  std::vector<IPIndex::Entry> entries_;
  std::vector<std::string> obstacles_;
  bool scanned_ = false;
  bool unsaved_ = false;                   // the index does not say what entries_ says
  size_t firstChanged_ = 0;                // entries_ from here on differ
  mutable std::vector<netns::IP> sorted_;  // of entries_, made by the first holds()
  netns::Fd draft_;                        // a reservation without a name as yet
  std::vector<netns::IP> reserved_;        // in this visit
};

}  // namespace fairlead::plugin
