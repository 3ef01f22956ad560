#include "tests/sim/table.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace weir::sim {
namespace {

constexpr std::size_t kWidthLeast = 7;
constexpr std::size_t kFirstWidth = 16;

}  // namespace

Table::Table(bool csv, std::vector<std::string> columns)
    : csv_(csv), columns_(std::move(columns)), row_(columns_) {
  Print();
  row_.clear();
}

Table& Table::Text(const std::string& value) {
  row_.push_back(value);
  return *this;
}

Table& Table::Whole(uint64_t value) { return Text(std::to_string(value)); }

Table& Table::Number(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return Text(text);
}

void Table::End() {
  Print();
  row_.clear();
}

void Table::Print() const {
  for (std::size_t i = 0; i < row_.size(); ++i) {
    if (csv_) {
      std::printf("%s%s", i == 0 ? "" : ",", row_[i].c_str());
      continue;
    }
    const std::size_t width = i == 0 ? kFirstWidth : std::max(columns_[i].size(), kWidthLeast);
    std::printf(i == 0 ? "%-*s" : "  %*s", static_cast<int>(width), row_[i].c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace weir::sim
