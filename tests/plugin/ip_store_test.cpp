#include "plugin/ip_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <thread>

#include "ipam.h"
#include "netns/error.h"
#include "plugin/error.h"
#include "tests/plugin/no_descriptors.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using netns::IP;

const IPOwner kOwner{"abc", "eth0"};

IP ip(std::string_view text) { return IP::parse(text).value(); }
IP numbered(int number) { return ip("10.0.0." + std::to_string(number)); }

std::vector<std::string> textOf(const std::vector<IP>& ips) {
  std::vector<std::string> text;
  text.reserve(ips.size());
  for (const IP& ip : ips) text.push_back(ip.str());
  std::ranges::sort(text);
  return text;
}

using Texts = std::vector<std::string>;

class IPStoreTest : public IpamTest {
 protected:
  void reserve(const std::string& address, const IPOwner& owner = kOwner, size_t set = 0) const {
    IPStore store = IPStore::open(directory());
    ASSERT_TRUE(store.reserve(ip(address), owner, set));
    store.commit();
  }
  Texts exact(const IPOwner& owner = kOwner) const {
    return textOf(IPStore::open(directory()).find(owner).exact);
  }
  Texts legacy(const IPOwner& owner = kOwner) const {
    return textOf(IPStore::open(directory()).find(owner).legacy);
  }
  mode_t mode(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::lstat((directory() + "/" + name).c_str(), &status), 0) << name;
    return status.st_mode & 07777;
  }
  // fill() makes so many reservations that the directory gets an index.
  void fill() const {
    IPStore store = IPStore::open(directory());
    for (int i = 100; i < 100 + static_cast<int>(IPIndex::kWorthwhile); ++i) {
      store.reserve(numbered(i), {"filler" + std::to_string(i), "eth0"}, 0);
    }
    store.commit();
  }
  bool indexed() const { return fs::exists(root() + "/run") && !fs::is_empty(root() + "/run"); }
};

// ---- bytes on disk -----------------------------------------------------------------------------

TEST_F(IPStoreTest, WritesWhatTheReferenceWrites) {
  const mode_t mask = ::umask(022);
  reserve("10.0.0.2");
  reserve("fd00::1a", {"0123-x_y.z", "net1"}, 1);
  ::umask(mask);
  EXPECT_EQ(files(), (Files{{"lock", ""},
                            {"10.0.0.2", "abc\r\neth0"},
                            {"last_reserved_ip.0", "10.0.0.2"},
                            {"fd00::1a", "0123-x_y.z\r\nnet1"},
                            {"last_reserved_ip.1", "fd00::1a"}}));
  EXPECT_EQ(mode("lock"), 0750U);
  EXPECT_EQ(mode("10.0.0.2"), 0600U);
  EXPECT_EQ(mode("last_reserved_ip.0"), 0600U);
  EXPECT_EQ(mode("."), 0755U);
}

TEST_F(IPStoreTest, RemembersAShorterAddressAfterALongerOne) {
  reserve("10.0.0.200");
  reserve("10.0.0.3");
  EXPECT_EQ(files()["last_reserved_ip.0"], "10.0.0.3");
  EXPECT_EQ(IPStore::open(directory()).lastReserved(0), ip("10.0.0.3"));
}

TEST_F(IPStoreTest, TakesNoLastAddressFromWhatIsNone) {
  for (const char* content : {"", "10.0.0.3\n", "nonsense", "10.0.0.300"}) {
    put("last_reserved_ip.0", content);
    EXPECT_EQ(IPStore::open(directory()).lastReserved(0), std::nullopt) << content;
  }
  EXPECT_EQ(IPStore::open(directory()).lastReserved(1), std::nullopt);
}

TEST_F(IPStoreTest, RefusesATakenAddress) {
  reserve("10.0.0.2", {"other", "eth0"});
  IPStore store = IPStore::open(directory());
  EXPECT_FALSE(store.reserve(ip("10.0.0.2"), kOwner, 0));
  EXPECT_TRUE(store.reserve(ip("10.0.0.3"), kOwner, 0));
  store.commit();
  EXPECT_EQ(files()["10.0.0.2"], "other\r\neth0");
  EXPECT_EQ(files()["10.0.0.3"], "abc\r\neth0");
}

// ---- undoing -----------------------------------------------------------------------------------

TEST_F(IPStoreTest, TakesBackWhatWasNotCommitted) {
  {
    IPStore store = IPStore::open(directory());
    EXPECT_TRUE(store.reserve(ip("10.0.0.2"), kOwner, 0));
    EXPECT_TRUE(store.reserve(ip("10.0.0.3"), kOwner, 0));
    EXPECT_EQ(reservations().size(), 2U);
  }
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(IPStoreTest, TakesAnAddressBackWhenItCannotBeRemembered) {
  fs::create_directories(directory() + "/last_reserved_ip.0");
  {
    IPStore store = IPStore::open(directory());
    EXPECT_THROW(store.reserve(ip("10.0.0.2"), kOwner, 0), netns::Error);
  }
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(IPStoreTest, ReleasesOnceAndToleratesTwice) {
  reserve("10.0.0.2");
  IPStore store = IPStore::open(directory());
  store.release(ip("10.0.0.2"));
  store.release(ip("10.0.0.2"));
  store.commit();
  EXPECT_EQ(reservations(), Files{});
}

// ---- finding -----------------------------------------------------------------------------------

TEST_F(IPStoreTest, FindsByContainerAndInterface) {
  reserve("10.0.0.2");
  reserve("fd00::2");
  reserve("10.0.0.3", {"abc", "eth1"});
  reserve("10.0.0.4", {"ab", "ceth0"});
  EXPECT_EQ(exact(), (Texts{"10.0.0.2", "fd00::2"}));
  EXPECT_EQ(exact({"abc", "eth1"}), Texts{"10.0.0.3"});
  EXPECT_EQ(exact({"nobody", "eth0"}), Texts{});
}

TEST_F(IPStoreTest, FindsFilesOfTheOldKind) {
  put("10.0.0.2", "abc");
  put("10.0.0.3", " abc \r\n");
  put("10.0.0.4", "abcd");
  EXPECT_EQ(legacy(), (Texts{"10.0.0.2", "10.0.0.3"}));
  EXPECT_EQ(exact(), Texts{});
}

TEST_F(IPStoreTest, TrimsSpaceAroundButNotWithin) {
  put("10.0.0.2", "\n abc\r\neth0\n\t");
  put("10.0.0.3", "abc\neth0");
  put("10.0.0.4", "abc \r\neth0");
  EXPECT_EQ(exact(), Texts{"10.0.0.2"});
  EXPECT_EQ(legacy(), Texts{});
}

TEST_F(IPStoreTest, LooksAtFilesNamedLikeAddressesOnly) {
  for (const char* name :
       {"lock", "last_reserved_ip.0", "notes", ".10.0.0.2", "010.0.0.2", "FD00::1", "10.0.0.2.bak"}) {
    put(name, "abc\r\neth0");
  }
  EXPECT_EQ(exact(), Texts{});
}

TEST_F(IPStoreTest, DoesNothingToStrangeFiles) {
  put("10.0.0.1", "");
  const std::string outside = root() + "/outside";
  std::ofstream(outside) << "abc\r\neth0";
  fs::create_symlink(outside, directory() + "/10.0.0.2");
  ASSERT_EQ(::mkfifo((directory() + "/10.0.0.3").c_str(), 0600), 0);
  fs::create_directory(directory() + "/10.0.0.4");
  put("10.0.0.4/10.0.0.44", "abc\r\neth0");
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (directory() + "/10.0.0.5").copy(address.sun_path, sizeof address.sun_path - 1);
  const netns::Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  put("10.0.0.6", "abc\r\neth0" + std::string(size_t{1} << 20, '\n'));

  EXPECT_EQ(exact(), Texts{});
  IPStore store = IPStore::open(directory());
  EXPECT_EQ(textOf(store.abandoned()), Texts{"10.0.0.1"});
  for (int i = 1; i <= 6; ++i) {
    EXPECT_TRUE(store.holds(numbered(i))) << i;
    EXPECT_FALSE(store.reserve(numbered(i), kOwner, 0)) << i;
  }
  EXPECT_EQ(store.releaseUnless([](const IPOwner&) { return false; }), 0U);
  EXPECT_TRUE(fs::exists(outside));
  EXPECT_TRUE(fs::is_symlink(directory() + "/10.0.0.2"));
}

TEST_F(IPStoreTest, ParsesOwners) {
  EXPECT_EQ(IPOwner::parse("abc\r\neth0"), kOwner);
  EXPECT_EQ(IPOwner::parse(" abc\n"), (IPOwner{"abc", ""}));
  for (const char* text : {"", "\r\n", "a b", "a\r\nb c", "a\nb", "#note", "\xff\x01"}) {
    EXPECT_EQ(IPOwner::parse(text), std::nullopt) << text;
  }
}

// ---- opening -----------------------------------------------------------------------------------

TEST_F(IPStoreTest, DoesNotMakeADirectoryToLookAt) {
  EXPECT_FALSE(IPStore::openExisting(directory()));
  EXPECT_FALSE(IPStore::glance(directory()));
  EXPECT_FALSE(fs::exists(root() + "/data"));
}

TEST_F(IPStoreTest, GlancesWithoutALock) {
  put("10.0.0.2", "abc\r\neth0");
  const IPStore store = IPStore::glance(directory()).value();
  EXPECT_EQ(textOf(store.find(kOwner).exact), Texts{"10.0.0.2"});
  EXPECT_TRUE(store.holds(ip("10.0.0.2")));
  EXPECT_FALSE(fs::exists(directory() + "/lock"));
}

std::string failure(const std::string& directory) {
  try {
    IPStore::open(directory);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

TEST_F(IPStoreTest, SaysWhatItCannotMakeOrOpen) {
  std::ofstream(root() + "/file") << "x";
  EXPECT_EQ(failure(root() + "/file"), "mkdir " + root() + "/file: not a directory");
  EXPECT_EQ(failure(root() + "/file/a/b"), "mkdir " + root() + "/file: not a directory");
  fs::create_directories(directory() + "/lock");
  EXPECT_EQ(failure(directory()), "open " + directory() + "/lock: is a directory");
}

TEST_F(IPStoreTest, FollowsNoLinkToItsLock) {
  fs::create_directories(directory());
  fs::create_symlink(root() + "/elsewhere", directory() + "/lock");
  EXPECT_EQ(failure(directory()), "open " + directory() + "/lock: too many levels of symbolic links");
  EXPECT_FALSE(fs::exists(root() + "/elsewhere"));
}

// ---- the lock ----------------------------------------------------------------------------------

TEST_F(IPStoreTest, GivesUpOnALockThatIsHeldTooLong) {
  put("lock", "");
  const std::string path = directory() + "/lock";
  const netns::Fd holder(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX), 0);
  try {
    const FileLock lock(netns::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path,
                        std::chrono::milliseconds(5));
    FAIL() << "there are two holders";
  } catch (const CniError& error) {
    EXPECT_EQ(error.code(), Code::TryAgainLater);
    EXPECT_EQ(error.msg(), "timed out waiting for the lock " + path);
  }
}

// someoneWaits() looks through the kernel's list of locks for a waiter of this process.
bool someoneWaits() {
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    if (line.find("->") != line.npos && line.find(" " + std::to_string(::getpid()) + " ") != line.npos)
      return true;
  }
  return false;
}

TEST_F(IPStoreTest, GetsALockThatIsHandedOver) {
  put("lock", "");
  const std::string path = directory() + "/lock";
  netns::Fd holder(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX), 0);
  std::jthread other([&] {
    while (!someoneWaits()) std::this_thread::yield();
    holder.reset();
  });
  const FileLock lock(netns::Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)), path);
  EXPECT_FALSE(someoneWaits());
}

TEST_F(IPStoreTest, HoldsTheLockForTheWholeVisit) {
  const IPStore store = IPStore::open(directory());
  const netns::Fd other(::open((directory() + "/lock").c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_NE(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
}

// ---- the index ---------------------------------------------------------------------------------

TEST_F(IPStoreTest, ReadsNoFilesWhileNobodyElseChangedTheDirectory) {
  reserve("10.0.0.2");
  fill();
  ASSERT_TRUE(indexed());
  // Editing in place leaves the directory as it was: the one change that the index does not notice shows that
  // it is used.
  put("10.0.0.2", "new\r\neth0");
  EXPECT_EQ(exact({"new", "eth0"}), Texts{});
  // What it remembers is checked before anybody goes by it.
  EXPECT_EQ(exact(), Texts{});
  put("10.0.0.99", "else\r\neth0");
  EXPECT_EQ(exact({"new", "eth0"}), Texts{"10.0.0.2"});
}

TEST_F(IPStoreTest, NoticesFilesOfOthersAtOnce) {
  fill();
  for (int i = 2; i < 50; ++i) {
    reserve(numbered(i).str(), {"ours" + std::to_string(i), "eth0"});
    const IPOwner theirs{"theirs" + std::to_string(i), "eth0"};
    put("10.0.1." + std::to_string(i), theirs.content());
    ASSERT_EQ(exact(theirs), Texts{"10.0.1." + std::to_string(i)}) << i;
  }
}

TEST_F(IPStoreTest, DoesWithoutAnIndex) {
  std::ofstream(root() + "/run") << "a file where a directory should be";
  fill();
  reserve("10.0.0.2");
  EXPECT_EQ(exact(), Texts{"10.0.0.2"});
}

TEST_F(IPStoreTest, DoesNotTrustADamagedIndex) {
  fill();
  reserve("10.0.0.2");
  for (const auto& file : fs::directory_iterator(root() + "/run"))
    fs::resize_file(file, fs::file_size(file) - 7);
  EXPECT_EQ(exact(), Texts{"10.0.0.2"});
}

#if defined(FAIRLEAD_CAN_DO_WITHOUT_DESCRIPTORS)
TEST_F(IPStoreTest, SaysWhoseOwnerItCouldNotRead) {
  reserve("10.0.0.2");
  IPStore store = IPStore::open(directory());
  const auto none = [](const IPOwner&) { return false; };
  {
    const test::NoDescriptors noDescriptors;
    EXPECT_THROW(store.releaseUnless(none), netns::Error);
  }
  EXPECT_EQ(store.releaseUnless(none), 1U);
  store.commit();
}
#endif

TEST_F(IPStoreTest, RemovesTheIndexOfADirectoryThatEmptied) {
  fill();
  ASSERT_TRUE(indexed());
  IPStore store = IPStore::open(directory());
  EXPECT_EQ(store.releaseUnless([](const IPOwner&) { return false; }), IPIndex::kWorthwhile);
  store.commit();
  EXPECT_FALSE(indexed());
  EXPECT_EQ(reservations(), Files{});
}

TEST_F(IPStoreTest, RefreshesOnceAndSeesWhatTheIndexMissed) {
  fill();
  IPStore store = IPStore::open(directory());
  fs::remove(directory() + "/10.0.0.100");
  EXPECT_TRUE(store.holds(ip("10.0.0.100")));
  EXPECT_TRUE(store.refresh());
  EXPECT_FALSE(store.holds(ip("10.0.0.100")));
  EXPECT_FALSE(store.refresh());
}

// A model of the directory, and random visits by us and by others who know nothing of the index.
TEST_F(IPStoreTest, AgreesWithAModelWhoeverChangesTheDirectory) {
  std::mt19937 random(7);
  const auto upTo = [&](int limit) { return static_cast<int>(random() % static_cast<unsigned>(limit + 1)); };
  std::map<std::string, std::string> model;
  const auto ownerOf = [](int number) { return IPOwner{"c" + std::to_string(number % 17), "eth0"}; };
  for (int round = 0; round < 2000; ++round) {
    const int number = 1 + upTo(40);
    const std::string name = numbered(number).str();
    const IPOwner owner = ownerOf(upTo(100));
    switch (upTo(5)) {
      case 0:
      case 1: {
        IPStore store = IPStore::open(directory());
        const bool taken = store.reserve(numbered(number), owner, 0);
        ASSERT_EQ(taken, !model.contains(name)) << name;
        if (upTo(3) == 0) break;  // not committed
        if (taken) model[name] = owner.content();
        store.commit();
        break;
      }
      case 2: {
        IPStore store = IPStore::open(directory());
        for (const IP& ip : store.find(owner).exact) store.release(ip);
        store.commit();
        std::erase_if(model, [&](const auto& entry) { return entry.second == owner.content(); });
        break;
      }
      case 3:
        if (model.try_emplace(name, owner.content()).second) put(name, owner.content());
        break;
      case 4:
        fs::remove(directory() + "/" + name);
        model.erase(name);
        break;
      default:
        break;
    }
    Texts wanted;
    for (const auto& [file, content] : model) {
      if (content == owner.content()) wanted.push_back(file);
    }
    std::ranges::sort(wanted);
    ASSERT_EQ(exact(owner), wanted) << "round " << round;
    ASSERT_EQ(reservations(), model) << "round " << round;
  }
}

}  // namespace
}  // namespace fairlead::plugin
