#include "limiter/store/redis/store_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "algorithms/decision.h"

namespace weir {
namespace {

// Waits end on time: without it libevent rounds up to whole milliseconds.
event_base* NewBase() {
  event_config* config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* base = event_base_new_with_config(config);
  event_config_free(config);
  return base;
}

}  // namespace

StoreLoop::StoreLoop(Clock& clock, std::function<int64_t()> turn)
    : clock_(clock), turn_(std::move(turn)), base_(NewBase()) {}

StoreLoop::~StoreLoop() {
  Stop([] {});
  wake_.reset();
  timer_.reset();
  if (wake_fd_ >= 0) close(wake_fd_);
}

absl::Status StoreLoop::Start() {
  if (base_ == nullptr) return absl::InternalError("store: libevent gives no event loop");
  wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd_ < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("store: eventfd: ", std::strerror(errno)));
  }
  wake_.reset(event_new(
      base_.get(), wake_fd_, EV_READ | EV_PERSIST,
      [](evutil_socket_t, short, void* loop) { static_cast<StoreLoop*>(loop)->OnWake(); }, this));
  timer_.reset(event_new(
      base_.get(), -1, 0,
      [](evutil_socket_t, short, void* loop) { static_cast<StoreLoop*>(loop)->Turn(); }, this));
  if (wake_ == nullptr || timer_ == nullptr || event_add(wake_.get(), nullptr) != 0) {
    return absl::ResourceExhaustedError("store: libevent gives no event");
  }
  thread_ = std::thread([this] { event_base_dispatch(base_.get()); });
  return absl::OkStatus();
}

void StoreLoop::Stop(std::function<void()> last) {
  if (!thread_.joinable()) return;
  Post([this, last = std::move(last)] {
    last();
    event_base_loopbreak(base_.get());
  });
  thread_.join();
}

void StoreLoop::Wake() {
  const uint64_t one = 1;
  // Fails only when the counter is full, and then the loop is woken anyway.
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof(one));
}

void StoreLoop::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  Wake();
}

void StoreLoop::OnWake() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t bytes = read(wake_fd_, &count, sizeof(count));
  std::vector<std::function<void()>> tasks;
  {
    MutexLock lock(mutex_);
    std::swap(tasks, tasks_);
  }
  for (const std::function<void()>& task : tasks) task();
  Turn();
}

void StoreLoop::Turn() {
  const int64_t next_ns = turn_();
  if (next_ns == kNeverNs) {
    event_del(timer_.get());
    return;
  }
  // A microsecond more, because what is left of one is cut off.
  StartTimer(timer_, std::max<int64_t>(next_ns - clock_.Now().mono_ns, 0) + 1'000);
}

}  // namespace weir
