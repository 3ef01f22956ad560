#pragma once

// How many streams of one kind are open, at most so many, and how many were refused.
//
// Thread safety: safe from any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir {

class StreamBound {
 public:
  explicit StreamBound(std::size_t streams_max) : streams_max_(streams_max) {}

  // False: there are too many; the refusal is counted. Else Leave once when the stream is gone.
  bool Enter() {
    if (streams_.fetch_add(1, std::memory_order_relaxed) < streams_max_) return true;
    streams_.fetch_sub(1, std::memory_order_relaxed);
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  void Leave() { streams_.fetch_sub(1, std::memory_order_relaxed); }

  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  const std::size_t streams_max_;
  // Relaxed: each number stands for itself.
  std::atomic<std::size_t> streams_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace weir
