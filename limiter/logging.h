#pragma once

// The program's log: one line per event on standard error, RFC 3339 times in UTC.

#include <string>

namespace weir {

// `level`: trace, debug, info, warn, error. `json`: one object per line instead of text.
// REQUIRES: called once, before other threads start.
void StartLogging(const std::string& level, bool json);

}  // namespace weir
