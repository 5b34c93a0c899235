// What a directory of address reservations holds, remembered, so that an ADD or a DEL need not read every
// file in it.
//
// The directory is shared with the reference host-local and with operators' scripts, who know nothing of this
// index. It counts only while nobody but us has changed the directory: whoever saves it sets the directory's
// modification time to a moment in the past and notes that time in the index. Every later change makes the
// kernel set a present time, so equal times mean an unchanged directory; anything else, and the directory is
// read again. (Comparing times that the kernel sets would not do: two changes within one tick of its clock,
// up to 10 ms, look the same.) Losing the index costs that one reading.
//
// What it does not notice: a file's content that is edited in place, so who finds an entry has to look at the
// file; and what somebody who does not take the lock does in the very moment of saving, so who finds no free
// address has to read the directory before giving up.
//
// The file is RUNDIR/.ipam-DEV-INO, named after the directory's identity. Small directories have none:
// reading a few files is cheaper. All functions must be called while the directory's lock is held.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "netns/ip.h"

namespace fairlead::plugin {

class IPIndex {
 public:
  // Entry is one file that is named like an address. 32 bytes, the same in memory and in the file.
  class Entry {
   public:
    Entry() = default;
    Entry(uint64_t key, const netns::IP& ip);
    // The hash of the file's content; 0 of what is no readable regular file. Different contents may share
    // one.
    uint64_t key() const { return key_; }
    netns::IP ip() const;
    bool sameAddress(const Entry& other) const;

   private:
    uint64_t key_ = 0;
    uint8_t v6_ = 0;
    uint8_t bytes_[16] = {};
    uint8_t unused_[7] = {};
  };
  static_assert(sizeof(Entry) == 32);

  // keyOf() never returns 0.
  static uint64_t keyOf(std::string_view content);

  // load() returns the entries of the open `directory`, or nullopt when it must be read.
  static std::optional<std::vector<Entry>> load(int directory);
  // save() remembers `entries`, of which those before `firstChanged` are in the file already. Best effort:
  // when it cannot be done, the directory will be read.
  static void save(int directory, const std::vector<Entry>& entries, size_t firstChanged);

  // Directories with fewer entries are not indexed.
  static constexpr size_t kWorthwhile = 8;
};

}  // namespace fairlead::plugin
