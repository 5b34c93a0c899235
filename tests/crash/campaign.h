// Striking a plugin's verb at every point, and looking whether the host can be put right after each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/crash/world.h"

namespace fairlead::crash {

// Pass is what is done at a point, and what has to hold then.
enum class Pass {
  KillThenDel,    // killed; a DEL succeeds and leaves nothing
  KillThenGc,     // killed; a GC succeeds and leaves nothing
  KillThenAgain,  // killed; the same call again succeeds, and an ADD, and the DEL after it leaves nothing
  KillOnly,       // killed while it only looked: nothing has changed, and the same call again succeeds
  Errors,  // a call fails: success, or a CNI error and all undone; then a DEL succeeds and leaves nothing
};
std::string nameOf(Pass pass);

struct Failure {
  long point = 0;     // to meet it again: --only "SUBJECT VERB PASS" --point N
  std::string where;  // the call, and what happened to it
  std::string what;   // what did not hold
};

// Row is one line of the table.
struct Row {
  std::string subject;
  std::string verb;
  Pass pass{};
  long points = 0;
  long gaveUp = 0;  // of them: the program was ended, before main or, after its answer, by the runtime
  std::vector<Failure> failures;

  std::string title() const { return subject + " " + verb + " " + nameOf(pass); }
};

struct Options {
  std::string plugins;  // the plugin directory
  std::string only;     // rows whose title contains this
  long every = 1;       // of the points of a row, one in so many
  long offset = 0;      // which
  long point = 0;       // this one alone; 0: no
  std::function<void(const std::string&)> progress;
};

// subjects() are all plugins, in the situations that differ in what they leave behind.
std::vector<Subject> subjects();

// conduct() takes minutes without `every`. Throws when a host cannot be made or an unharmed call fails.
std::vector<Row> conduct(const Options& options);

}  // namespace fairlead::crash
