// Showing what was measured: to a person, as Markdown for the README, as JSON for a program.
#pragma once

#include <string>

#include "tests/bench/crowd.h"
#include "tests/bench/suite.h"

namespace fairlead::bench {

// An empty crowd is left out.
std::string asText(const Report& report, const Crowd& crowd);
std::string asMarkdown(const Report& report, const Crowd& crowd);
std::string asJson(const Report& report, const Crowd& crowd);

}  // namespace fairlead::bench
