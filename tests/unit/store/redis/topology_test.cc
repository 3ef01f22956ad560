#include "limiter/store/redis/topology.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fake_redis.h"
#include "tests/support/primary_harness.h"

namespace weir {
namespace {

using test::FakeRedis;
using test::TestLoop;

class Silent final : public Topology::Listener {
 public:
  void OnMeta(const Meta& /*meta*/) override {}
  void OnConnected() override {}
  void OnLost() override {}
  void OnFailover() override {}
  void OnNote(NoteLevel /*level*/, std::string_view /*text*/) override {}
};

// Looks at its primary when that is lost.
class Watcher final : public Primary::Listener {
 public:
  void OnOutage() override { seen.push_back(primary->state()); }

  const Primary* primary = nullptr;
  std::vector<PrimaryState> seen;
};

class OutageTest : public testing::Test {
 protected:
  OutageTest() {
    options_.backoff = {5'000'000, 20'000'000, 10'000'000};
    options_.handshake_timeout_ns = 10'000'000'000;
    options_.ping_interval_ns = 10'000'000;
    options_.isolated_after_ns = 20'000'000;
    options_.silence_max_ns = 200'000'000;
  }

  TestLoop loop_;
  ThreadExecutor resolver_;
  FakeRedis redis_{loop_.base()};
  FixedAddress source_{{"127.0.0.1", redis_.port(), ""}};
  Primary::Options options_;
  Silent listener_;
};

TEST_F(OutageTest, IsCountedOnceHoweverItGoesOn) {
  SingleTopology topology({loop_.base(), loop_, resolver_, loop_.clock()}, source_, listener_,
                          options_);
  topology.Start();
  ASSERT_TRUE(loop_.Until([&] { return topology.Reachable(0); }));
  // A busy machine may have caused some already.
  const uint64_t before = topology.outages(0);
  redis_.SetFrozen(true);
  // It gets isolated, and then its connection is given up.
  ASSERT_TRUE(loop_.Until([&] {
    bool given_up = false;
    topology.Visit([&](const Primary& p) { given_up = p.state() == PrimaryState::kRecovering; });
    return given_up;
  }));
  EXPECT_EQ(topology.outages(0), before + 1);
}

// Whoever finds it gone finds it counted.
TEST_F(OutageTest, IsToldBeforeItCanBeSeen) {
  Watcher watcher;
  Primary primary({loop_.base(), loop_, resolver_, loop_.clock()}, source_, watcher, options_);
  watcher.primary = &primary;
  primary.Start();
  ASSERT_TRUE(loop_.Until([&] { return primary.state() == PrimaryState::kConnected; }));
  redis_.CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return !watcher.seen.empty(); }));
  EXPECT_TRUE(TakesCalls(watcher.seen[0]));
}

}  // namespace
}  // namespace weir
