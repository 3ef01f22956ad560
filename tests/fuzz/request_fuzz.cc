// Any bytes as a request of either API: never a crash, one status per descriptor, never more hits
// admitted than the limit.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>

#include "limiter/core/engine.h"
#include "limiter/rpc/limiter_handler.h"
#include "limiter/rpc/rate_limit_handler.h"
#include "limiter/store/memory_store.h"

namespace {

constexpr int64_t kHourNs = 3'600'000'000'000;

class StoppedClock : public weir::Clock {
 public:
  weir::Instant Now() override { return {kHourNs, 400'000 * kHourNs}; }
};

class InlineExecutor : public weir::Executor {
 public:
  void Post(std::function<void()> task) override { task(); }
};

weir::DescriptorSpec Rule(const std::string& key, weir::Algorithm algorithm) {
  weir::DescriptorSpec descriptor;
  descriptor.key = key;
  descriptor.rate_limit.emplace();
  descriptor.rate_limit->unit = weir::Unit::kHour;
  descriptor.rate_limit->name = key;
  descriptor.rate_limit->limit = {.algorithm = algorithm, .hits = 10, .window_ns = kHourNs};
  return descriptor;
}

struct World {
  StoppedClock clock;
  InlineExecutor executor;
  weir::SeriesRegistry series{1000};
  weir::MemoryStore store{{.keys_max = 256}};
  weir::Engine engine{{.count_stats = true}, clock, store, executor, series};
  weir::RpcOptions options;
  weir::RateLimitHandler rate_limit{engine, options};
  weir::LimiterHandler limiter{engine, options};
  weir::Worker& worker = engine.AddWorker();

  World() {
    options.response_headers = true;
    options.response_dynamic_metadata = true;
    options.allow_reset = true;
    weir::DomainSpec domain;
    domain.domain = "d";
    domain.descriptors = {Rule("f", weir::Algorithm::kFixedWindow),
                          Rule("s", weir::Algorithm::kSlidingWindow),
                          Rule("t", weir::Algorithm::kTokenBucket)};
    domain.descriptors[2].detailed_metric = true;
    engine.SetRules(weir::RuleTable::Build({domain}, {}, series));
  }
};

void Envoy(World& world, const void* data, int size) {
  weir::RateLimitHandler::Request request;
  if (!request.ParseFromArray(data, size)) return;
  weir::RateLimitHandler::Response response;
  weir::RateLimitHandler::Call call;
  int answers = 0;
  world.rate_limit.ShouldRateLimit(
      {world.worker}, request, &response, call, [&](const absl::Status& status) {
        ++answers;
        if (status.ok() && response.statuses_size() != request.descriptors_size()) std::abort();
      });
  if (answers != 1) std::abort();
}

void Native(World& world, const void* data, int size) {
  weir::v1::CheckRequest request;
  if (!request.ParseFromArray(data, size)) return;
  weir::v1::CheckResponse response;
  weir::LimiterHandler::Call call;
  world.limiter.Check({world.worker}, request, &response, call, [&](const absl::Status& status) {
    if (status.ok() && response.items_size() != request.descriptors_size()) std::abort();
    for (const weir::v1::Decision& item : response.items()) {
      if (item.has_limit() && item.remaining() > item.limit().burst()) std::abort();
    }
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  static World* const world = new World();
  if (size == 0 || size > (64U << 10)) return 0;
  const int bytes = static_cast<int>(size - 1);
  switch (data[0] % 3) {
    case 0:
      Envoy(*world, data + 1, bytes);
      break;
    case 1:
      Native(*world, data + 1, bytes);
      break;
    default:
      weir::JsonCall().Run(world->rate_limit, {world->worker},
                           {reinterpret_cast<const char*>(data + 1), size - 1},
                           [](const weir::JsonAnswer&) {});
  }
  return 0;
}
