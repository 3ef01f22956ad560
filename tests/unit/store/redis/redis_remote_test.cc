#include "limiter/store/redis/redis_remote.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string_view>

#include "limiter/store/redis/script_call.h"
#include "tests/support/fake_clock.h"

namespace weir {
namespace {

using test::kSecondNs;

// Connections that only say what was lost.
class LossyTopology final : public Topology {
 public:
  explicit LossyTopology(uint64_t base) : base_(base) {}

  void Start() override {}
  bool Reachable(Slot /*slot*/) const override { return false; }
  uint64_t outages(Slot slot) const override { return base_ + slot; }
  void Visit(const std::function<void(const Primary&)>& /*visit*/) const override {}
  bool Send(Slot /*slot*/, std::string_view /*wire*/, const Script* /*script*/,
            CommandSink& /*sink*/) override {
    return false;
  }
  void Flush() override {}
  void NoteTimeout(Slot /*slot*/) override {}

 private:
  const uint64_t base_;
};

class RedisRemoteTest : public testing::Test {
 protected:
  RedisRemoteTest() { remote_.SetTopologies(main_, &per_second_); }

  static Limit Per(int64_t window_ns) {
    Limit limit;
    EXPECT_TRUE(MakeLimit({.hits = 5, .window_ns = window_ns}, &limit).empty());
    return limit;
  }

  test::FakeClock clock_;
  LossyTopology main_{100'000};
  LossyTopology per_second_{200'000};
  RedisRemote remote_{{.key_prefix = "p:", .incarnation = "i", .counters = {}},
                      clock_,
                      {.note = [](NoteLevel, std::string_view) {},
                       .secret = [](const Secret&) {},
                       .connected = [](bool) {}}};
  Topology::Listener& listener_ = remote_;
};

TEST_F(RedisRemoteTest, OutagesOfAKeyAreThoseOfItsPrimary) {
  for (uint64_t n = 0; n < 20; ++n) {
    const Key key = {n, n * 0x9e3779b97f4a7c15};
    const Slot slot = SlotOf(StoreKey("p:", key));
    EXPECT_EQ(remote_.OutagesOf(Per(60 * kSecondNs), key), 100'000U + slot);
    EXPECT_EQ(remote_.OutagesOf(Per(kSecondNs), key), 200'000U + slot);
  }
}

TEST_F(RedisRemoteTest, AFailoverOfAnyPrimaryIsAnotherHistory) {
  const uint32_t before = remote_.history();
  listener_.OnLost();
  EXPECT_EQ(remote_.history(), before);  // it may come back as it was
  listener_.OnFailover();
  EXPECT_NE(remote_.history(), before);
}

}  // namespace
}  // namespace weir
