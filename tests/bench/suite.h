// What is measured: ADD, CHECK and DEL on several directories of plugins, in turns, with the kernel's own
// share and the start of an empty program between them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/bench/floor.h"
#include "tests/bench/samples.h"

namespace fairlead::bench {

// Cell is one verb of one directory.
struct Cell {
  Samples wall;     // of each call
  Samples batch;    // from the start of the first call to the end of the last of those made at the same time
  Samples settled;  // the same, until nothing that the calls left running is there any more
  Samples cpu;      // per call, with its children and what it left running
};

// Row is one verb in one situation; `cells` are in the order of the directories.
struct Row {
  std::string verb;
  bool masquerade = false;
  int calls = 1;     // that are started together, and measured as one
  int parallel = 1;  // of these, at a time
  std::vector<Cell> cells;
};

// Subject is one directory of plugins.
struct Subject {
  std::string directory;
  std::string build;     // what the plugin says about itself
  long memory = 0;       // KiB resident in an ADD with masquerading, at most
  Samples start = {};    // spawn to exit of CNI_COMMAND=VERSION
  Samples refusal = {};  // spawn to exit of an ADD that is refused
};

struct Report {
  std::vector<Subject> subjects;  // ours first
  std::vector<Row> rows;
  Samples emptyProgram;  // spawn to exit of a static program that does nothing, between the starts
  Samples emptyBeside;   // the same, between the ADDs
  Floor floor;           // between the ADDs
};

struct Options {
  std::vector<std::string> directories;  // ours first
  std::string emptyProgram;
  int rounds = 6;  // of 8 containers each
  int starts = 400;
  std::function<void(const std::string&)> progress;
};

// measure() takes some seconds. Throws when a call fails or does not do what it should.
Report measure(const Options& options);

}  // namespace fairlead::bench
