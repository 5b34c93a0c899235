// Running the real binary, and whatever else a test looks with, as a shell would.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

extern char** environ;

namespace fairlead::plugin::test {

inline const std::string kBinary = FAIRLEAD_CNI_DIR "/fairlead";

// TempDir is a directory that is gone with this object.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "fairlead.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp " + name);
    path_ = name;
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  // write() makes the directories on the way, too.
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::string file = path_ + "/" + name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file) << text;
    ::chmod(file.c_str(), mode);
    return file;
  }
  std::string read(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(path_ + "/" + name).rdbuf();
    return text.str();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Output {
  int status = -1;  // the exit status; 128 and the signal's number when killed
  std::string out;
  std::string err;
};

// run() runs a command to its end, with `env` ("K=V") instead of this process's environment but for PATH.
// `timeout` bounds it to a minute: the status is 137 then.
inline Output run(const std::vector<std::string>& argv, const std::vector<std::string>& env = {}) {
  const TempDir dir;
  const std::string out = dir / "out";
  const std::string err = dir / "err";
  std::vector<std::string> words = {"timeout", "--signal=KILL", "60"};
  words.insert(words.end(), argv.begin(), argv.end());
  std::vector<std::string> variables = env;
  const char* path = std::getenv("PATH");
  variables.push_back(std::string("PATH=") + (path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin"));
  const auto pointers = [](std::vector<std::string>& strings) {
    std::vector<char*> list;
    list.reserve(strings.size() + 1);
    for (std::string& string : strings) list.push_back(string.data());
    list.push_back(nullptr);
    return list;
  };
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT, 0600);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY | O_CREAT, 0600);
  pid_t child = -1;
  const int failed = ::posix_spawnp(&child, "timeout", &actions, nullptr, pointers(words).data(),
                                    pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) throw std::runtime_error("cannot run timeout");
  int status = 0;
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), dir.read("out"), dir.read("err")};
}

// Cli is the command line in a world of its own: network configurations, cache, records and plugins are in a
// directory that is gone with this object.
class Cli {
 public:
  // `cniPath` is where plugins are looked for, before those that the test writes.
  explicit Cli(std::string cniPath) : cniPath_(std::move(cniPath)) {
    for (const char* name : {"net.d", "bin"}) std::filesystem::create_directories(dir / name);
  }
  // operator() runs `WRAPPER... fairlead VERB ARGS...`, with the options that say where things are.
  Output operator()(const std::string& verb, const std::vector<std::string>& args = {},
                    const std::vector<std::string>& wrapper = {}) const {
    std::vector<std::string> argv = wrapper;
    argv.insert(argv.end(), {kBinary, verb});
    argv.insert(argv.end(), args.begin(), args.end());
    if (verb != "ls" && verb != "version") argv.insert(argv.end(), {"--net-dir", dir / "net.d"});
    if (verb != "ls" && verb != "version" && verb != "doctor")
      argv.insert(argv.end(), {"--cni-path", cniPath_ + ":" + dir / "bin"});
    if (verb != "version") argv.insert(argv.end(), {"--cache-dir", dir / "cache"});
    return run(argv, {"FAIRLEAD_RUN_DIR=" + dir / "run"});
  }
  std::string conf(const std::string& name, const std::string& text) const {
    return dir.write("net.d/" + name, text);
  }

  TempDir dir;

 private:
  std::string cniPath_;
};

}  // namespace fairlead::plugin::test
