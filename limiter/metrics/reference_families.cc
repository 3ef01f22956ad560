#include "limiter/metrics/reference_families.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/metrics/slot_rows.h"
#include "limiter/metrics/worker_sums.h"

namespace weir {
namespace {

constexpr std::string_view kGrpcMethod = "ShouldRateLimit";  // the only one it counts

// gRPC codes of answers that the reference would count as its own error: UNKNOWN with its texts,
// INVALID_ARGUMENT where Weir says so instead, INTERNAL.
constexpr std::size_t kServiceErrorCodes[] = {2, 3, 13};

struct StatFamily {
  std::string_view name;
  std::string_view help;
  Counter StatCounters::*counter;
};
constexpr StatFamily kStatFamilies[] = {
    {"ratelimit_service_rate_limit_total_hits", "Hits asked for.", &StatCounters::total_hits},
    {"ratelimit_service_rate_limit_over_limit", "Hits above the limit, shadowed ones included.",
     &StatCounters::over_limit},
    {"ratelimit_service_rate_limit_near_limit", "Hits within the limit but near it.",
     &StatCounters::near_limit},
    {"ratelimit_service_rate_limit_within_limit", "Hits of decisions within the limit.",
     &StatCounters::within_limit},
    {"ratelimit_service_rate_limit_shadow_mode", "Hits above the limit that shadow mode let pass.",
     &StatCounters::shadow_mode},
    {"ratelimit_service_rate_limit_total_negative_hits", "Hits given back.",
     &StatCounters::negative_hits},
};

void AddStats(Families& families, const SlotRows& rows, const StatFamily& family,
              std::span<const WorkerCounters* const> workers) {
  std::vector<uint64_t> sums(rows.rows());
  for (const WorkerCounters* worker : workers) {
    for (std::size_t slot = 0; slot < rows.slots(); ++slot) {
      const StatCounters* counters = worker->stats.Find(slot);
      if (counters != nullptr) sums[rows.RowOf(slot)] += (counters->*family.counter).Get();
    }
  }
  families.Counter(family.name, family.help);
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    if (sums[row] == 0) continue;
    const SlotRows::Labels& labels = rows.labels(row);
    families.Add({{"domain", labels[0]}, {"key1", labels[1]}, {"key2", labels[2]}}, sums[row]);
  }
}

}  // namespace

void AddReferenceFamilies(Families& families, const SeriesRegistry& series,
                          std::span<const WorkerCounters* const> workers,
                          const ConfigStatus::Snapshot& config) {
  const SlotRows rows = SlotRows::OfStats(series);
  for (const StatFamily& family : kStatFamilies) AddStats(families, rows, family, workers);

  const MethodSums sums = SumMethod(workers, Method::kShouldRateLimit);
  uint64_t requests = 0;
  for (const uint64_t count : sums.requests) requests += count;
  uint64_t service_errors = 0;
  for (const std::size_t code : kServiceErrorCodes) service_errors += sums.requests[code];

  families.Counter("ratelimit_service_should_rate_limit_error",
                   "Calls of ShouldRateLimit that ended in an error, by whose it was.");
  families.Add({{"err_type", "redis_error"}}, uint64_t{0});  // the memory store cannot fail
  families.Add({{"err_type", "service_error"}}, service_errors);
  families.Counter("ratelimit_service_total_requests", "Calls of ShouldRateLimit.");
  families.Add({{"grpc_method", kGrpcMethod}}, requests);
  families.Histogram("ratelimit_service_response_time_seconds",
                     "Time from a call's arrival to its answer.");
  families.Add({{"grpc_method", kGrpcMethod}}, sums.durations);
  families.Counter("ratelimit_service_config_load_success", "Configurations that came into force.");
  families.Add({}, config.successes);
  families.Counter("ratelimit_service_config_load_error", "Configurations that were refused.");
  families.Add({}, config.failures);
}

}  // namespace weir
