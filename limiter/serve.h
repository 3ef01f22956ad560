#pragma once

// `weir serve`: builds the objects in order, serves until a signal asks to end, drains.

#include "limiter/config/settings_load.h"

namespace weir {

// Returns the exit code. Ends on SIGTERM and SIGINT; SIGHUP reads the rules folder at once.
int Serve(const LoadedSettings& loaded);

}  // namespace weir
