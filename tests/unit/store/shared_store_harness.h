#pragma once

// A shared store over a fake remote, driven from one thread.

#include <cstdint>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "limiter/core/inbox.h"
#include "limiter/store/shared_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_remote.h"
#include "tests/unit/store/asking.h"

namespace weir::test {

inline constexpr int64_t kMillisecondNs = 1'000'000;
inline constexpr int64_t kWaitNs = 10 * kMillisecondNs;

// A request and how often it was answered. Its limits outlive it.
class SharedRequest final : public Answered {
 public:
  SharedRequest() = default;
  SharedRequest(std::initializer_list<Ask> of) : asks(of) {}

  void OnAnswered() override { ++times_; }
  int times() const { return times_; }
  const Grant& operator[](std::size_t i) const { return asks[i].grant; }

  std::vector<Ask> asks;

 private:
  int times_ = 0;
};

class SharedHarness {
 public:
  explicit SharedHarness(SharedStoreOptions options = Small())
      : store(options, remote, clock, [this] { ++wakes; }) {
    remote.set_nodes(1);
  }

  static SharedStoreOptions Small() {
    SharedStoreOptions options;
    options.keys_max = 4096;
    options.ring_bytes_max = std::size_t{4} << 20;
    return options;
  }

  // Both the node's clocks and the store's.
  void Advance(int64_t ns) {
    clock.Advance(ns);
    remote.store().Advance(ns);
  }

  AcquireOptions Options() {
    AcquireOptions options;
    options.now = clock.Now();
    options.charge_denied = charge_denied;
    options.deadline_mono_ns = options.now.mono_ns + wait_ns;
    options.inbox = &inbox;
    return options;
  }
  void Acquire(SharedRequest& request) { store.Acquire(request.asks, Options(), request); }
  void Turn() { next_turn_ns = store.Turn(); }
  // What was sent is answered now, and what follows from it.
  void Exchange() {
    Turn();
    while (remote.Deliver() > 0) {
    }
    inbox.Deliver();
  }
  // Without any delay.
  void Run(SharedRequest& request) {
    Acquire(request);
    Exchange();
    EXPECT_EQ(request.times(), 1);
  }
  Grant One(const Limit& limit, uint64_t key, Op op = Op::kTake, uint64_t hits = 1) {
    SharedRequest request = {Asking::Of(limit, key, hits, Weight::kEnforced, op)};
    Run(request);
    return request[0];
  }

  ChargeDenied charge_denied = ChargeDenied::kFirst;
  int64_t wait_ns = kWaitNs;
  int64_t next_turn_ns = 0;
  int wakes = 0;

  FakeClock clock;
  FakeRemote remote{kWallStartNs};
  Inbox inbox;
  SharedStore store;
};

// An ask with a failure policy.
inline Ask With(OnStoreFailure policy, Ask ask) {
  ask.on_store_failure = policy;
  return ask;
}

}  // namespace weir::test
