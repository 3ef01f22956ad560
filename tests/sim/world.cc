#include "tests/sim/world.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace weir::sim {

int64_t Rng::Exponential(double mean_ns) {
  const double ns = -std::log1p(-Unit()) * mean_ns;
  return static_cast<int64_t>(std::min(ns, 1e17));
}

void World::At(int64_t time_ns, Task task) {
  heap_.push({std::max(time_ns, now_ns_), sequence_++, std::move(task)});
}

void World::RunUntil(int64_t time_ns) {
  while (!heap_.empty() && heap_.top().time_ns <= time_ns) {
    // The heap gives its top as const; what is moved out is popped at once.
    Task task = std::move(const_cast<Event&>(heap_.top()).task);
    now_ns_ = heap_.top().time_ns;
    heap_.pop();
    ++events_;
    task();
  }
  now_ns_ = time_ns;
}

void World::Trace(const std::string& text) const {
  std::printf("%14.6f ms  %s\n", static_cast<double>(now_ns_) / kMs, text.c_str());
}

}  // namespace weir::sim
