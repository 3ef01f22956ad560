// What a decision costs inside the process: the algorithms alone, and Engine::Run on the memory
// store and out of leases, with its allocations counted.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "algorithms/fixed_window.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"
#include "limiter/core/engine.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/store/memory_store.h"
#include "limiter/store/shared_store.h"

namespace {

std::atomic<uint64_t> g_allocations{0};

}  // namespace

// Every allocation of the process is counted. Not inlined: GCC would see malloc or free in callers
// and take them for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  void* block = std::malloc(bytes);
  if (block == nullptr) throw std::bad_alloc();
  return block;
}
[[gnu::noinline]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::noinline]] void operator delete(void* block, std::size_t) noexcept { std::free(block); }

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

Limit LimitOf(Algorithm algorithm, uint32_t hits) {
  Limit limit;
  MakeLimit({.algorithm = algorithm, .hits = hits, .window_ns = 60 * kSecondNs}, &limit);
  return limit;
}

void BM_TokenBucketTake(benchmark::State& state) {
  const Limit limit = LimitOf(Algorithm::kTokenBucket, 1'000'000);
  token_bucket::State bucket;
  int64_t now_ns = 1'000 * kSecondNs;
  for (auto _ : state) {
    benchmark::DoNotOptimize(token_bucket::Take(limit, bucket, now_ns, 1));
    now_ns += 50'000;
  }
}
BENCHMARK(BM_TokenBucketTake);

void BM_FixedWindowTake(benchmark::State& state) {
  const Limit limit = LimitOf(Algorithm::kFixedWindow, 1'000'000);
  fixed_window::State window;
  int64_t now_ns = 1'000 * kSecondNs;
  for (auto _ : state) {
    benchmark::DoNotOptimize(fixed_window::Take(limit, window, now_ns, 1));
    now_ns += 50'000;
  }
}
BENCHMARK(BM_FixedWindowTake);

void BM_SlidingWindowTake(benchmark::State& state) {
  const Limit limit = LimitOf(Algorithm::kSlidingWindow, 4'000'000);
  std::vector<uint64_t> ring(sliding_window::RingWords(limit.precision));
  int64_t now_ns = 1'000 * kSecondNs;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sliding_window::Take(limit, ring, now_ns, 1));
    now_ns += 50'000;
  }
}
BENCHMARK(BM_SlidingWindowTake);

class SyncCheck : public Check {
 public:
  void OnChecked() override {}
};

// A shared store that answers at once and leases whatever is asked for.
class GenerousRemote : public Remote {
 public:
  bool Reachable(const Limit&, const Key&, const Secret&) const override { return true; }
  int nodes() const override { return 1; }
  uint64_t OutagesOf(const Limit&, const Key&) const override { return 0; }
  bool Send(const RemoteCall& call, RemoteSink& sink) override {
    RemoteReply reply;
    reply.decision.allowed = true;
    reply.decision.remaining = call.limit->capacity / 2;
    reply.granted = std::max(call.hits, call.lease.want);
    reply.ttl_ns = call.lease.life_ns;
    sink.OnReply(reply);
    return true;
  }
  void Flush() override {}
  void NoteTimeout(const Limit&, const Key&) override {}
};

struct MemoryStores {
  MemoryStore store{{}};
  void Serve(Worker& /*worker*/) {}
};

// One thread is the caller's and the loop's.
struct LeasedStores {
  SystemClock clock;
  GenerousRemote remote;
  bool woken = false;
  SharedStore store{{.leases = true, .lease = {}}, remote, clock, [this] { woken = true; }};
  void Serve(Worker& worker) {
    if (!woken) return;
    woken = false;
    store.Turn();
    worker.inbox().Deliver();
  }
};

// An engine with one rule per algorithm, and one that denies, shared by the threads of a benchmark.
template <typename Stores>
struct Fixture {
  SystemClock clock;
  ThreadExecutor executor;
  SeriesRegistry series{10'000};
  Stores stores;
  DenyLog deny_log{1, [](const Denial& denial) { benchmark::DoNotOptimize(denial.suppressed); }};
  Engine engine{{}, clock, stores.store, executor, series};
  Engine logging{{.deny_log = &deny_log}, clock, stores.store, executor, series};

  Fixture() {
    DomainSpec domain{.domain = "bench", .descriptors = {}, .position = {}};
    for (const Algorithm algorithm :
         {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
      DescriptorSpec descriptor;
      descriptor.key = AlgorithmName(algorithm);
      descriptor.rate_limit.emplace();
      descriptor.rate_limit->unit = Unit::kMinute;
      descriptor.rate_limit->limit = {
          .algorithm = algorithm, .hits = 1'000'000'000, .window_ns = 60 * kSecondNs};
      domain.descriptors.push_back(descriptor);
    }
    DescriptorSpec ban;
    ban.key = "ban";
    ban.rate_limit.emplace();
    ban.rate_limit->unit = Unit::kMinute;
    ban.rate_limit->limit = {.hits = 0, .window_ns = 60 * kSecondNs};
    domain.descriptors.push_back(ban);
    RuleTableOptions options;
    options.leases = true;  // where the store has them
    for (Engine* each : {&engine, &logging}) {
      each->SetRules(RuleTable::Build({domain}, options, series));
    }
  }
};

template <typename Stores>
Fixture<Stores>& Shared() {
  static Fixture<Stores> fixture;
  return fixture;
}

// Checks of rule `key` over `keys` users in turn, of threads on keys of their own.
template <typename Stores = MemoryStores>
void RunChecks(benchmark::State& state, const std::string& key, int descriptors,
               Engine Fixture<Stores>::*which = &Fixture<Stores>::engine) {
  Fixture<Stores>& fixture = Shared<Stores>();
  Engine& engine = fixture.*which;
  Worker& worker = engine.AddWorker();
  const auto keys = static_cast<std::size_t>(state.range(0));
  std::vector<std::string> values;
  for (std::size_t i = 0; i < keys; ++i) {
    values.push_back("user-" + std::to_string(state.thread_index()) + "-" + std::to_string(i));
  }
  std::vector<Entry> entries(keys);
  for (std::size_t i = 0; i < keys; ++i) entries[i] = {key, values[i]};
  SyncCheck check;
  check.domain = "bench";
  std::size_t next = 0;
  const auto run = [&] {
    check.descriptors.clear();
    for (int d = 0; d < descriptors; ++d) {
      Descriptor& descriptor = check.descriptors.emplace_back();
      descriptor.entries = {&entries[next], 1};
      next = next + 1 == keys ? 0 : next + 1;
    }
    engine.Run(worker, check);
    fixture.stores.Serve(worker);
    benchmark::DoNotOptimize(check.allowed);
  };
  // Warm: every key has its cell, and leases have their size.
  for (std::size_t i = 0; i < 64 * keys; ++i) run();
  const uint64_t allocations = g_allocations.load();
  for (auto _ : state) run();
  if (state.threads() == 1) {
    state.counters["allocs/op"] = static_cast<double>(g_allocations.load() - allocations) /
                                  static_cast<double>(state.iterations());
  }
  state.SetItemsProcessed(state.iterations());
}

void BM_CheckTokenBucket(benchmark::State& state) {
  RunChecks(state, AlgorithmName(Algorithm::kTokenBucket), 1);
}
BENCHMARK(BM_CheckTokenBucket)->ArgName("keys")->Arg(100)->Arg(10'000)->Arg(100'000);

void BM_CheckFixedWindow(benchmark::State& state) {
  RunChecks(state, AlgorithmName(Algorithm::kFixedWindow), 1);
}
BENCHMARK(BM_CheckFixedWindow)->ArgName("keys")->Arg(100)->Arg(10'000);
BENCHMARK(BM_CheckFixedWindow)->ArgName("keys")->Arg(10'000)->Threads(2)->UseRealTime();

void BM_CheckSlidingWindow(benchmark::State& state) {
  RunChecks(state, AlgorithmName(Algorithm::kSlidingWindow), 1);
}
BENCHMARK(BM_CheckSlidingWindow)->ArgName("keys")->Arg(10'000);

void BM_CheckFiveDescriptors(benchmark::State& state) {
  RunChecks(state, AlgorithmName(Algorithm::kFixedWindow), 5);
}
BENCHMARK(BM_CheckFiveDescriptors)->ArgName("keys")->Arg(10'000);

// Denials with the log of denials off, and with one line a second.
void BM_Denied(benchmark::State& state) { RunChecks(state, "ban", 1); }
BENCHMARK(BM_Denied)->ArgName("keys")->Arg(100);
BENCHMARK(BM_Denied)->ArgName("keys")->Arg(100)->Threads(2)->UseRealTime();
void BM_DeniedAndLogged(benchmark::State& state) {
  RunChecks<MemoryStores>(state, "ban", 1, &Fixture<MemoryStores>::logging);
}
BENCHMARK(BM_DeniedAndLogged)->ArgName("keys")->Arg(100);
BENCHMARK(BM_DeniedAndLogged)->ArgName("keys")->Arg(100)->Threads(2)->UseRealTime();

void BM_LeasedTokenBucket(benchmark::State& state) {
  RunChecks<LeasedStores>(state, AlgorithmName(Algorithm::kTokenBucket), 1);
}
BENCHMARK(BM_LeasedTokenBucket)->ArgName("keys")->Arg(100)->Arg(10'000);

void BM_LeasedFixedWindow(benchmark::State& state) {
  RunChecks<LeasedStores>(state, AlgorithmName(Algorithm::kFixedWindow), 1);
}
BENCHMARK(BM_LeasedFixedWindow)->ArgName("keys")->Arg(100)->Arg(10'000);

}  // namespace
}  // namespace weir

BENCHMARK_MAIN();
