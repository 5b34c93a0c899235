// Text for a person's terminal: columns, colours, and nothing that could confuse it.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::plugin {

// printable() escapes what a terminal would act on instead of showing it (controls, invalid UTF-8): names and
// messages come from files and from other programs. Line feeds stay.
std::string printable(std::string_view text);

// indented() puts `margin` in front of every line but the first.
std::string indented(std::string_view text, std::string_view margin);

enum class Colour { Red, Green, Yellow, Bold, Dim };

// paint() colours text if `stream` is a terminal and NO_COLOR is not set.
std::string paint(std::string_view text, Colour colour, FILE* stream);

// Table lines up rows of cells in columns that are as wide as their widest cell. Cells may be painted: their
// width is what a terminal shows.
class Table {
 public:
  explicit Table(std::vector<std::string> header);
  // alignRight() is for numbers.
  void alignRight(size_t column);
  // row() takes as many cells as there are columns.
  void row(std::vector<std::string> cells);
  bool empty() const { return rows_.size() == 1; }
  // print() writes the header in capitals and the rows below it, two spaces apart.
  void print(FILE* stream) const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the first is the header
  std::vector<bool> right_;
};

}  // namespace fairlead::plugin
