// What a campaign found, for people and for programs.
#pragma once

#include <string>
#include <vector>

#include "tests/crash/campaign.h"

namespace fairlead::crash {

// asMarkdown() is a table with a line per row and their sum, and the failures.
std::string asMarkdown(const std::vector<Row>& rows);
std::string asJson(const std::vector<Row>& rows);
long failuresIn(const std::vector<Row>& rows);

}  // namespace fairlead::crash
