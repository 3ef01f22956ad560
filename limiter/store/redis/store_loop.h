#pragma once

// The thread that talks to Redis: a libevent loop, one per process, however many threads ask.
//
// Thread safety: Start and Stop from one thread; Wake from any; the rest says from where.

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include "absl/status/status.h"
#include "limiter/core/clock.h"
#include "limiter/core/executor.h"
#include "limiter/core/mutex.h"
#include "limiter/store/redis/event.h"

namespace weir {

class StoreLoop : public Executor {
 public:
  // `turn` runs on the loop's thread after Wake and returns when it wants to run again at the
  // latest, on the monotonic clock; kNeverNs: when woken.
  StoreLoop(Clock& clock, std::function<int64_t()> turn);
  ~StoreLoop() override;

  // For events of the loop's thread; those made before Start may be made on the caller's.
  event_base* base() { return base_.get(); }

  absl::Status Start();
  // Runs `last` on the loop's thread, then ends it.
  void Stop(std::function<void()> last);

  void Wake();
  // Runs `task` on the loop's thread.
  void Post(std::function<void()> task) override;

 private:
  struct FreeBase {
    void operator()(event_base* base) const { event_base_free(base); }
  };

  void OnWake();
  void Turn();

  Clock& clock_;
  const std::function<int64_t()> turn_;
  std::unique_ptr<event_base, FreeBase> base_;
  int wake_fd_ = -1;
  Event wake_;
  Event timer_;
  std::thread thread_;
  Mutex mutex_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
