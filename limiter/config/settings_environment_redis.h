#pragma once

// What the reference's variables about Redis come down to where one of them is no setting of its
// own: REDIS_URL with REDIS_SOCKET_TYPE, REDIS_TYPE, REDIS_AUTH, REDIS_TIMEOUT, and the same with
// REDIS_PERSECOND_.
//
// Thread safety: functions without shared state.

#include "limiter/config/settings_environment.h"

namespace weir {

// Adds values, errors and warnings to `reading`.
void ReadRedisEnvironment(const Environment& environment, EnvironmentReading& reading);

}  // namespace weir
