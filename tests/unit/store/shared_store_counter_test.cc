// Asks about counters that others count on too.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::Fixed;
using test::kMillisecondNs;
using test::kWallStartNs;
using test::SharedHarness;
using test::SharedRequest;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kEndNs = kWallStartNs + 60 * test::kSecondNs;

Ask Counted(const Limit& limit, uint64_t key, std::string_view counter, Op op = Op::kTake) {
  Ask ask = Asking::Of(limit, key, 1, Weight::kEnforced, op);
  ask.counter = {counter, kEndNs};
  return ask;
}

TEST(SharedCounters, AreNamedToTheRemote) {
  SharedHarness harness;
  const Limit limit = Fixed(5);
  std::string text = "d_k_v_60";
  SharedRequest request = {Counted(limit, 1, text)};
  int64_t window_end_ns = 0;
  harness.remote.on_send = [&](const RemoteCall& call) {
    window_end_ns = call.counter.window_end_ns;
    return test::FakeRemote::Sending::kSent;
  };
  harness.Acquire(request);
  harness.Turn();
  ASSERT_EQ(harness.remote.in_flight(), 1U);
  EXPECT_EQ(harness.remote.in_flight(0).counter, "d_k_v_60");
  EXPECT_EQ(window_end_ns, kEndNs);
  harness.Exchange();
  EXPECT_EQ(request.times(), 1);
  EXPECT_EQ(request[0].source, Source::kStore);
}

TEST(SharedCounters, NeedNoSecretToBeReached) {
  SharedHarness harness;
  harness.remote.set_secret({1, 2});  // of a fleet that this node does not know
  const Limit limit = Fixed(5);
  SharedRequest own = {Asking::Of(limit, 1)};
  SharedRequest counted = {Counted(limit, 1, "d_k_v_60")};
  harness.Run(own);
  harness.Run(counted);
  EXPECT_EQ(own[0].source, Source::kPolicy);
  EXPECT_EQ(counted[0].source, Source::kStore);
  harness.remote.set_reachable(false);
  SharedRequest away = {Counted(limit, 2, "d_k_w_60")};
  harness.Run(away);
  EXPECT_EQ(away[0].source, Source::kPolicy);
}

TEST(SharedCounters, ATimeoutIsNotedUnderTheirName) {
  SharedHarness harness;
  const Limit limit = Fixed(5);
  SharedRequest request = {Counted(limit, 1, "d_k_v_60")};
  harness.Acquire(request);
  harness.Turn();
  harness.Advance(20 * kMillisecondNs);
  harness.Turn();
  EXPECT_THAT(harness.remote.counter_timeouts(), ElementsAre("d_k_v_60"));
  EXPECT_THAT(harness.remote.timeouts(), IsEmpty());
  harness.Exchange();
}

// Both trips of a request that looks first.
TEST(SharedCounters, AreNamedInTheSecondTripToo) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  std::vector<std::string> named;
  harness.remote.on_send = [&](const RemoteCall& call) {
    named.emplace_back(call.counter.key);
    return test::FakeRemote::Sending::kSent;
  };
  SharedRequest request = {Counted(limit, 1, "d_a_60"), Counted(limit, 2, "d_b_60")};
  harness.Run(request);
  EXPECT_THAT(named, ElementsAre("d_a_60", "d_b_60", "d_a_60", "d_b_60"));
}

}  // namespace
}  // namespace weir
