// What the binary itself promises: how it is linked, what it costs to start, and how it speaks with a
// runtime.
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "plugin/plugin.h"
#include "tests/plugin/command.h"

namespace fairlead::plugin {
namespace {

namespace fs = std::filesystem;
using test::kBinary;
using test::Output;

// shell() runs a line of sh in which $BIN is the plugin directory.
Output shell(const std::string& line, std::vector<std::string> env = {}) {
  env.emplace_back("BIN=" FAIRLEAD_CNI_DIR);
  return test::run({"sh", "-c", line}, env);
}

// Without its table of frames the first exception costs 2.5 ms.
TEST(Binary, IsStaticAndHasATableOfFrames) {
  std::ifstream file(kBinary, std::ios::binary);
  Elf64_Ehdr header;
  ASSERT_TRUE(file.read(reinterpret_cast<char*>(&header), sizeof header));
  std::set<Elf64_Word> types;
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    file.seekg(static_cast<std::streamoff>(header.e_phoff) + std::streamoff{i} * header.e_phentsize);
    ASSERT_TRUE(file.read(reinterpret_cast<char*>(&segment), sizeof segment));
    types.insert(segment.p_type);
  }
  EXPECT_FALSE(types.contains(PT_INTERP));
  EXPECT_TRUE(types.contains(PT_GNU_EH_FRAME));
}

#ifdef FAIRLEAD_RELEASE
TEST(Binary, IsAtMostFourMegabytes) { EXPECT_LE(fs::file_size(kBinary), 4'000'000U); }
#endif

TEST(Binary, DirectoryHoldsALinkForEachPlugin) {
  std::set<std::string> expected = {"fairlead"};
  for (const Plugin* plugin : plugins()) expected.emplace(plugin->type());
  std::set<std::string> found;
  for (const auto& entry : fs::directory_iterator(FAIRLEAD_CNI_DIR)) {
    found.insert(entry.path().filename());
    EXPECT_TRUE(fs::equivalent(entry.path(), kBinary)) << entry.path();
    EXPECT_TRUE(!entry.is_symlink() || fs::read_symlink(entry.path()).is_relative()) << entry.path();
  }
  EXPECT_EQ(found, expected);
}

TEST(Binary, VersionNeedsOneThreadAndFewSystemCalls) {
  const test::TempDir dir;
  const std::string bridge = FAIRLEAD_CNI_DIR "/bridge";
  const Output out = test::run({"strace", "-f", "-o", dir / "trace", bridge}, {"CNI_COMMAND=VERSION"});
  ASSERT_EQ(out.status, 0) << out.err;
  const std::string trace = dir.read("trace");
  EXPECT_EQ(trace.find("clone"), std::string::npos) << trace;
  EXPECT_EQ(trace.find("epoll"), std::string::npos) << trace;
  EXPECT_EQ(trace.find("SIGSEGV"), std::string::npos) << trace;
  EXPECT_LE(std::ranges::count(trace, '\n'), 30) << trace;
}

TEST(Binary, VersionIsTheSameUnderEveryName) {
  const std::string supported = R"(["0.1.0","0.2.0","0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"])";
  const std::string expected = R"({"cniVersion":"1.1.0","supportedVersions":)" + supported + "}\n";
  for (const auto& entry : fs::directory_iterator(FAIRLEAD_CNI_DIR)) {
    const Output out = test::run({entry.path()}, {"CNI_COMMAND=VERSION"});
    EXPECT_EQ(out.status, 0);
    EXPECT_EQ(out.out, expected) << entry.path();
    EXPECT_EQ(out.err, "");
  }
}

TEST(Binary, WithoutACommandAPluginTellsAboutItself) {
  const Output out = test::run({FAIRLEAD_CNI_DIR "/loopback"});
  EXPECT_EQ(out.status, 0);
  EXPECT_EQ(out.out, "");
  EXPECT_EQ(out.err,
            "CNI loopback plugin " + std::string(buildVersion()) +
                "\nCNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n");
}

TEST(Binary, AnyOtherNameIsTheOneThatTheConfigurationNames) {
  const auto status = [](const std::string& type) {
    return shell(R"(echo '{"cniVersion":"1.1.0","name":"net","type":")" + type + R"("}' | "$BIN/fairlead")",
                 {"CNI_COMMAND=STATUS", "CNI_PATH=/x"});
  };
  EXPECT_EQ(status("loopback").status, 0);
  const Output out = status("nosuch");
  EXPECT_EQ(out.status, 1);
  EXPECT_NE(out.out.find(R"("msg": "no plugin of type \"nosuch\" is built in")"), std::string::npos)
      << out.out;
}

// error() is how the binary answers a call that fails.
std::string error(const std::string& line) {
  const Output out = shell(line, {"CNI_COMMAND=STATUS", "CNI_PATH=/x"});
  EXPECT_EQ(out.status, 1) << line;
  return out.out;
}

TEST(Binary, BadInputIsAnErrorDocumentOnStandardOutput) {
  EXPECT_EQ(error("\"$BIN/loopback\" </dev/null"), R"({
    "code": 6,
    "msg": "error unmarshall network config: unexpected end of JSON input"
})");
  EXPECT_EQ(error("\"$BIN/loopback\" <&-"), R"({
    "code": 5,
    "msg": "error reading from stdin: read /dev/stdin: bad file descriptor"
})");
  EXPECT_EQ(error("\"$BIN/loopback\" </"), R"({
    "code": 5,
    "msg": "error reading from stdin: read /dev/stdin: is a directory"
})");
  EXPECT_EQ(error("head -c 5000000 /dev/zero | \"$BIN/loopback\""), R"({
    "code": 5,
    "msg": "error reading from stdin: more than 4194304 bytes"
})");
  EXPECT_EQ(error("echo '{\"name\":\"net\",\"cniVersion\":\"1.0.0\"}' | \"$BIN/loopback\""), R"({
    "code": 1,
    "msg": "config version does not allow STATUS"
})");
}

TEST(Binary, OutputThatNobodyTakesIsAnInputOutputError) {
  for (const char* target : {">/dev/full", ">&-"}) {
    const Output out = shell(std::string("\"$BIN/loopback\" ") + target, {"CNI_COMMAND=VERSION"});
    EXPECT_EQ(out.status, 1);
    EXPECT_NE(out.err.find("\"code\": 5"), std::string::npos) << out.err;
    EXPECT_NE(out.err.find("error writing to stdout: "), std::string::npos) << out.err;
  }
}

TEST(Binary, AReaderThatIsGoneDoesNotKillIt) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  ::close(ends[0]);
  const std::string line = "\"$BIN/loopback\" >&" + std::to_string(ends[1]);
  ASSERT_EQ(::fcntl(ends[1], F_SETFD, 0), 0);
  const Output out = shell(line, {"CNI_COMMAND=VERSION"});
  ::close(ends[1]);
  EXPECT_EQ(out.status, 1);
  EXPECT_NE(out.err.find("error writing to stdout: broken pipe"), std::string::npos) << out.err;
}

}  // namespace
}  // namespace fairlead::plugin
