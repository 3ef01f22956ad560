#pragma once

// Sums over workers of the counters that have a fixed number of series.

#include <cstddef>
#include <cstdint>
#include <span>

#include "limiter/core/counters.h"
#include "limiter/metrics/families.h"

namespace weir {

struct MethodSums {
  uint64_t requests[kGrpcCodes] = {};
  DurationSums durations;
};

inline MethodSums SumMethod(std::span<const WorkerCounters* const> workers, Method method) {
  MethodSums sums;
  for (const WorkerCounters* worker : workers) {
    const MethodCounters& counters = worker->methods[static_cast<std::size_t>(method)];
    for (std::size_t code = 0; code < kGrpcCodes; ++code) {
      sums.requests[code] += counters.requests[code].Get();
    }
    for (std::size_t bucket = 0; bucket <= kDurationBoundsNs.size(); ++bucket) {
      sums.durations.buckets[bucket] += counters.duration_buckets[bucket].Get();
    }
    sums.durations.sum_ns += counters.duration_sum_ns.Get();
  }
  return sums;
}

inline uint64_t SumCounter(std::span<const WorkerCounters* const> workers,
                           Counter WorkerCounters::*counter) {
  uint64_t sum = 0;
  for (const WorkerCounters* worker : workers) sum += (worker->*counter).Get();
  return sum;
}

}  // namespace weir
