#include "limiter/metrics/config_status.h"

#include <cstdint>
#include <string_view>

namespace weir {

void ConfigStatus::RecordSuccess(std::string_view hash, int64_t wall_ns) {
  MutexLock lock(mutex_);
  ++now_.successes;
  now_.last_successful = true;
  now_.success_wall_ns = wall_ns;
  now_.hash = hash;
}

void ConfigStatus::RecordFailure() {
  MutexLock lock(mutex_);
  ++now_.failures;
  now_.last_successful = false;
}

void ConfigStatus::RecordRestored() {
  MutexLock lock(mutex_);
  now_.last_successful = true;
}

ConfigStatus::Snapshot ConfigStatus::Get() const {
  MutexLock lock(mutex_);
  return now_;
}

}  // namespace weir
