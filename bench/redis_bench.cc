// What a decision over Redis costs: Engine::Run through the Redis store, with a fixed number of
// checks in flight from one thread. bench/run.py redis compares it with redis-benchmark, which runs
// the same script as often as Redis can.
//
//   weir_redis_bench unix:/path IN_FLIGHT SECONDS   prints one JSON line
//   weir_redis_bench --command                      prints the EVALSHA of a check, a word a line

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/core/engine.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/store/redis/redis_store.h"
#include "limiter/store/redis/script_call.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int kKeys = 10'000;
constexpr Secret kSecret{1, 2};

Limit TestedLimit() {
  Limit limit;
  MakeLimit({.algorithm = Algorithm::kTokenBucket, .hits = 1'000'000'000, .window_ns = kSecondNs},
            &limit);
  return limit;
}

// The words of the RESP command.
std::vector<std::string> Words(std::string_view wire) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t at = wire.find('$');
    if (at == std::string_view::npos) return words;
    wire.remove_prefix(at + 1);
    const auto bytes = static_cast<std::size_t>(std::atoi(std::string(wire.substr(0, 9)).c_str()));
    wire.remove_prefix(wire.find('\n') + 1);
    words.emplace_back(wire.substr(0, bytes));
    wire.remove_prefix(bytes);
  }
}

int PrintCommand() {
  const Limit limit = TestedLimit();
  std::string wire;
  AppendCall({.limit = limit, .op = Op::kTake, .hits = 1, .drain = true, .lease = {}},
             StoreKey("bench:", Key{7, 7}), wire);
  for (const std::string& word : Words(wire)) std::printf("%s\n", word.c_str());
  return 0;
}

class BenchCheck : public Check {
 public:
  void OnChecked() override { done = true; }
  bool done = true;
  int64_t started_ns = 0;
};

class Bench {
 public:
  explicit Bench(const RedisAddress& address)
      : store_(Options(address), clock_, resolver_, Events()),
        engine_({.store_wait_ns = kSecondNs}, clock_, store_.store(), executor_, series_),
        worker_(engine_.AddWorker()),
        wake_(eventfd(0, 0)) {
    worker_.inbox().SetWake([this] {
      const uint64_t one = 1;
      if (write(wake_, &one, sizeof(one)) < 0) std::abort();
    });
    DomainSpec domain{.domain = "bench", .descriptors = {}, .position = {}};
    DescriptorSpec rule;
    rule.key = "user";
    rule.rate_limit.emplace();
    rule.rate_limit->unit = Unit::kSecond;
    rule.rate_limit->limit = {
        .algorithm = Algorithm::kTokenBucket, .hits = 1'000'000'000, .window_ns = kSecondNs};
    domain.descriptors.push_back(rule);
    RuleTableOptions options;
    options.secret = kSecret;
    options.key_prefix = "bench:";
    engine_.SetRules(RuleTable::Build({domain}, options, series_));
    for (int i = 0; i < kKeys; ++i) values_.push_back("user-" + std::to_string(i));
    for (const std::string& value : values_) entries_.push_back({"user", value});
  }
  ~Bench() { store_.Stop(); }

  int Run(int in_flight, int64_t duration_ns) {
    if (!store_.Start().ok() || !AwaitStore()) return 1;
    std::vector<BenchCheck> checks(static_cast<std::size_t>(in_flight));
    std::vector<int64_t> latencies;
    uint64_t by_store = 0;
    const int64_t begin_ns = clock_.Now().mono_ns;
    int64_t now_ns = begin_ns;
    while (now_ns - begin_ns < duration_ns) {
      for (BenchCheck& check : checks) {
        if (!check.done) continue;
        if (check.started_ns != 0) {
          latencies.push_back(now_ns - check.started_ns);
          by_store += check.outcomes[0].source == Source::kStore ? 1 : 0;
        }
        Begin(check);
      }
      Await(checks);
      now_ns = clock_.Now().mono_ns;
    }
    std::sort(latencies.begin(), latencies.end());
    std::printf(
        "{\"in_flight\": %d, \"per_second\": %.0f, \"p50_us\": %.1f, \"by_store\": %.3f}\n",
        in_flight,
        static_cast<double>(latencies.size()) * 1e9 / static_cast<double>(now_ns - begin_ns),
        static_cast<double>(latencies[latencies.size() / 2]) / 1e3,
        static_cast<double>(by_store) / static_cast<double>(latencies.size()));
    while (Await(checks)) {
    }
    return 0;
  }

 private:
  static RedisStoreOptions Options(const RedisAddress& address) {
    RedisStoreOptions options;
    options.main.addresses.push_back(address);
    options.key_prefix = "bench:";
    options.proposal = kSecret;
    options.incarnation = {3, 4};
    return options;
  }
  static RedisEvents Events() {
    return {.note = [](NoteLevel, std::string_view) {},
            .secret = [](const Secret&) {},
            .connected = [](bool) {}};
  }

  bool AwaitStore() {
    const Limit limit = TestedLimit();
    for (int i = 0; i < 500; ++i) {
      if (store_.remote().Reachable(limit, Key{}, kSecret)) return true;
      poll(nullptr, 0, 10);
    }
    std::fprintf(stderr, "no Redis there, or one with another secret: use an empty one\n");
    return false;
  }

  // Waits for late answers if there are any to come; without the store all came at once.
  bool Await(const std::vector<BenchCheck>& checks) {
    if (std::all_of(checks.begin(), checks.end(), [](const auto& c) { return c.done; })) {
      return false;
    }
    uint64_t count = 0;
    if (read(wake_, &count, sizeof(count)) < 0) std::abort();
    worker_.inbox().Deliver();
    return true;
  }

  void Begin(BenchCheck& check) {
    check.done = false;
    check.started_ns = clock_.Now().mono_ns;
    check.domain = "bench";
    check.descriptors.clear();
    check.descriptors.emplace_back().entries = {&entries_[next_++ % kKeys], 1};
    engine_.Run(worker_, check);
  }

  SystemClock clock_;
  ThreadExecutor executor_;
  ThreadExecutor resolver_;
  SeriesRegistry series_{1000};
  RedisStore store_;
  Engine engine_;
  Worker& worker_;
  int wake_;
  std::vector<std::string> values_;
  std::vector<Entry> entries_;
  std::size_t next_ = 0;
};

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--command") return weir::PrintCommand();
  if (argc != 4) {
    std::fprintf(stderr, "weir_redis_bench ADDRESS IN_FLIGHT SECONDS\n");
    return 2;
  }
  const absl::StatusOr<weir::RedisAddress> address = weir::ParseRedisAddress(argv[1]);
  if (!address.ok()) {
    std::fprintf(stderr, "%s\n", std::string(address.status().message()).c_str());
    return 2;
  }
  weir::Bench bench(*address);
  return bench.Run(std::atoi(argv[2]), std::atoll(argv[3]) * 1'000'000'000);
}
