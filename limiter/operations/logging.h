#pragma once

// The log: standard error, one line per event, for people or as one JSON object each. What would
// break a line or a terminal is escaped, and a text that is repeated is written three times and
// then counted for 10 s.
//
// Thread safety: StartLogging before any other thread logs; the rest from any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "limiter/core/deny_log.h"

namespace weir {

// Logs to standard error from now on. `level` is one of --log-level's values.
void StartLogging(const std::string& level, bool json);

// Writes how often texts were repeated whose 10 s are over at `wall_ns`. Called now and then.
void ExpireLogRepeats(int64_t wall_ns);

// Whether lines of level info are written.
bool LogsInfo();

// One line for a denial; `store_state` is that of a shared store, or "memory". Not subject to the
// counting of repeats: DenyLog bounds it.
void LogDenial(const Denial& denial, std::string_view store_state);

// The text with control characters, and bytes that are no UTF-8, as escapes: one line that leaves
// a terminal as it is.
std::string EscapedForLog(std::string_view text);

}  // namespace weir
