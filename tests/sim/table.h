#pragma once

// Rows as they come, for people or as CSV.

#include <cstdint>
#include <string>
#include <vector>

namespace weir::sim {

class Table {
 public:
  // Prints the header.
  Table(bool csv, std::vector<std::string> columns);

  Table& Text(const std::string& value);
  Table& Whole(uint64_t value);
  Table& Number(double value, int digits);
  // Prints the row. REQUIRES: it has as many values as there are columns.
  void End();

 private:
  void Print() const;

  const bool csv_;
  const std::vector<std::string> columns_;
  std::vector<std::string> row_;
};

}  // namespace weir::sim
