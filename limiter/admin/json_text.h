#pragma once

// What the debug pages say, as JSON for programs. Bytes that are not UTF-8 become U+FFFD.
//
// Thread safety: functions without shared state.

#include <string>
#include <vector>

#include "limiter/admin/reload_history.h"
#include "limiter/admin/status.h"
#include "limiter/admin/status_html.h"

namespace weir {

// The page "/" without the settings, which /config has.
std::string StatusJson(const Status& status);

// The page "/reloads", newest first.
std::string ReloadsJson(const std::vector<Reload>& reloads);

// The page "/top": the keys of some rules.
std::string TopJson(const std::vector<TopPage>& rules);

}  // namespace weir
