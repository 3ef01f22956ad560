#pragma once

// The families of a shared store (docs/metrics.md): whoever runs the store fills a StoreStatus at
// each scrape.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "limiter/core/policy.h"
#include "limiter/metrics/families.h"

namespace weir {

// "local_share", "allow", "deny", "error", by OnStoreFailure.
inline constexpr std::size_t kFailureModes = 4;
const char* FailureModeName(OnStoreFailure mode);

struct StoreStatus {
  struct Server {
    std::string address;
    std::string state;  // "connected", "suspect", "isolated", "recovering"
    bool connected = false;
  };
  struct Calls {
    std::string op;
    std::string result;
    uint64_t count = 0;
  };
  struct Errors {
    std::string kind;
    uint64_t count = 0;
  };

  std::vector<Server> servers;
  std::string state;  // the worst of them
  std::vector<Calls> calls;
  std::vector<Errors> errors;
  DurationSums call_durations;
  uint64_t redirects = 0;
  uint64_t reconnects = 0;
  uint64_t failovers = 0;
  uint64_t clock_faults = 0;
  int64_t clock_offset_ns = 0;
  uint64_t waiting = 0;
  uint64_t wait_timeouts = 0;
  uint64_t waiting_refused = 0;
  uint64_t late_replies = 0;
  int nodes = 0;                               // that share the store; 0: not known
  std::array<bool, kFailureModes> degraded{};  // by OnStoreFailure: decides at the moment
};

void AddStoreFamilies(Families& families, const StoreStatus& status);

}  // namespace weir
