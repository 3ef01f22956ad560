#pragma once

// What the settings of TLS on the listeners must be together.
//
// Thread safety: functions without shared state.

#include <string>
#include <vector>

#include "limiter/config/settings_load.h"

namespace weir {

// Adds warnings to `loaded` and returns the errors. REQUIRES: each value by itself was accepted.
std::vector<std::string> CheckTlsSettings(LoadedSettings& loaded);

}  // namespace weir
