// pool NUMBER...: prints the smallest prime factor of each number, worked out by a goroutine for each P. What
// is not a number ends the whole task, and is named.
//
// What to learn from it: an ErrGroup of workers that live on one channel; the first failure cancels the
// context of the group, so that neither workers nor whoever hands out work wait for each other for ever;
// wait() throws that failure where it can be handled. checkpoint() in a loop that computes lets others run.
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/chan.h"
#include "runtime/errgroup.h"
#include "runtime/runtime.h"
#include "runtime/select.h"

namespace {

using namespace fairlead::runtime;  // NOLINT(google-build-using-namespace): a program of one file

uint64_t parse(std::string_view text) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.begin(), text.end(), number);
  if (error != std::errc() || rest != text.end() || number < 2) {
    throw std::invalid_argument("'" + std::string(text) + "' is no number greater than 1");
  }
  return number;
}

uint64_t smallestFactor(uint64_t number) {
  for (uint64_t factor = 2; factor <= number / factor; ++factor) {
    if (number % factor == 0) return factor;
    checkpoint();
  }
  return number;
}

struct Answer {
  std::string_view question;
  uint64_t factor = 0;
};

// factorAll() returns the answers in the order in which they were found.
std::vector<Answer> factorAll(const std::vector<std::string_view>& questions) {
  ErrGroup group(background());
  const Chan<std::string_view> jobs;
  const Chan<Answer> answers(static_cast<std::ptrdiff_t>(questions.size()));  // no worker waits for the end

  for (int i = 0; i < maxProcs(); ++i) {
    group.go([jobs, answers] {
      for (const std::string_view job : jobs) answers.send({job, smallestFactor(parse(job))});
    });
  }
  for (const std::string_view question : questions) {
    // Workers may all have failed: then nobody receives, but the context is done.
    const int chosen = select(send(jobs, question), receive(group.context().done()));
    if (chosen == 1) break;
  }
  jobs.close();
  group.wait();
  answers.close();

  std::vector<Answer> all;
  for (const Answer& answer : answers) all.push_back(answer);
  return all;
}

}  // namespace

int fairlead::goMain(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: pool NUMBER...\n", stderr);
    return 2;
  }
  try {
    for (const Answer& answer : factorAll({argv + 1, argv + argc})) {
      std::printf("%.*s: %lu\n", static_cast<int>(answer.question.size()), answer.question.data(),
                  answer.factor);
    }
  } catch (const std::invalid_argument& e) {
    std::fprintf(stderr, "pool: %s\n", e.what());
    return 1;
  }
  return 0;
}
