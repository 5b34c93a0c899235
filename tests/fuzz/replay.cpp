// Runs the inputs of files and directories once each, for builds without libFuzzer: what was a finding stays
// a test with every compiler and sanitizer.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz.h"

namespace fs = std::filesystem;

int main(int argc, char** argv) {
  std::vector<fs::path> files;
  for (const char* argument : std::vector<const char*>(argv + 1, argv + argc)) {
    if (!fs::is_directory(argument)) files.emplace_back(argument);
    if (fs::is_directory(argument))
      std::ranges::copy(fs::directory_iterator(argument), std::back_inserter(files));
  }
  for (const fs::path& file : files) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(stream), {});
    if (!stream) return std::fprintf(stderr, "%s: cannot be read\n", file.c_str()), 1;
    std::printf("%s: %zu bytes\n", file.c_str(), bytes.size());
    std::fflush(stdout);  // it is the last line that matters if this one ends the process
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  return files.empty() ? 1 : 0;
}
