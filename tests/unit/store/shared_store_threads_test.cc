// Callers on threads of their own, the loop on another, replies that come late, fail or never come
// in time: each request is answered once, and no more is admitted than was charged.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::FakeClock;
using test::FakeRemote;
using test::Fixed;
using test::KeyOf;
using test::kMillisecondNs;
using test::SharedHarness;
using test::SharedRequest;
using test::With;

constexpr uint64_t kKeys = 12;
constexpr uint32_t kLimit = 1'500;

// Woken from other threads; the owner waits.
class Wake {
 public:
  void Set() {
    MutexLock lock(mutex_);
    set_ = true;
    changed_.notify_one();
  }
  // Whether it was set before the test must give up.
  bool Wait(std::chrono::microseconds at_most) {
    MutexLock lock(mutex_);
    // Woken for nothing it says no, and is asked again.
    if (!set_) changed_.wait_for(mutex_, at_most);
    return std::exchange(set_, false);
  }

 private:
  Mutex mutex_;
  std::condition_variable_any changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// What several threads share.
struct World {
  explicit World(std::size_t waiting_max)
      : limit(Fixed(kLimit, 3'600 * test::kSecondNs)),
        remote(test::kWallStartNs),
        store(
            [waiting_max] {
              SharedStoreOptions options = SharedHarness::Small();
              options.waiting_max = waiting_max;
              return options;
            }(),
            remote, clock, [this] { loop_wake.Set(); }) {}

  const Limit limit;
  FakeClock clock;
  FakeRemote remote;
  Wake loop_wake;
  SharedStore store;
  std::atomic<int> callers{0};
};

struct Told {
  std::map<uint64_t, uint64_t> admitted;  // hits by key
  uint64_t by_store = 0;
  uint64_t by_policy = 0;
  uint64_t lost = 0;
};

// One caller: up to four requests at a time, each reused when it was answered.
class Caller {
 public:
  Caller(World& world, uint32_t seed) : world_(world), random_(seed) {
    inbox_.SetWake([this] { wake_.Set(); });
  }

  // Until so many asks were decided by the store.
  void Run(uint64_t by_store) {
    std::vector<SharedRequest> flying(4);
    std::vector<int> started(flying.size(), 0);
    while (told_.by_store < by_store) {
      for (std::size_t slot = 0; slot < flying.size(); ++slot) {
        if (flying[slot].times() < started[slot]) continue;
        Account(flying[slot]);
        Start(flying[slot]);
        ++started[slot];
      }
      if (!Waits(flying, started)) {
        std::this_thread::yield();  // policy answers at once: let the loop go on
      } else if (!Deliver()) {
        break;
      }
    }
    while (Waits(flying, started) && Deliver()) {
    }
    for (std::size_t slot = 0; slot < flying.size(); ++slot) {
      if (flying[slot].times() != started[slot]) ++told_.lost;
      Account(flying[slot]);
    }
    world_.callers.fetch_sub(1);
  }
  const Told& told() const { return told_; }

 private:
  static bool Waits(const std::vector<SharedRequest>& flying, const std::vector<int>& started) {
    for (std::size_t slot = 0; slot < flying.size(); ++slot) {
      if (flying[slot].times() < started[slot]) return true;
    }
    return false;
  }
  bool Deliver() {
    if (!wake_.Wait(std::chrono::seconds(60))) return false;
    inbox_.Deliver();
    return true;
  }

  void Start(SharedRequest& request) {
    request.asks.clear();
    const uint64_t asks = 1 + random_() % 3;
    for (uint64_t i = 0; i < asks; ++i) {
      request.asks.push_back(
          With(OnStoreFailure::kDeny, Asking::Of(world_.limit, random_() % kKeys, random_() % 3)));
    }
    AcquireOptions options;
    options.now = world_.clock.Now();
    options.charge_denied = static_cast<ChargeDenied>(random_() % 3);
    options.deadline_mono_ns = options.now.mono_ns + 5 * kMillisecondNs;
    options.inbox = &inbox_;
    world_.store.Acquire(request.asks, options, request);
  }

  void Account(SharedRequest& request) {
    // A request is admitted when all its keys admit.
    Verdict verdict;
    for (const Ask& ask : request.asks) {
      verdict.Add(ask.weight, ask.grant.decision.allowed);
      (ask.grant.source == Source::kPolicy ? told_.by_policy : told_.by_store) += 1;
    }
    for (const Ask& ask : request.asks) {
      if (verdict.allowed()) told_.admitted[ask.key.lo] += ask.hits;
    }
    request.asks.clear();
  }

  World& world_;
  std::mt19937_64 random_;
  Inbox inbox_;
  Wake wake_;
  Told told_;
};

// The loop's thread, until no caller is left and nothing is in flight.
void Loop(World& world, uint32_t seed) {
  std::mt19937_64 random(seed);
  world.remote.on_send = [&random](const RemoteCall&) {
    const uint64_t dice = random() % 50;
    return dice == 0   ? FakeRemote::Sending::kRefused
           : dice == 1 ? FakeRemote::Sending::kFailed
                       : FakeRemote::Sending::kSent;
  };
  while (world.callers.load() > 0) {
    world.store.Turn();
    const uint64_t dice = random() % 200;
    if (dice == 0) {
      world.remote.Lose();
    } else if (dice < 10) {
      world.remote.Recover();
    } else if (dice < 20) {
      world.clock.Advance(2 * kMillisecondNs);
    } else if (dice < 30) {
      world.remote.Execute();
    } else if (world.remote.in_flight() > 0) {
      world.remote.DeliverOne(random() % world.remote.in_flight());
    } else {
      world.loop_wake.Wait(std::chrono::microseconds(50));
      world.clock.Advance(kMillisecondNs / 10);
    }
  }
  while (world.remote.Deliver() > 0) {
  }
}

void RunThreads(std::size_t waiting_max, uint64_t by_store, uint32_t seed) {
  constexpr uint32_t kCallers = 4;
  World world(waiting_max);
  world.callers = kCallers;
  std::vector<std::unique_ptr<Caller>> callers;
  for (uint32_t i = 0; i < kCallers; ++i) {
    callers.push_back(std::make_unique<Caller>(world, seed * 100 + i));
  }
  {
    std::jthread loop([&] { Loop(world, seed); });
    std::vector<std::jthread> threads;
    threads.reserve(callers.size());
    for (auto& caller : callers) threads.emplace_back([&] { caller->Run(by_store); });
  }
  std::map<uint64_t, uint64_t> admitted;
  uint64_t by_policy = 0;
  for (const auto& caller : callers) {
    EXPECT_EQ(caller->told().lost, 0U);
    for (const auto& [key, hits] : caller->told().admitted) admitted[key] += hits;
    EXPECT_GE(caller->told().by_store, by_store);
    by_policy += caller->told().by_policy;
  }
  uint64_t in_all = 0;
  for (uint64_t key = 0; key < kKeys; ++key) {
    EXPECT_LE(admitted[key], world.remote.store().taken(KeyOf(key)));
    EXPECT_LE(world.remote.store().taken(KeyOf(key)), kLimit);
    in_all += admitted[key];
  }
  EXPECT_GT(in_all, 0U);
  EXPECT_GT(by_policy, 0U);
  EXPECT_EQ(world.store.stats().waiting, 0U);
  EXPECT_EQ(world.remote.in_flight(), 0U);
}

TEST(SharedStoreThreads, AdmitWhatWasChargedAndLoseNoAnswer) {
  for (uint32_t seed = 1; seed <= 3; ++seed) RunThreads(1'000, 4'000, seed);
}

TEST(SharedStoreThreads, MeetTheBoundOfWaitingRequests) { RunThreads(3, 4'000, 7); }

}  // namespace
}  // namespace weir
