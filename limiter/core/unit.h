#pragma once

// The units of a limit. The numbers are those of RateLimitResponse.RateLimit.Unit in Envoy's API,
// where WEEK came last: they are not in order of duration, so never compare them.

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir {

enum class Unit : uint8_t {
  kUnknown = 0,
  kSecond = 1,
  kMinute = 2,
  kHour = 3,
  kDay = 4,
  kMonth = 5,
  kYear = 6,
  kWeek = 7,
};

// 1, 60, 3600, 86400, 2592000 (30 days), 31536000 (365 days), 604800; 0 for kUnknown. Windows are
// counted from the Unix epoch: weeks begin on Thursday, months and years are not calendar ones.
int64_t UnitSeconds(Unit unit);

// "MINUTE"; "UNKNOWN" for kUnknown.
const char* UnitName(Unit unit);

// Any case; nullopt for an unknown or empty name.
std::optional<Unit> ParseUnit(std::string_view name);

}  // namespace weir
