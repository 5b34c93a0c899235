// Showing what was measured: to a person, as Markdown for the README, as JSON for a program.
#pragma once

#include <string>

#include "tests/bench/floor.h"
#include "tests/bench/suite.h"

namespace fairlead::bench {

std::string asText(const Report& report, const Floor& floor);
std::string asMarkdown(const Report& report, const Floor& floor);
std::string asJson(const Report& report, const Floor& floor);

}  // namespace fairlead::bench
