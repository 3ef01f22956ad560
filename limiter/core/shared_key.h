#pragma once

// The key under which envoyproxy/ratelimit counts a descriptor, so that both programs count on one
// counter: "<prefix><domain>_<k1>_<v1>_<k2>_<v2>_…_<window>", each part as it came in, none
// escaped. A value is that of the request, also where the rule names none; where a level shares its
// threshold, the pattern stands for it. `window` is the second since the epoch in which the window
// began.
//
// Source: src/limiter/cache_key.go of envoyproxy/ratelimit, by what it writes to Redis.
//
// Thread safety: functions without shared state.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "limiter/core/descriptor.h"
#include "limiter/core/rule_table.h"

namespace weir {

// When the window of `limit` that holds `wall_ns` begins, in nanoseconds since the epoch.
// REQUIRES: wall_ns >= 0.
inline int64_t WindowStartNs(const Limit& limit, int64_t wall_ns) {
  return wall_ns - wall_ns % limit.window_ns;
}

// Appends the key to `text`. `rule` is nullptr for an override, which counts under the request's
// own values. REQUIRES: the rule was found for these entries; window_start_ns is whole seconds.
void AppendSharedKey(std::string_view prefix, std::string_view domain,
                     std::span<const Entry> entries, const Rule* rule, int64_t window_start_ns,
                     std::string& text);

}  // namespace weir
