#include "limiter/metrics/slot_rows.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "limiter/metrics/families.h"

namespace weir {

SlotRows::SlotRows(std::vector<Labels> slots) {
  absl::flat_hash_map<std::array<std::string_view, 3>, uint32_t> row_of_labels;
  row_of_labels.reserve(slots.size());
  row_of_slot_.reserve(slots.size());
  labels_.reserve(slots.size());  // so that the views in row_of_labels stay valid
  for (Labels& slot : slots) {
    for (std::string& value : slot) value = ValidUtf8(value);
    const auto found = row_of_labels.find({slot[0], slot[1], slot[2]});
    if (found != row_of_labels.end()) {
      row_of_slot_.push_back(found->second);
      continue;
    }
    const auto row = static_cast<uint32_t>(labels_.size());
    const Labels& kept = labels_.emplace_back(std::move(slot));
    row_of_labels.try_emplace({kept[0], kept[1], kept[2]}, row);
    row_of_slot_.push_back(row);
  }
}

SlotRows SlotRows::OfRules(const SeriesRegistry& series) {
  std::vector<Labels> slots;
  for (SeriesRegistry::RuleLabels& slot : series.rules()) {
    slots.push_back({std::move(slot.domain), std::move(slot.rule), ""});
  }
  return SlotRows(std::move(slots));
}

SlotRows SlotRows::OfStats(const SeriesRegistry& series) {
  std::vector<Labels> slots;
  for (SeriesRegistry::StatLabels& slot : series.stats()) {
    slots.push_back({std::move(slot.domain), std::move(slot.key1), std::move(slot.key2)});
  }
  return SlotRows(std::move(slots));
}

SlotRows SlotRows::OfDomains(const SeriesRegistry& series) {
  std::vector<Labels> slots;
  for (std::string& domain : series.domains()) slots.push_back({std::move(domain), "", ""});
  return SlotRows(std::move(slots));
}

}  // namespace weir
