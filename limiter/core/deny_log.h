#pragma once

// Which denials are logged: so many a second and no more, so that a flood of them costs no more
// than one. A check asks Due, which only reads while the answer is no; the line is written
// elsewhere.
//
// Thread safety: safe from any thread; `write` is called from one thread at a time if Log is.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "limiter/core/store.h"

namespace weir {

// A denied descriptor, without what the caller said about itself.
struct Denial {
  std::string domain;
  std::string rule;  // its name, else its path; "_override" for a limit that the caller brought
  Source source = Source::kNone;
  bool shadow = false;      // it was counted and answered OK
  uint64_t key_hash = 0;    // of rule and values, under the secret of the keys
  uint64_t suppressed = 0;  // denials since the last line that have none
};

class DenyLog {
 public:
  // REQUIRES: lines_per_second > 0. `write` writes one line.
  DenyLog(int64_t lines_per_second, std::function<void(const Denial&)> write)
      : interval_ns_(1'000'000'000 / lines_per_second), write_(std::move(write)) {}

  // Whether this denial is to be logged; then Log must follow.
  bool Due(int64_t now_mono_ns) {
    // Relaxed: nothing but the value itself is passed on, and of several threads that see the same
    // value one wins.
    int64_t next_ns = next_ns_.load(std::memory_order_relaxed);
    if (now_mono_ns < next_ns) return false;
    if (!next_ns_.compare_exchange_strong(next_ns, now_mono_ns + interval_ns_,
                                          std::memory_order_relaxed)) {
      return false;
    }
    due_.fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  // `denials`: how many there were in all, this one included, logged or not.
  void Log(Denial denial, uint64_t denials) {
    const uint64_t accounted = due_.load(std::memory_order_relaxed) + suppressed_;
    denial.suppressed = denials > accounted ? denials - accounted : 0;
    suppressed_ += denial.suppressed;
    write_(denial);
  }

 private:
  const int64_t interval_ns_;
  const std::function<void(const Denial&)> write_;
  std::atomic<int64_t> next_ns_{0};
  std::atomic<uint64_t> due_{0};
  uint64_t suppressed_ = 0;  // in all lines; of the thread that logs
};

}  // namespace weir
