#pragma once

// The slots of a SeriesRegistry as the rows of one scrape. Label values are made valid UTF-8;
// slots whose labels then read the same share a row, because a series must not occur twice.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "limiter/core/series.h"

namespace weir {

class SlotRows {
 public:
  // The label values of one slot; unused ones are empty.
  using Labels = std::array<std::string, 3>;

  static SlotRows OfRules(const SeriesRegistry& series);    // domain, rule
  static SlotRows OfStats(const SeriesRegistry& series);    // domain, key1, key2
  static SlotRows OfDomains(const SeriesRegistry& series);  // domain

  std::size_t slots() const { return row_of_slot_.size(); }
  std::size_t rows() const { return labels_.size(); }
  std::size_t RowOf(std::size_t slot) const { return row_of_slot_[slot]; }
  const Labels& labels(std::size_t row) const { return labels_[row]; }

 private:
  explicit SlotRows(std::vector<Labels> slots);

  std::vector<Labels> labels_;  // by row
  std::vector<uint32_t> row_of_slot_;
};

}  // namespace weir
