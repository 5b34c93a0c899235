#include "tests/crash/report.h"

#include <nlohmann/json.hpp>

namespace fairlead::crash {
namespace {

std::string line(const Row& row) {
  return "| " + row.subject + " | " + row.verb + " | " + nameOf(row.pass) + " | " +
         std::to_string(row.points) + " | " + std::to_string(row.gaveUp) + " | " +
         std::to_string(row.failures.size()) + " |\n";
}

}  // namespace

std::string asMarkdown(const std::vector<Row>& rows) {
  std::string text =
      "| plugin | verb | what happened to it | points | gave up | failed |\n|---|---|---|---:|---:|---:|\n";
  long points = 0;
  long gaveUp = 0;
  for (const Row& row : rows) {
    text += line(row);
    points += row.points;
    gaveUp += row.gaveUp;
  }
  text += "| all | | | " + std::to_string(points) + " | " + std::to_string(gaveUp) + " | " +
          std::to_string(failuresIn(rows)) + " |\n";
  for (const Row& row : rows) {
    for (const Failure& failure : row.failures)
      text += "\n- " + row.title() + ", point " + std::to_string(failure.point) + ", " + failure.where +
              ": " + failure.what;
  }
  return text;
}

std::string asJson(const std::vector<Row>& rows) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Row& row : rows) {
    Json failures = Json::array();
    for (const Failure& failure : row.failures)
      failures.push_back({{"point", failure.point}, {"where", failure.where}, {"what", failure.what}});
    list.push_back({{"subject", row.subject},
                    {"verb", row.verb},
                    {"pass", nameOf(row.pass)},
                    {"points", row.points},
                    {"gaveUp", row.gaveUp},
                    {"failures", failures}});
  }
  return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

long failuresIn(const std::vector<Row>& rows) {
  long sum = 0;
  for (const Row& row : rows) sum += static_cast<long>(row.failures.size());
  return sum;
}

}  // namespace fairlead::crash
