// The record of an attachment: what was planned, for whom, when. Written before the first side effect,
// removed by DEL. It makes GC, `ls` and recovery after a kill comfortable; losing it loses no correctness,
// because names are derived.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netns/fd.h"
#include "netns/netns.h"
#include "plugin/call.h"
#include "plugin/json.h"

namespace fairlead::plugin {

struct Record {
  enum class State {
    Complete,     // the ADD succeeded
    Adding,       // an ADD is at work: its process holds a lock on the file
    Interrupted,  // an ADD was killed: nobody holds the lock
  };

  Attachment attachment;
  std::string type;   // the plugin that made it
  std::string netns;  // CNI_NETNS
  netns::NetNS::Identity netnsIdentity;
  std::string bootId;
  int64_t createdAt = 0;      // seconds since the epoch
  std::string caller;         // the calling process: "containerd (1234)"
  std::string args;           // CNI_ARGS
  std::string path;           // CNI_PATH
  std::string hostInterface;  // the host end, if there is one
  std::string bridge;
  Json conf;                         // the configuration, so that GC can undo without the runtime's help
  State state = State::Interrupted;  // told by the file, not in it

  // ofCall() is the record of an ADD that is about to start. `ns` is the container's namespace.
  static Record ofCall(const Call& call, const netns::NetNS& ns);
  Json toJson() const;
  // fromJson() throws JsonError: a record is input like any other.
  static Record fromJson(const Json& value);

  // call() is the call that a runtime would make to undo this attachment: CNI_COMMAND=DEL with the recorded
  // input. Its netns is empty unless the namespace is alive().
  Call call() const;
  // alive() tells whether the namespace still is the one that the attachment was made in.
  bool alive() const;
};

// RecordStore keeps records as files DIR/NETWORK/HASH.json in a tmpfs directory, mode 0700. While an ADD is
// at work the file is called HASH.adding, so that a crash can be told from an attachment. Whatever else has
// such a name is no record, and gives way to one; links are not followed.
class RecordStore {
 public:
  // The directory is FAIRLEAD_RUN_DIR, or /run/fairlead.
  RecordStore();
  explicit RecordStore(std::string directory);

  // Pending is a record whose ADD is at work. Destroyed without keep(), it removes the record: the ADD
  // failed and has undone itself.
  class Pending {
   public:
    Pending(Pending&& other) noexcept = default;
    Pending& operator=(Pending&&) = delete;
    ~Pending();
    // keep() leaves the record, and its lock held by this process, for complete().
    void keep();

   private:
    friend class RecordStore;
    Pending(netns::Fd directory, netns::Fd file, std::string stem);
    netns::Fd directory_;
    netns::Fd file_;
    std::string stem_;
  };

  // begin() writes the record of an ADD that starts. nullopt when the attachment has one already, in whatever
  // state, or something else has its name that remove() takes away. Throws netns::Error.
  std::optional<Pending> begin(const Record& record) const;
  // complete() turns the kept record of an ADD into that of an attachment. Throws netns::Error.
  void complete(const Attachment& attachment) const;
  // find() and remove() are O(1). find() takes a file that claims to be another attachment's for none.
  // remove() returns false when there was none, or a directory that is not empty in its place. They and
  // list() throw netns::Error when they could not look: what is not readable now may be a record.
  std::optional<Record> find(const Attachment& attachment) const;
  bool remove(const Attachment& attachment) const;
  // list() reads all records of a network, or of all networks when it is empty. Files that are no records, or
  // that no attachment's record is looked for in, are passed over and named in `strange`, if given.
  std::vector<Record> list(std::string_view network = {}, std::vector<std::string>* strange = nullptr) const;

  // shareLock() is held by every ADD while it relies on things that attachments share (a bridge): whoever
  // wants to remove such a thing must be able to turn it into an exclusive one (alone()). An empty Fd when
  // that cannot be had.
  netns::Fd shareLock() const;
  static bool alone(const netns::Fd& lock);

  const std::string& directory() const { return directory_; }

 private:
  std::vector<std::string> networks() const;

  std::string directory_;
};

}  // namespace fairlead::plugin
