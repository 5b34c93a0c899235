// A directory for harnesses that read files.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "plugin/skel.h"
#include "tests/fuzz/fuzz.h"

namespace fairlead::fuzz {

// Directory is below TMPDIR or /dev/shm, and removed with the process. Records and the index of addresses go
// into it, too.
struct Directory {
  Directory() {
    const char* base = std::getenv("TMPDIR");
    path = (base != nullptr ? base : "/dev/shm") + std::string("/fairlead-fuzz-XXXXXX");
    hold(::mkdtemp(path.data()) != nullptr, "there is room for a directory");
    ::setenv("FAIRLEAD_RUN_DIR", run().c_str(), 1);
  }
  ~Directory() { std::filesystem::remove_all(path); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  std::string run() const { return path + "/run"; }
  std::string path;
};

// Files are names and contents.
using Files = std::map<std::string, std::string, std::less<>>;

// refill() makes a directory anew, with these files.
inline void refill(const std::string& directory, const Files& files) {
  std::filesystem::remove_all(directory);
  std::filesystem::create_directory(directory);
  for (const auto& [name, content] : files)
    std::ofstream(directory + "/" + name, std::ios::binary) << content;
}

inline Files filesIn(const std::string& directory) {
  Files files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::ifstream stream(entry.path(), std::ios::binary);
    files[entry.path().filename()] = {std::istreambuf_iterator<char>(stream), {}};
  }
  return files;
}

// hostLocalCall() is an ADD of host-local's with its directory below `dataDir`; `ranges` is JSON.
inline plugin::Call hostLocalCall(const std::string& dataDir, const std::string& ranges) {
  return plugin::makeCall(environment("ADD"),
                          R"({"name": "net", "cniVersion": "1.1.0", "ipam": {"ranges": )" + ranges +
                              R"(, "dataDir": ")" + dataDir + "\"}}");
}

}  // namespace fairlead::fuzz
