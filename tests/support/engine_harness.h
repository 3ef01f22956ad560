#pragma once

// An engine on the memory store with everything it needs, driven from one thread.

#include <cstdint>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "limiter/store/memory_store.h"
#include "tests/support/executors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/rule_builder.h"
#include "tests/support/sync_check.h"

namespace weir::test {

struct HarnessOptions {
  EngineOptions engine;
  MemoryStoreOptions store = {.keys_max = 4096, .ring_bytes_max = std::size_t{4} << 20};
  std::size_t series_max = 10'000;
};

class EngineHarness {
 public:
  // Rules of domain "d".
  explicit EngineHarness(std::vector<DescriptorSpec> rules, HarnessOptions options = {})
      : series(options.series_max),
        store(options.store),
        engine(options.engine, clock, store, executor, series),
        worker(engine.AddWorker()) {
    Load(Domain("d", std::move(rules)));
  }

  void Load(const std::vector<DomainSpec>& domains) {
    engine.SetRules(RuleTable::Build(domains, table_options, series));
  }
  void Reload(std::vector<DescriptorSpec> rules) { Load(Domain("d", std::move(rules))); }

  // Runs the check; returns the verdict over the request.
  bool Run(Check& check) {
    engine.Run(worker, check);
    return check.allowed;
  }
  // A request of one descriptor.
  Outcome Take(Entries entries, uint64_t hits = 1, Op op = Op::kTake) {
    SyncCheck check;
    check.Add(std::move(entries), hits, op);
    Run(check);
    return check[0];
  }
  bool Passes(Entries entries, uint64_t hits = 1) {
    return Take(std::move(entries), hits).decision.allowed;
  }

  const RuleCounters& RuleCount(uint32_t slot) { return worker.counters().rules.At(slot); }
  const StatCounters& StatCount(uint32_t slot) { return worker.counters().stats.At(slot); }

  RuleTableOptions table_options;
  FakeClock clock;
  ManualExecutor executor;
  SeriesRegistry series;
  MemoryStore store;
  Engine engine;
  Worker& worker;
};

}  // namespace weir::test
