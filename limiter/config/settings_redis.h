#pragma once

// What the settings of the Redis store must be together, and what follows from them.
//
// Thread safety: functions without shared state.

#include <string>
#include <vector>

#include "limiter/config/settings_load.h"

namespace weir {

// Decides the store where none was chosen, completes defaults that depend on other settings, and
// adds warnings to `loaded`. Returns the errors, none of which holds a secret. REQUIRES: each value
// by itself was accepted.
std::vector<std::string> CompleteRedisSettings(LoadedSettings& loaded);

}  // namespace weir
