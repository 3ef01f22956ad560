// What keys and rules cost: resident bytes per key held, memory under a flood of keys, the time to
// load and swap large rule sets and what checks feel of it. One line per measurement.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "limiter/config/rule_file.h"
#include "limiter/core/engine.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/store/memory_store.h"

namespace weir {
namespace {

constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;
constexpr std::size_t kKeys = 1'000'000;

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t total_pages = 0;
  int64_t resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * sysconf(_SC_PAGESIZE);
}

class SyncCheck : public Check {
 public:
  void OnChecked() override {}
};

DescriptorSpec RuleFor(Algorithm algorithm) {
  DescriptorSpec descriptor;
  descriptor.key = "user";
  descriptor.rate_limit.emplace();
  descriptor.rate_limit->unit = Unit::kDay;
  descriptor.rate_limit->limit = {.algorithm = algorithm, .hits = 1000, .window_ns = kDayNs};
  return descriptor;
}

struct World {
  SystemClock clock;
  ThreadExecutor executor;
  SeriesRegistry series{10'000};
  MemoryStore store{{.keys_max = kKeys}};
  Engine engine{{}, clock, store, executor, series};
  Worker& worker = engine.AddWorker();

  void Check(SyncCheck& check, std::string_view value) {
    const Entry entry{"user", value};
    check.domain = "bench";
    check.descriptors.resize(1);
    check.descriptors[0] = {.entries = {&entry, 1}, .limit = {}};
    engine.Run(worker, check);
  }
  void Flood(std::size_t first, std::size_t last) {
    SyncCheck check;
    for (std::size_t i = first; i < last; ++i) Check(check, "user-" + std::to_string(i));
  }
};

void MeasureKeys(Algorithm algorithm) {
  malloc_trim(0);
  const auto world = std::make_unique<World>();
  world->engine.SetRules(
      RuleTable::Build({{.domain = "bench", .descriptors = {RuleFor(algorithm)}, .position = {}}},
                       {}, world->series));
  world->Flood(0, 1);
  const int64_t before = ResidentBytes();
  world->Flood(0, kKeys);
  const int64_t held = ResidentBytes() - before;
  std::printf("keys %-15s %zu keys, %.1f bytes of RSS per key\n", AlgorithmName(algorithm), kKeys,
              static_cast<double>(held) / static_cast<double>(kKeys));
  if (algorithm != Algorithm::kTokenBucket) return;
  const int64_t full = ResidentBytes();
  world->Flood(kKeys, 10 * kKeys);
  std::printf("flood %-14s 10000000 keys with keys-max %zu: RSS grew by %.1f MiB more\n",
              AlgorithmName(algorithm), kKeys,
              static_cast<double>(ResidentBytes() - full) / (1 << 20));
}

std::string RulesYaml(int rules) {
  std::string yaml = "domain: bench\ndescriptors:\n";
  for (int i = 0; i < rules; ++i) {
    yaml += "  - key: user\n    value: u" + std::to_string(i) +
            "\n    rate_limit: {unit: minute, requests_per_unit: " + std::to_string(i + 1) + "}\n";
  }
  return yaml;
}

// Loads while another thread checks, and reports the longest of its checks.
void MeasureLoad(int rules) {
  const auto world = std::make_unique<World>();
  const RuleFile file{"bench.yaml", RulesYaml(rules), "", ""};
  const auto load = [&] {
    const RuleSet set = ParseRuleFiles({&file, 1}, {});
    world->engine.SetRules(RuleTable::Build(set.domains, {}, world->series));
  };
  load();
  std::atomic<bool> stop{false};
  std::vector<int64_t> times_ns;
  std::thread checking([&] {
    Worker& worker = world->engine.AddWorker();
    SyncCheck check;
    const Entry entry{"user", "u7"};
    check.domain = "bench";
    check.descriptors.resize(1);
    check.descriptors[0] = {.entries = {&entry, 1}, .limit = {}};
    while (!stop.load(std::memory_order_relaxed)) {
      const int64_t begin_ns = world->clock.Now().mono_ns;
      world->engine.Run(worker, check);
      times_ns.push_back(world->clock.Now().mono_ns - begin_ns);
    }
  });
  std::vector<double> loads_ms;
  for (int i = 0; i < 5; ++i) {
    const int64_t begin_ns = world->clock.Now().mono_ns;
    load();
    loads_ms.push_back(static_cast<double>(world->clock.Now().mono_ns - begin_ns) / 1e6);
  }
  stop.store(true);
  checking.join();
  std::sort(loads_ms.begin(), loads_ms.end());
  std::sort(times_ns.begin(), times_ns.end());
  const auto at = [&](double share) {
    const auto last = static_cast<double>(times_ns.size() - 1);
    return static_cast<double>(times_ns[static_cast<std::size_t>(share * last)]) / 1e3;
  };
  std::printf(
      "rules %d loaded and swapped in %.0f ms (median of 5); checks meanwhile: "
      "p50 %.2f us, p99.99 %.1f us, longest %.0f us of %zu\n",
      rules, loads_ms[2], at(0.5), at(0.9999), at(1), times_ns.size());
}

}  // namespace
}  // namespace weir

int main() {
  weir::MeasureKeys(weir::Algorithm::kTokenBucket);
  weir::MeasureKeys(weir::Algorithm::kFixedWindow);
  weir::MeasureKeys(weir::Algorithm::kSlidingWindow);
  weir::MeasureLoad(10'000);
  weir::MeasureLoad(100'000);
  return 0;
}
