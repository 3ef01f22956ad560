#include "limiter/core/unit.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {
namespace {

struct UnitRow {
  const char* name;
  int64_t seconds;
};

constexpr std::array<UnitRow, 8> kUnits = {{{"UNKNOWN", 0},
                                            {"SECOND", 1},
                                            {"MINUTE", 60},
                                            {"HOUR", 3600},
                                            {"DAY", 86400},
                                            {"MONTH", 2592000},
                                            {"YEAR", 31536000},
                                            {"WEEK", 604800}}};

bool EqualsAnyCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::toupper(x) == std::toupper(y);
  });
}

}  // namespace

int64_t UnitSeconds(Unit unit) { return kUnits[static_cast<std::size_t>(unit)].seconds; }

const char* UnitName(Unit unit) { return kUnits[static_cast<std::size_t>(unit)].name; }

std::optional<Unit> ParseUnit(std::string_view name) {
  for (std::size_t i = 1; i < kUnits.size(); ++i) {
    if (EqualsAnyCase(name, kUnits[i].name)) return static_cast<Unit>(i);
  }
  return std::nullopt;
}

}  // namespace weir
