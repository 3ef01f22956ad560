#pragma once

// A whole engine on a memory store, without a listener, and what a scrape of it says.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/clock.h"
#include "limiter/core/engine.h"
#include "limiter/core/executor.h"
#include "limiter/core/rule_spec.h"
#include "limiter/core/series.h"
#include "limiter/metrics/config_status.h"
#include "limiter/metrics/engine_collector.h"
#include "limiter/store/memory_store.h"

namespace weir {

class FakeClock : public Clock {
 public:
  Instant Now() override { return now_; }
  void Advance(int64_t ns) {
    now_.mono_ns += ns;
    now_.wall_ns += ns;
  }

 private:
  Instant now_{.mono_ns = 1'000'000'000, .wall_ns = 1'700'000'000'000'000'000};
};

// Drops its tasks: here they only destroy old rules.
class DroppingExecutor : public Executor {
 public:
  void Post(std::function<void()>) override {}
};

// A rule `key[=value]` of `hits` per minute at the first level of a domain.
DescriptorSpec MinuteRule(std::string key, std::string value, uint32_t hits);
DomainSpec DomainOf(std::string name, std::vector<DescriptorSpec> descriptors);

// Series as written, "name{labels}", with their values; of comment lines, only how many families
// each name has.
struct Scrape {
  std::string text;
  std::map<std::string, double> values;
  std::map<std::string, int> helps;
  std::map<std::string, int> types;
  bool duplicates = false;

  bool Has(std::string_view series) const { return values.contains(std::string(series)); }
  // -1 if the series does not exist: no metric is negative.
  double Of(std::string_view series) const;
  // Number of series whose text starts with `prefix`.
  int Count(std::string_view prefix) const;
};
Scrape Parse(std::string text);

struct TestedOptions {
  EngineOptions engine;
  MemoryStoreOptions store{.keys_max = 4096};
  std::size_t series_max = 10'000;
};

class Tested {
 public:
  using Entries = std::vector<std::pair<std::string, std::string>>;

  explicit Tested(const TestedOptions& options = {});

  void SetRules(const std::vector<DomainSpec>& domains);
  // One request with one descriptor.
  void Ask(Worker& worker, std::string_view domain, const Entries& entries, uint64_t hits = 1,
           Op op = Op::kTake);
  Scrape Get(EngineCollectorOptions collector = {});

  FakeClock clock;
  DroppingExecutor executor;
  SeriesRegistry series;
  MemoryStore store;
  Engine engine;
  ConfigStatus config;
};

}  // namespace weir
