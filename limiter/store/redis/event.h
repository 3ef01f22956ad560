#pragma once

// libevent's events as owned values, and timers in nanoseconds.
//
// Thread safety: the thread of the event's base.

#include <event2/event.h>

#include <algorithm>
#include <cstdint>
#include <memory>

namespace weir {

struct FreeEvent {
  void operator()(event* e) const { event_free(e); }
};
using Event = std::unique_ptr<event, FreeEvent>;

// Starts the timer, or starts it anew; a time that has passed is now.
inline void StartTimer(const Event& timer, int64_t in_ns) {
  in_ns = std::max<int64_t>(in_ns, 0);
  const timeval in = {static_cast<time_t>(in_ns / 1'000'000'000),
                      static_cast<suseconds_t>(in_ns % 1'000'000'000 / 1'000)};
  event_add(timer.get(), &in);
}

}  // namespace weir
