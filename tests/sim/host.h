#pragma once

// The process that a node's code runs in, as the world treats it: paused, killed, started anew.

#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

#include "tests/sim/clocks.h"
#include "tests/sim/world.h"

namespace weir::sim {

class Host {
 public:
  using Task = std::function<void()>;

  Host(World& world, int id, const SimClock& clock) : world_(world), id_(id), clock_(clock) {}

  World& world() { return world_; }
  SimClock& clock() { return clock_; }
  int id() const { return id_; }
  bool paused() const { return paused_; }
  uint64_t incarnation() const { return incarnation_; }

  // Now, or when the process runs again; never if it dies before. What is due runs in order.
  void Run(Task task) {
    if (paused_) {
      held_.push_back(std::move(task));
    } else {
      task();
    }
  }
  // When the monotonic clock shows that time.
  void AtMono(int64_t mono_ns, Task task) { AtTrue(clock_.TrueAt(mono_ns), std::move(task)); }
  void After(int64_t ns, Task task) { AtTrue(world_.now_ns() + ns, std::move(task)); }
  void AtTrue(int64_t true_ns, Task task) {
    world_.At(true_ns, [this, task = std::move(task), incarnation = incarnation_]() mutable {
      if (incarnation == incarnation_) Run(std::move(task));
    });
  }

  void Pause() {
    paused_ = true;
    paused_last_ns_ = world_.now_ns();
  }
  void Resume() {
    paused_ = false;
    paused_last_ns_ = world_.now_ns();
    while (!paused_ && !held_.empty()) {
      Task task = std::move(held_.front());
      held_.pop_front();
      task();
    }
  }
  // Everything that was to happen in the process will not. It is not paused any more.
  void Kill() {
    ++incarnation_;
    held_.clear();
    paused_ = false;
  }
  // The last moment at which it was paused.
  int64_t paused_last_ns() const { return paused_ ? world_.now_ns() : paused_last_ns_; }

 private:
  World& world_;
  const int id_;
  SimClock clock_;
  bool paused_ = false;
  int64_t paused_last_ns_ = INT64_MIN / 2;
  uint64_t incarnation_ = 0;
  std::deque<Task> held_;
};

}  // namespace weir::sim
