#pragma once

// When to try to connect again: exponential backoff with full jitter (Brooker, "Exponential Backoff
// And Jitter", 2015), and never more often than once per `interval_min_ns`, however it failed.
//
// Pauses are counted from the beginning of the last attempt, so that the time an attempt takes to
// fail does not add to them: from the moment Redis can be reached again, the next attempt begins
// within `max_ns`.
//
// Thread safety: one thread.

#include <algorithm>
#include <cstdint>
#include <random>

namespace weir {

struct BackoffOptions {
  int64_t base_ns = 250'000'000;
  int64_t max_ns = 900'000'000;           // below a second: recovery is promised within one
  int64_t interval_min_ns = 500'000'000;  // two attempts a second
};

class Backoff {
 public:
  Backoff(const BackoffOptions& options, uint64_t seed) : options_(options), random_(seed) {}

  void NoteAttempt(int64_t now_ns) {
    began_ns_ = now_ns;
    ever_ = true;
    failures_ = std::min(failures_ + 1, kFailuresMax);
  }
  // A connection lasted: the next loss is not one of a series.
  void Reset() { failures_ = 0; }

  // When the next attempt may begin. `fresh`: what ended was a connection in use, at now_ns, and
  // many others may have lost theirs at the same moment.
  int64_t NextNs(int64_t now_ns, bool fresh) {
    if (!ever_) return now_ns;
    const int64_t ceiling_ns =
        std::min(options_.max_ns, options_.base_ns << std::max(failures_ - 1, 0));
    const int64_t pause_ns = std::uniform_int_distribution<int64_t>(0, ceiling_ns)(random_);
    const int64_t next_ns = (fresh ? now_ns : began_ns_) + pause_ns;
    return std::max({now_ns, next_ns, began_ns_ + options_.interval_min_ns});
  }

  // The same when there is reason to hope: the next attempt may well succeed.
  int64_t SoonNs(int64_t now_ns) {
    const int64_t pause_ns = std::uniform_int_distribution<int64_t>(0, kSoonNs)(random_);
    return std::max(now_ns + pause_ns, began_ns_ + options_.interval_min_ns);
  }

 private:
  static constexpr int kFailuresMax = 20;
  static constexpr int64_t kSoonNs = 50'000'000;

  const BackoffOptions options_;
  std::mt19937_64 random_;
  int64_t began_ns_ = 0;
  bool ever_ = false;
  int failures_ = 0;
};

}  // namespace weir
