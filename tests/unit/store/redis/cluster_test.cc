#include "limiter/store/redis/cluster.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_redis.h"
#include "tests/support/primary_harness.h"

namespace weir {
namespace {

using test::Answer;
using test::Arguments;
using test::Ending;
using test::FakeRedis;
using test::TestLoop;
using ::testing::IsEmpty;

class ClusterRecorder final : public Topology::Listener {
 public:
  void OnMeta(const Meta& meta) override { metas.push_back(meta); }
  void OnConnected() override { ++connected; }
  void OnLost() override { ++lost; }
  void OnFailover() override { ++failovers; }
  void OnNote(NoteLevel level, std::string_view text) override {
    notes.emplace_back(text);
    if (level == NoteLevel::kWarning) warnings.emplace_back(text);
  }
  bool Noted(std::string_view part) const { return Any(notes, part); }
  bool Warned(std::string_view part) const { return Any(warnings, part); }

  std::vector<Meta> metas;
  int connected = 0;
  int lost = 0;
  int failovers = 0;
  std::vector<std::string> notes;
  std::vector<std::string> warnings;  // those of the notes

 private:
  static bool Any(const std::vector<std::string>& texts, std::string_view part) {
    return std::any_of(texts.begin(), texts.end(), [&](const std::string& text) {
      return text.find(part) != std::string::npos;
    });
  }
};

// Servers that each say who has which slot; GET answers with the number of the server.
class ClusterTest : public testing::Test {
 protected:
  ClusterTest() {
    options_.primary.backoff = {5'000'000, 20'000'000, 10'000'000};
    options_.primary.link.connect_timeout_ns = 2'000'000'000;
    options_.primary.handshake_timeout_ns = 10'000'000'000;
    options_.primary.isolated_after_ns = 10'000'000'000;
    options_.primary.silence_max_ns = 20'000'000'000;
    options_.refresh_soon_ns = 1'000'000;
    options_.refresh_least_ns = 5'000'000;
    options_.start_max_ns = 10'000'000'000;
    for (int i = 0; i < 3; ++i) Add();
    map_ = {{0, 5460, 0}, {5461, 10922, 1}, {10923, 16383, 2}};
    options_.seeds = {Address(0)};
  }

  struct Range {
    uint32_t first;
    uint32_t last;
    std::size_t owner;
  };

  void Add() {
    const std::size_t i = fakes_.size();
    fakes_.push_back(std::make_unique<FakeRedis>(loop_.base()));
    extra_.emplace_back();
    fakes_[i]->SetHandler([this, i](const Arguments& arguments) -> std::optional<Answer> {
      if (extra_[i] != nullptr) {
        if (std::optional<Answer> answer = extra_[i](arguments)) return answer;
      }
      if (arguments[0] == "CLUSTER") return Answer{Map()};
      if (arguments[0] == "GET") return Answer{":" + std::to_string(i) + "\r\n"};
      if (arguments[0] == "ASKING") return Answer{"+OK\r\n"};
      return std::nullopt;
    });
  }
  RedisAddress Address(std::size_t i) const { return {"127.0.0.1", fakes_[i]->port(), ""}; }

  std::string Map() const {
    std::string wire = absl::StrCat("*", map_.size(), "\r\n");
    for (const Range& range : map_) {
      absl::StrAppend(&wire, "*3\r\n:", range.first, "\r\n:", range.last,
                      "\r\n*2\r\n$9\r\n127.0.0.1\r\n:", fakes_[range.owner]->port(), "\r\n");
    }
    return wire;
  }

  void Start() {
    cluster_ = std::make_unique<Cluster>(
        Primary::Environment{loop_.base(), loop_, resolver_, loop_.clock()}, listener_, options_);
    cluster_->Start();
  }
  bool AllUp() {
    return loop_.Until([&] {
      std::size_t up = 0;
      cluster_->Visit([&](const Primary& p) { up += p.state() == PrimaryState::kConnected; });
      return up == 3;
    });
  }
  // Sends GET to the slot's primary and says which server answered; -1: it failed.
  int Ask(Slot slot) {
    Ending ending;
    if (!Send(slot, ending) || !loop_.Until([&] { return ending.done(); })) return -2;
    EXPECT_EQ(ending.calls, 1);
    last_failure_ = ending.failure;
    return ending.failure == Failure::kNone ? static_cast<int>(ending.integer) : -1;
  }
  bool Send(Slot slot, Ending& ending) {
    std::string wire;
    AppendCommand(wire, {"GET", "k"});
    return cluster_->Send(slot, wire, nullptr, ending);
  }
  // From now on the server answers GET with this.
  void Says(std::size_t i, std::string error) {
    extra_[i] = [error](const Arguments& arguments) -> std::optional<Answer> {
      if (arguments[0] != "GET") return std::nullopt;
      return Answer{error};
    };
  }
  std::size_t MapsAsked() const {
    std::size_t count = 0;
    for (const auto& fake : fakes_) count += fake->CountCommands("CLUSTER");
    return count;
  }
  std::string To(std::size_t i) const { return absl::StrCat("127.0.0.1:", fakes_[i]->port()); }

  TestLoop loop_;
  ThreadExecutor resolver_;
  std::vector<std::unique_ptr<FakeRedis>> fakes_;
  std::vector<std::function<std::optional<Answer>(const Arguments&)>> extra_;
  std::vector<Range> map_;
  ClusterOptions options_;
  ClusterRecorder listener_;
  std::unique_ptr<Cluster> cluster_;
  Failure last_failure_ = Failure::kNone;
};

TEST_F(ClusterTest, EachSlotGoesToItsPrimary) {
  Start();
  EXPECT_FALSE(cluster_->Reachable(0));
  ASSERT_TRUE(AllUp());
  EXPECT_EQ(Ask(0), 0);
  EXPECT_EQ(Ask(5460), 0);
  EXPECT_EQ(Ask(5461), 1);
  EXPECT_EQ(Ask(16383), 2);
  EXPECT_TRUE(cluster_->Reachable(16383));
  EXPECT_TRUE(listener_.Noted("3 primaries serve 16384 of 16384 slots"));
  EXPECT_THAT(listener_.warnings, IsEmpty());
}

TEST_F(ClusterTest, AnySeedThatAnswersWillDo) {
  fakes_.push_back(std::make_unique<FakeRedis>(loop_.base()));
  const RedisAddress dead = Address(3);
  fakes_[3]->StopListening();
  options_.seeds = {dead, dead, dead, dead, Address(1)};
  Start();
  EXPECT_TRUE(AllUp());
}

TEST_F(ClusterTest, WithoutAnAnswerItAsksAgainAndSaysWhy) {
  extra_[0] = [](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "CLUSTER") return std::nullopt;
    return Answer{"-ERR This instance has cluster support disabled\r\n"};
  };
  Start();
  ASSERT_TRUE(loop_.Until([&] { return listener_.Noted("cluster support disabled"); }));
  EXPECT_TRUE(listener_.Warned("no server says who has which slot"));
  EXPECT_TRUE(listener_.Warned("is this a cluster (--redis-type), and does --redis-url name"));
  extra_[0] = nullptr;
  EXPECT_TRUE(AllUp());
}

TEST_F(ClusterTest, ASlotNobodyServesIsNotReachable) {
  map_ = {{0, 99, 0}, {200, 16383, 1}};
  Start();
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(0); }));
  EXPECT_FALSE(cluster_->Reachable(100));
  Ending ending;
  EXPECT_FALSE(Send(100, ending));
  EXPECT_EQ(ending.calls, 0);
  EXPECT_TRUE(listener_.Warned("nobody serves 100 of 16384 slots"));
  EXPECT_TRUE(listener_.Warned("redis-cli --cluster fix"));
  map_ = {{0, 16383, 0}};  // looked up again soon, as long as some are not served
  EXPECT_TRUE(loop_.Until([&] { return cluster_->Reachable(100); }));
}

TEST_F(ClusterTest, ASlotThatIsTakenFromItsPrimaryIsLost) {
  Start();
  ASSERT_TRUE(AllUp());
  map_ = {{0, 99, 0}, {200, 5000, 0}, {5001, 10922, 1}, {10923, 16383, 2}};
  Says(0, "-CLUSTERDOWN Hash slot not served\r\n");  // a sign of change
  Ask(100);
  ASSERT_TRUE(loop_.Until([&] { return !cluster_->Reachable(100); }));
  EXPECT_EQ(cluster_->outages(100), 1u);
  // Nobody can have moved what it held.
  EXPECT_EQ(listener_.failovers, 1);
  // From one that is up to another that is up it is not.
  ASSERT_TRUE(loop_.Until([&] { return Ask(5001) == 1; }));
  EXPECT_EQ(cluster_->outages(5001), 0u);
  // Given to a server that cannot be reached, it stays lost.
  Add();
  fakes_[3]->StopListening();
  map_ = {{0, 199, 3}, {200, 5000, 0}, {5001, 10922, 1}, {10923, 16383, 2}};
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(100); }));  // for as long as it starts
  EXPECT_EQ(cluster_->outages(100), 1u);
  EXPECT_EQ(cluster_->outages(99), 1u);
}

TEST_F(ClusterTest, MovedIsFollowedAndRemembered) {
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-MOVED 7 " + To(1) + "\r\n");
  EXPECT_EQ(Ask(7), 1);
  EXPECT_EQ(cluster_->redirects(), 1u);
  const std::size_t asked = fakes_[0]->CountCommands("GET");
  map_ = {{0, 6, 0}, {7, 7, 1}, {8, 16383, 2}};
  EXPECT_EQ(Ask(7), 1);
  EXPECT_EQ(fakes_[0]->CountCommands("GET"), asked);
  // One sign of change is enough to learn of the others.
  EXPECT_TRUE(loop_.Until([&] { return Ask(8) == 2; }));
}

TEST_F(ClusterTest, AskIsFollowedOnceEachTime) {
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-ASK 7 " + To(2) + "\r\n");
  EXPECT_EQ(Ask(7), 2);
  EXPECT_EQ(Ask(7), 2);
  EXPECT_EQ(fakes_[0]->CountCommands("GET"), 2u);
  // ASKING right before each of them.
  const std::vector<Arguments>& commands = fakes_[2]->commands();
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (commands[i][0] != "GET") continue;
    EXPECT_EQ(commands[i - 1][0], "ASKING");
  }
  EXPECT_EQ(fakes_[2]->CountCommands("ASKING"), 2u);
  EXPECT_EQ(cluster_->redirects(), 2u);
}

TEST_F(ClusterTest, AScriptForgottenWhereItsSlotGoesIsLoadedThere) {
  options_.primary.scripts = AllScripts();
  Start();
  ASSERT_TRUE(AllUp());
  extra_[0] = [this](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "EVALSHA") return std::nullopt;
    return Answer{"-ASK 7 " + To(2) + "\r\n"};
  };
  // As a server does that the slot is on its way to: each command needs an ASKING of its own.
  bool asking = false;
  extra_[2] = [this, &asking](const Arguments& arguments) -> std::optional<Answer> {
    const bool asked = std::exchange(asking, arguments[0] == "ASKING");
    if (arguments[0] != "EVALSHA" || asked) return std::nullopt;
    return Answer{"-MOVED 7 " + To(0) + "\r\n"};
  };
  const Script& script = ScriptOf(ScriptId::kNodes);
  fakes_[2]->scripts_forgotten = {std::string(script.sha1)};
  std::string wire;
  AppendCommand(wire, {"EVALSHA", script.sha1, "1", "k", "a"});
  Ending ending;
  ASSERT_TRUE(cluster_->Send(7, wire, &script, ending));
  ASSERT_TRUE(loop_.Until([&] { return ending.done(); }));
  EXPECT_EQ(ending.failure, Failure::kNone) << ending.text;
  EXPECT_EQ(fakes_[2]->CountCommands("EVALSHA"), 2u);
  EXPECT_EQ(cluster_->redirects(), 1u);
}

TEST_F(ClusterTest, AServerNeverHeardOfIsConnectedToWhileTheCommandWaits) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-ASK 7 " + To(3) + "\r\n");
  EXPECT_EQ(Ask(7), 3);
  Says(0, "-MOVED 7 " + To(3) + "\r\n");
  EXPECT_EQ(Ask(7), 3);
  EXPECT_TRUE(cluster_->Reachable(7));
}

TEST_F(ClusterTest, AServerThatCannotBeReachedIsNotWaitedForLong) {
  options_.start_max_ns = 100'000'000;
  fakes_.push_back(std::make_unique<FakeRedis>(loop_.base()));
  fakes_[3]->StopListening();
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-MOVED 7 " + To(3) + "\r\n");
  EXPECT_EQ(Ask(7), -1);
  EXPECT_EQ(last_failure_, Failure::kLost);
}

TEST_F(ClusterTest, WhatWaitsForANewServerIsBounded) {
  options_.parked_max = 2;
  options_.start_max_ns = 50'000'000;
  fakes_.push_back(std::make_unique<FakeRedis>(loop_.base()));
  fakes_[3]->StopListening();
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-ASK 7 " + To(3) + "\r\n");
  std::vector<Ending> endings(5);
  for (Ending& ending : endings) ASSERT_TRUE(Send(7, ending));
  ASSERT_TRUE(loop_.Until([&] {
    return std::all_of(endings.begin(), endings.end(), [](Ending& e) { return e.done(); });
  }));
  std::size_t refused = 0;  // those that did not fit end with what the server had said
  for (const Ending& ending : endings) {
    EXPECT_EQ(ending.calls, 1);
    refused += ending.failure == Failure::kAsk ? 1 : 0;
  }
  EXPECT_EQ(refused, 3u);
}

TEST_F(ClusterTest, RedirectionsInACircleEnd) {
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-MOVED 7 " + To(1) + "\r\n");
  Says(1, "-MOVED 7 " + To(0) + "\r\n");
  EXPECT_EQ(Ask(7), -1);
  EXPECT_EQ(last_failure_, Failure::kMoved);
  EXPECT_LE(fakes_[0]->CountCommands("GET") + fakes_[1]->CountCommands("GET"), 10u);
}

TEST_F(ClusterTest, ARedirectionThatIsNoneEndsTheCommand) {
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-MOVED to nowhere\r\n");
  EXPECT_EQ(Ask(7), -1);
  EXPECT_EQ(last_failure_, Failure::kMoved);
  EXPECT_TRUE(listener_.Noted("not a slot and an address"));
}

TEST_F(ClusterTest, AReplicaThatTookOverIsFound) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  fakes_[1]->StopListening();
  fakes_[1]->CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return !cluster_->Reachable(6000); }));
  EXPECT_TRUE(cluster_->Reachable(0));
  // Counted where it was: of others it is no outage.
  EXPECT_EQ(cluster_->outages(6000), 1u);
  EXPECT_EQ(cluster_->outages(0), 0u);
  EXPECT_EQ(listener_.lost, 1);
  EXPECT_EQ(listener_.failovers, 0);
  map_[1].owner = 3;
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(6000); }));
  EXPECT_EQ(Ask(6000), 3);
  // What the old one granted last may be forgotten.
  EXPECT_EQ(listener_.failovers, 1);
  EXPECT_EQ(cluster_->outages(6000), 1u);
}

TEST_F(ClusterTest, APartOfWhatALostPrimaryHadMayHaveLostWrites) {
  Start();
  ASSERT_TRUE(AllUp());
  fakes_[1]->StopListening();
  fakes_[1]->CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return !cluster_->Reachable(6000); }));
  map_ = {{0, 5460, 0}, {5461, 6000, 2}, {6001, 10922, 1}, {10923, 16383, 2}};
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(6000); }));
  EXPECT_EQ(listener_.failovers, 1);
}

TEST_F(ClusterTest, AServerThatForgotTheClusterWipesNothing) {
  Start();
  ASSERT_TRUE(AllUp());
  for (std::size_t server = 0; server < 3; ++server) {
    extra_[server] = [this, server](const Arguments& arguments) -> std::optional<Answer> {
      if (arguments[0] == "CLUSTER") return Answer{"*0\r\n"};
      if (arguments[0] == "GET" && server == 0) return Answer{"-MOVED 7 " + To(1) + "\r\n"};
      return std::nullopt;
    };
  }
  EXPECT_EQ(Ask(7), 1);
  ASSERT_TRUE(loop_.Until([&] { return listener_.Noted("knows no slots"); }));
  EXPECT_TRUE(cluster_->Reachable(0));
  EXPECT_TRUE(cluster_->Reachable(16383));
  // Who knew none is not asked again before the others, and the seeds, were.
  extra_[2] = nullptr;
  map_ = {{0, 16383, 2}};
  EXPECT_TRUE(loop_.Until([&] { return Ask(6000) == 2; }));
}

TEST_F(ClusterTest, OneThatHandedOverAndIsAReplicaNowMayHaveLostWrites) {
  options_.primary.ping_interval_ns = 10'000'000;
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  Says(1, "-MOVED 6000 " + To(3) + "\r\n");
  map_ = {{0, 5460, 0}, {5461, 6000, 3}, {6001, 10922, 1}, {10923, 16383, 2}};
  EXPECT_EQ(Ask(6000), 3);
  EXPECT_EQ(listener_.failovers, 0);
  fakes_[1]->role = "slave";  // which its INFO says within a second
  EXPECT_TRUE(loop_.Until([&] { return listener_.failovers == 1; }));
}

// Cut off from the others, but not from here, it goes on as a primary that nobody else knows.
TEST_F(ClusterTest, OneThatHandedEverythingOverMayHaveLostWritesWhateverItSays) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  map_[1].owner = 3;
  Says(0, "-MOVED 7 " + To(2) + "\r\n");  // a sign of change
  Ask(7);
  ASSERT_TRUE(loop_.Until([&] { return Ask(6000) == 3; }));
  EXPECT_EQ(listener_.lost, 0);
  EXPECT_EQ(listener_.failovers, 1);
  // The next map tells nothing new.
  Says(0, "-MOVED 8 " + To(2) + "\r\n");
  EXPECT_EQ(Ask(8), 2);
  extra_[0] = nullptr;
  ASSERT_TRUE(loop_.Until([&] { return Ask(8) == 0; }));
  EXPECT_EQ(listener_.failovers, 1);
}

TEST_F(ClusterTest, SlotsThatMigrateAreNoFailover) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  Says(1, "-MOVED 5461 " + To(3) + "\r\n");
  map_ = {{0, 5460, 0}, {5461, 10921, 3}, {10922, 10922, 1}, {10923, 16383, 2}};
  EXPECT_EQ(Ask(5461), 3);
  ASSERT_TRUE(loop_.Until([&] { return Ask(6000) == 3; }));
  const std::size_t asked = MapsAsked();
  Says(1, "-MOVED 5461 " + To(3) + "\r\n");
  Ask(10922);
  ASSERT_TRUE(loop_.Until([&] { return MapsAsked() > asked; }));
  loop_.For(20);
  EXPECT_EQ(listener_.failovers, 0);
}

TEST_F(ClusterTest, SlotsThatNobodyHadForAWhileMayHaveLostWrites) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  fakes_[1]->StopListening();
  fakes_[1]->CloseAll();
  map_ = {{0, 5460, 0}, {10923, 16383, 2}};
  ASSERT_TRUE(loop_.Until([&] { return listener_.Noted("2 primaries serve the others"); }));
  map_ = {{0, 5460, 0}, {5461, 10922, 3}, {10923, 16383, 2}};
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(6000); }));
  EXPECT_EQ(listener_.failovers, 1);
}

TEST_F(ClusterTest, OneThatServesNothingAnyMoreIsLetGo) {
  Add();
  Start();
  ASSERT_TRUE(AllUp());
  map_[1].owner = 3;
  fakes_[1]->role = "slave";
  fakes_[1]->CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return Ask(6000) == 3; }));
  const auto stopped = [&] {
    int count = 0;
    cluster_->Visit([&](const Primary& p) { count += p.stopped() ? 1 : 0; });
    return count;
  };
  ASSERT_TRUE(loop_.Until([&] { return stopped() == 1; }));
  // Its place is used for the next.
  Add();
  map_[1].owner = 4;
  Says(3, "-MOVED 6000 " + To(4) + "\r\n");
  EXPECT_EQ(Ask(6000), 4);
  int primaries = 0;
  cluster_->Visit([&](const Primary&) { ++primaries; });
  EXPECT_EQ(primaries, 4);
}

TEST_F(ClusterTest, AFrozenServerHoldsUpNoMap) {
  options_.primary.isolated_after_ns = 50'000'000;
  options_.primary.ping_interval_ns = 20'000'000;
  Start();
  ASSERT_TRUE(AllUp());
  for (const std::size_t frozen : {std::size_t{0}, std::size_t{1}}) fakes_[frozen]->SetFrozen(true);
  ASSERT_TRUE(loop_.Until([&] { return !cluster_->Reachable(0) && !cluster_->Reachable(6000); }));
  map_ = {{0, 16383, 2}};
  ASSERT_TRUE(loop_.Until([&] { return cluster_->Reachable(0) && cluster_->Reachable(6000); }));
  EXPECT_EQ(Ask(0), 2);
}

TEST_F(ClusterTest, ClusterDownIsASignOfChangeAndNoReasonToConnectAnew) {
  Start();
  ASSERT_TRUE(AllUp());
  Says(0, "-CLUSTERDOWN The cluster is down\r\n");
  map_ = {{0, 16383, 1}};
  EXPECT_EQ(Ask(7), -1);
  EXPECT_EQ(last_failure_, Failure::kClusterDown);
  EXPECT_EQ(listener_.lost, 0);
  EXPECT_TRUE(loop_.Until([&] { return Ask(7) == 1; }));
}

TEST_F(ClusterTest, MetaIsReadWhereItsSlotIs) {
  options_.primary.scripts = AllScripts();
  options_.primary.with_meta = true;
  options_.primary.meta_key = "weir:meta";
  options_.primary.proposal = {.format = 1, .shards = 256, .secret = {1, 2}};
  const Slot slot = SlotOf("weir:meta");
  ASSERT_GT(slot, 10922);
  fakes_[2]->meta = {"1", "256", "00000000000000050000000000000006"};
  Start();
  ASSERT_TRUE(loop_.Until([&] { return !listener_.metas.empty(); }));
  EXPECT_EQ(listener_.metas[0].secret, (Secret{5, 6}));
  ASSERT_TRUE(AllUp());
  EXPECT_EQ(fakes_[0]->CountCommands("EVALSHA"), 0u);
  EXPECT_EQ(fakes_[2]->CountCommands("EVALSHA"), 1u);
  EXPECT_GT(listener_.connected, 0);
  // A server that lost its data gets what was held, not another proposal.
  fakes_[2]->meta.clear();
  fakes_[2]->CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return fakes_[2]->CountCommands("EVALSHA") == 2; }));
  const std::vector<Arguments>& commands = fakes_[2]->commands();
  const auto last = std::find_if(commands.rbegin(), commands.rend(),
                                 [](const Arguments& c) { return c[0] == "EVALSHA"; });
  EXPECT_EQ(last->back(), "00000000000000050000000000000006");
}

TEST_F(ClusterTest, WithoutMetaNobodyIsToldToGoOn) {
  options_.primary.scripts = AllScripts();
  options_.primary.with_meta = true;
  options_.primary.meta_key = "weir:meta";
  options_.primary.proposal = {.format = 1, .shards = 256, .secret = {1, 2}};
  extra_[2] = [](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "EVALSHA") return std::nullopt;
    return Answer{"-OOM command not allowed when used memory > 'maxmemory'.\r\n"};
  };
  Start();
  ASSERT_TRUE(AllUp());
  ASSERT_TRUE(loop_.Until([&] { return fakes_[2]->CountCommands("EVALSHA") >= 3; }));
  EXPECT_EQ(listener_.connected, 0);
  extra_[2] = nullptr;
  ASSERT_TRUE(loop_.Until([&] { return listener_.connected > 0; }));
  EXPECT_EQ(listener_.metas.size(), 1u);
}

TEST_F(ClusterTest, WhatIsUnderWayEndsWithTheCluster) {
  Add();
  fakes_[3]->StopListening();
  Start();
  ASSERT_TRUE(AllUp());
  Ending parked;
  Says(0, "-ASK 7 " + To(3) + "\r\n");
  ASSERT_TRUE(Send(7, parked));
  ASSERT_TRUE(loop_.Until([&] { return fakes_[0]->CountCommands("GET") == 1; }));
  loop_.For(20);
  fakes_[1]->SetFrozen(true);
  Ending frozen;
  ASSERT_TRUE(Send(6000, frozen));
  cluster_->Flush();
  cluster_.reset();
  EXPECT_EQ(parked.calls, 1);
  EXPECT_EQ(frozen.calls, 1);
}

}  // namespace
}  // namespace weir
