#include "limiter/runtime/system_clock.h"

#include <time.h>

#include <cstdint>

namespace weir {
namespace {

int64_t ReadNs(clockid_t id) {
  timespec time{};
  clock_gettime(id, &time);
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Instant SystemClock::Now() { return {ReadNs(CLOCK_BOOTTIME), ReadNs(CLOCK_REALTIME)}; }

}  // namespace weir
