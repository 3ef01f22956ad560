#include "limiter/store/redis/primary.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/store/redis/scripts.h"
#include "tests/support/fake_redis.h"
#include "tests/support/primary_harness.h"

namespace weir {
namespace {

using test::Answer;
using test::Arguments;
using test::Ending;
using test::FakeRedis;
using test::TestedPrimary;
using test::TestLoop;

using States = std::vector<PrimaryState>;

class PrimaryTest : public testing::Test {
 protected:
  TestLoop loop_;
  FakeRedis redis_{loop_.base()};
  TestedPrimary tested_{loop_, {"127.0.0.1", redis_.port(), ""}};
};

TEST_F(PrimaryTest, ShakesHandsBeforeTheFirstCommand) {
  redis_.password = "secret";
  tested_.options.login = [] { return RedisLogin{"weir", "secret"}; };
  tested_.options.db = 3;
  tested_.options.client_name = "weir-1";
  tested_.options.scripts = AllScripts();
  tested_.options.with_meta = true;
  tested_.options.meta_key = "weir:meta";
  tested_.options.proposal = {1, 256, {0xab, 0xcd}};
  ASSERT_TRUE(tested_.Connect());

  std::vector<Arguments> expected = {{"AUTH", "weir", "secret"},
                                     {"SELECT", "3"},
                                     {"CLIENT", "SETNAME", "weir-1"},
                                     {"INFO", "server"},
                                     {"INFO", "replication"}};
  for (const Script& script : AllScripts()) {
    expected.push_back({"SCRIPT", "LOAD", std::string(script.text)});
  }
  expected.push_back({"EVALSHA", std::string(ScriptOf(ScriptId::kMeta).sha1), "1", "weir:meta", "1",
                      "256", "00000000000000ab00000000000000cd"});
  EXPECT_EQ(redis_.commands(), expected);
  ASSERT_EQ(tested_.listener.metas.size(), 1u);
  EXPECT_EQ(tested_.listener.metas[0], (Meta{1, 256, {0xab, 0xcd}}));
  EXPECT_EQ(tested_.primary->texts().version, "7.0.15");
  EXPECT_EQ(tested_.primary->texts().replication_id, redis_.replication_id);
}

TEST_F(PrimaryTest, AsksForNothingItDoesNotNeed) {
  tested_.options.client_name = "";
  ASSERT_TRUE(tested_.Connect());
  EXPECT_EQ(redis_.commands(),
            (std::vector<Arguments>{{"INFO", "server"}, {"INFO", "replication"}}));
}

TEST_F(PrimaryTest, WhatIsHeldWinsOverTheProposalAndIsProposedAfterwards) {
  tested_.options.with_meta = true;
  tested_.options.proposal = {1, 256, {1, 2}};
  redis_.meta = {"1", "64", "00000000000000030000000000000004"};
  ASSERT_TRUE(tested_.Connect());
  ASSERT_EQ(tested_.listener.metas.size(), 1u);
  EXPECT_EQ(tested_.listener.metas[0], (Meta{1, 64, {3, 4}}));
  redis_.meta.clear();  // a wipe
  redis_.CloseAll();
  ASSERT_TRUE(tested_.Reaches(PrimaryState::kRecovering));
  ASSERT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(redis_.meta, (std::vector<std::string>{"1", "64", "00000000000000030000000000000004"}));
}

TEST_F(PrimaryTest, AWrongPasswordIsTriedAgainWithTheNewOne) {
  redis_.password = "new";
  std::string password = "old";
  tested_.options.login = [&] { return RedisLogin{"", password}; };
  tested_.Start();
  ASSERT_TRUE(loop_.Until([&] { return tested_.ConnectionFailures(Failure::kWrongPass) >= 2; }));
  EXPECT_TRUE(tested_.listener.Noted("AUTH: WRONGPASS"));
  EXPECT_FALSE(tested_.listener.Noted("old")) << "a password in the log";
  password = "new";
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(PrimaryTest, AUserWithoutTheRightToANameIsServed) {
  redis_.SetHandler([](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "CLIENT") return std::nullopt;
    return Answer{"-NOPERM this user has no permissions to run the 'client|setname' command\r\n"};
  });
  EXPECT_TRUE(tested_.Connect());
}

TEST_F(PrimaryTest, RepliesComeInOrderHoweverTheyAreCut) {
  ASSERT_TRUE(tested_.Connect());
  int next = 0;
  std::string wire;
  redis_.SetHandler([&](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "DO") return std::nullopt;
    wire += ":" + arguments[1] + "\r\n";
    return Answer{};
  });
  std::vector<Ending> endings(100);
  std::vector<int> order;
  for (std::size_t i = 0; i < endings.size(); ++i) {
    endings[i].then = [&, i] { order.push_back(static_cast<int>(i)); };
    ASSERT_TRUE(tested_.Send(endings[i], {"DO", std::to_string(i)}));
  }
  ASSERT_TRUE(loop_.Until([&] { return redis_.CountCommands("DO") == endings.size(); }));
  for (const char c : wire) {
    redis_.SayToAll(std::string(1, c));
    if (++next % 7 == 0) event_base_loop(loop_.base(), EVLOOP_NONBLOCK);
  }
  ASSERT_TRUE(loop_.Until([&] { return order.size() == endings.size(); }));
  for (std::size_t i = 0; i < endings.size(); ++i) {
    EXPECT_EQ(order[i], static_cast<int>(i));
    EXPECT_EQ(endings[i].integer, static_cast<long long>(i));
  }
}

TEST_F(PrimaryTest, TakesNoCommandWithoutAConnection) {
  tested_.Start();
  Ending ending;
  EXPECT_FALSE(tested_.Send(ending, {"DO"}));
  EXPECT_FALSE(ending.done());
}

TEST_F(PrimaryTest, BoundsWhatIsInFlight) {
  tested_.options.in_flight_max = 3;
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  std::vector<Ending> endings(4);
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(tested_.Send(endings[i], {"DO"}));
  EXPECT_FALSE(tested_.Send(endings[3], {"DO"}));
  EXPECT_EQ(tested_.primary->stats().refused, 1u);
  EXPECT_EQ(tested_.primary->stats().in_flight, 3u);
  redis_.SetFrozen(false);
  ASSERT_TRUE(loop_.Until([&] { return endings[2].done(); }));
  EXPECT_EQ(tested_.primary->stats().in_flight, 0u);
  EXPECT_TRUE(tested_.Send(endings[3], {"DO"}));
  EXPECT_TRUE(loop_.Until([&] { return endings[3].done(); }));
}

TEST_F(PrimaryTest, BoundsWhatTheKernelDoesNotTake) {
  tested_.options.link.output_bytes_max = 1'000;
  ASSERT_TRUE(tested_.Connect());
  Ending small;
  Ending large;
  EXPECT_FALSE(tested_.Send(large, {std::string(2'000, 'x')}));
  EXPECT_TRUE(tested_.Ask(small, {"DO"}));
  EXPECT_FALSE(large.done());
}

TEST_F(PrimaryTest, LargeCommandsPassThroughAFullSocket) {
  tested_.options.link.output_bytes_max = 64 << 20;
  ASSERT_TRUE(tested_.Connect());
  const std::string megabyte(1 << 20, 'x');
  std::vector<Ending> endings(16);
  for (Ending& ending : endings) ASSERT_TRUE(tested_.Send(ending, {"DO", megabyte}));
  EXPECT_TRUE(loop_.Until([&] { return endings.back().done(); }));
  EXPECT_EQ(endings.back().failure, Failure::kNone);
}

// Everything in flight ends once, also when its end sends more.
TEST_F(PrimaryTest, ALostConnectionEndsEveryCommandOnce) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  std::vector<Ending> endings(50);
  Ending more;
  bool taken = true;
  endings[0].then = [&] { taken = tested_.Send(more, {"DO"}); };
  for (Ending& ending : endings) ASSERT_TRUE(tested_.Send(ending, {"DO"}));
  loop_.For(20);
  redis_.CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return endings.back().done(); }));
  for (const Ending& ending : endings) {
    EXPECT_EQ(ending.calls, 1);
    EXPECT_EQ(ending.failure, Failure::kLost);
  }
  EXPECT_FALSE(taken);
  EXPECT_FALSE(more.done());
  EXPECT_EQ(tested_.primary->stats().in_flight, 0u);
  redis_.SetFrozen(false);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(PrimaryTest, DestroyingItEndsEveryCommandOnce) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending ending;
  Ending more;
  Primary* const primary = tested_.primary.get();
  ending.then = [&] { EXPECT_FALSE(primary->Send("*1\r\n$2\r\nDO\r\n", nullptr, more)); };
  ASSERT_TRUE(tested_.Send(ending, {"DO"}));
  tested_.primary.reset();
  EXPECT_EQ(ending.calls, 1);
}

TEST_F(PrimaryTest, NoScriptLoadsOnceAndSendsTheVeryBytesAgain) {
  tested_.options.scripts = AllScripts();
  ASSERT_TRUE(tested_.Connect());
  const Script& script = ScriptOf(ScriptId::kTokenBucket);
  redis_.scripts_forgotten = {std::string(script.sha1)};
  const std::size_t before = redis_.commands().size();
  std::vector<Ending> endings(5);
  for (std::size_t i = 0; i < endings.size(); ++i) {
    ASSERT_TRUE(
        tested_.Send(endings[i], {"EVALSHA", script.sha1, "0", std::to_string(i)}, &script));
  }
  ASSERT_TRUE(loop_.Until([&] {
    return std::all_of(endings.begin(), endings.end(), [](const Ending& e) { return e.done(); });
  }));
  for (const Ending& ending : endings) {
    EXPECT_EQ(ending.failure, Failure::kNone);
    EXPECT_EQ(ending.integer, 1);
  }
  std::vector<Arguments> said(redis_.commands().begin() + static_cast<long>(before),
                              redis_.commands().end());
  ASSERT_EQ(said.size(), 11u) << "five calls, one load, five calls";
  EXPECT_EQ(said[5], (Arguments{"SCRIPT", "LOAD", std::string(script.text)}));
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(said[6 + i], said[i]);
  EXPECT_EQ(tested_.primary->stats().script_resends, 5u);
  EXPECT_EQ(redis_.accepted(), 1u);
}

TEST_F(PrimaryTest, NoScriptTwiceEndsTheCall) {
  tested_.options.scripts = AllScripts();
  ASSERT_TRUE(tested_.Connect());
  const Script& script = ScriptOf(ScriptId::kTokenBucket);
  redis_.SetHandler([](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "EVALSHA") return std::nullopt;
    return Answer{"-NOSCRIPT No matching script. Please use EVAL.\r\n"};
  });
  Ending ending;
  ASSERT_TRUE(tested_.Ask(ending, {"EVALSHA", script.sha1, "0"}, &script));
  EXPECT_EQ(ending.failure, Failure::kNoScript);
  EXPECT_EQ(redis_.CountCommands("EVALSHA"), 2u);
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kConnected);
}

TEST_F(PrimaryTest, OneWaitInVainIsSuspectAndTheNextReplyEndsIt) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending ending;
  ASSERT_TRUE(tested_.Send(ending, {"DO"}));
  tested_.primary->NoteTimeout();
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kSuspect);
  Ending later;
  ASSERT_TRUE(tested_.Send(later, {"DO"})) << "still taken";
  redis_.SetFrozen(false);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_TRUE(ending.done());
  EXPECT_EQ(redis_.accepted(), 1u);
}

TEST_F(PrimaryTest, AReplyThatIsItselfLateDoesNotEndSuspicion) {
  tested_.options.ping_interval_ns = 10'000'000'000;
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending late;
  ASSERT_TRUE(tested_.Send(late, {"DO"}));
  tested_.primary->NoteTimeout();
  redis_.SetFrozen(false);
  ASSERT_TRUE(loop_.Until([&] { return late.done(); }));
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kSuspect);
  Ending fresh;
  ASSERT_TRUE(tested_.Ask(fresh, {"DO"}));
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(PrimaryTest, AWaitThatEndsAfterTheReplyIsNoSuspicion) {
  ASSERT_TRUE(tested_.Connect());
  tested_.primary->NoteTimeout();
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kConnected);
}

TEST_F(PrimaryTest, ThreeWaitsInVainIsolateAndTheProbeEndsItOnTheSameConnection) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending owed;
  ASSERT_TRUE(tested_.Send(owed, {"DO"}));
  for (int i = 0; i < 3; ++i) tested_.primary->NoteTimeout();
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kIsolated);
  Ending refused;
  EXPECT_FALSE(tested_.Send(refused, {"DO"}));
  EXPECT_TRUE(tested_.listener.Noted("isolated after 3 waits in vain"));
  loop_.For(50);
  redis_.SetFrozen(false);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(redis_.accepted(), 1u);
  EXPECT_EQ(redis_.CountCommands("PING"), 1u);
  EXPECT_TRUE(owed.done());
  EXPECT_EQ(tested_.listener.states, (States{PrimaryState::kConnected, PrimaryState::kSuspect,
                                             PrimaryState::kIsolated, PrimaryState::kConnected}));
}

TEST_F(PrimaryTest, AReplyOwedTooLongIsolatesAndLaterSilenceIsSeenAsFast) {
  tested_.options.isolated_after_ns = 30'000'000;
  ASSERT_TRUE(tested_.Connect());
  for (int i = 0; i < 3; ++i) {
    redis_.SetFrozen(true);
    Ending ending;
    const int64_t sent_ns = loop_.NowNs();
    ASSERT_TRUE(tested_.Send(ending, {"DO"}));
    ASSERT_TRUE(tested_.Reaches(PrimaryState::kIsolated));
    EXPECT_GE(loop_.NowNs() - sent_ns, 30'000'000);
    EXPECT_LT(loop_.NowNs() - sent_ns, 1'000'000'000) << "far from the end of a long silence";
    redis_.SetFrozen(false);
    ASSERT_TRUE(tested_.Reaches(PrimaryState::kConnected));
    EXPECT_TRUE(ending.done());
  }
  EXPECT_EQ(redis_.accepted(), 1u);
  EXPECT_EQ(tested_.primary->stats().isolations, 3u);
}

TEST_F(PrimaryTest, AnIdleConnectionIsPingedAndIsolatedWithoutAnyCommand) {
  tested_.options.ping_interval_ns = 20'000'000;
  tested_.options.isolated_after_ns = 30'000'000;
  ASSERT_TRUE(tested_.Connect());
  ASSERT_TRUE(loop_.Until([&] { return tested_.primary->stats().pings >= 3; }));
  EXPECT_GT(tested_.primary->stats().ping_rtt_ns, 0);
  redis_.SetFrozen(true);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kIsolated));
  redis_.SetFrozen(false);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(redis_.accepted(), 1u);
}

// A server whose every answer is late stays isolated, and is asked no faster than it answers.
TEST_F(PrimaryTest, AProbeThatIsAnsweredLateDoesNotEndIsolation) {
  tested_.options.isolated_after_ns = 30'000'000;
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending ending;
  ASSERT_TRUE(tested_.Send(ending, {"DO"}));
  ASSERT_TRUE(tested_.Reaches(PrimaryState::kIsolated));
  for (int i = 0; i < 3; ++i) {
    const std::size_t pings = redis_.CountCommands("PING");
    redis_.SetFrozen(false);
    redis_.SetFrozen(true);
    loop_.For(60);
    EXPECT_EQ(tested_.primary->state(), PrimaryState::kIsolated);
    EXPECT_LE(redis_.CountCommands("PING"), pings + 1);
  }
}

TEST_F(PrimaryTest, AProbeThatMeetsAnErrorWaitsForTheNextPing) {
  tested_.options.isolated_after_ns = 30'000'000;
  tested_.options.ping_interval_ns = 100'000'000;
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending ending;
  ASSERT_TRUE(tested_.Send(ending, {"DO"}));
  ASSERT_TRUE(tested_.Reaches(PrimaryState::kIsolated));
  bool busy = true;
  redis_.SetHandler([&](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "PING" || !busy) return std::nullopt;
    return Answer{"-BUSY Redis is busy running a script.\r\n"};
  });
  redis_.SetFrozen(false);
  loop_.For(250);
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kIsolated);
  EXPECT_LE(redis_.CountCommands("PING"), 6u);
  busy = false;
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(redis_.accepted(), 1u);
}

TEST_F(PrimaryTest, AnotherReplicationIdIsAFailover) {
  tested_.options.ping_interval_ns = 20'000'000;
  ASSERT_TRUE(tested_.Connect());
  EXPECT_EQ(tested_.listener.failovers, 0);
  redis_.replication_id = std::string(40, 'f');
  EXPECT_TRUE(loop_.Until([&] { return tested_.listener.failovers == 1; })) << "found by PING";
  redis_.replication_id = std::string(40, 'e');
  redis_.CloseAll();
  EXPECT_TRUE(loop_.Until([&] { return tested_.listener.failovers == 2; }));
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  loop_.For(60);
  EXPECT_EQ(tested_.primary->stats().failovers, 2u);
  EXPECT_TRUE(tested_.listener.Noted("failover"));
}

TEST_F(PrimaryTest, APrimaryThatBecomesAReplicaIsLeft) {
  tested_.options.ping_interval_ns = 20'000'000;
  ASSERT_TRUE(tested_.Connect());
  redis_.role = "slave";
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kRecovering));
  EXPECT_GE(tested_.ConnectionFailures(Failure::kReplica), 1u);
  redis_.role = "master";
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(PrimaryTest, FollowsItsAddressSource) {
  FakeRedis other(loop_.base());
  ASSERT_TRUE(tested_.Connect());
  tested_.source.address = RedisAddress{"127.0.0.1", other.port(), ""};
  tested_.primary->Reconnect("it moved");
  EXPECT_EQ(tested_.primary->state(), PrimaryState::kRecovering);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(other.accepted(), 1u);
  EXPECT_EQ(redis_.connections(), 0u);
}

TEST_F(PrimaryTest, APauseIsCutShortWhenThePrimaryIsSaidToBeElsewhere) {
  tested_.options.backoff = {60'000'000'000, 60'000'000'000, 10'000'000};
  redis_.StopListening();
  tested_.Start();
  ASSERT_TRUE(loop_.Until([&] { return tested_.ConnectionFailures(Failure::kRefused) == 1; }));
  redis_.ListenAgain();
  tested_.primary->Reconnect("it moved");
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected, 5'000));
}

TEST_F(PrimaryTest, NamesAreResolvedAndEveryAddressIsTried) {
  tested_.source.address = RedisAddress{"localhost", redis_.port(), ""};
  ASSERT_TRUE(tested_.Connect());
  EXPECT_EQ(tested_.primary->stats().attempts, 1u) << "::1 may have been refused before";
}

TEST_F(PrimaryTest, TheSameNoteIsWrittenOnce) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SetHandler([](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "DO") return std::nullopt;
    return Answer{"-OOM command not allowed\r\n"};
  });
  for (int i = 0; i < 100; ++i) {
    Ending ending;
    ASSERT_TRUE(tested_.Ask(ending, {"DO"}));
  }
  const auto& notes = tested_.listener.notes;
  EXPECT_EQ(std::count_if(notes.begin(), notes.end(),
                          [](const std::string& n) { return n.find("OOM") != std::string::npos; }),
            1);
  EXPECT_EQ(tested_.CommandFailures(Failure::kOom), 100u);
}

TEST_F(PrimaryTest, WhatTheServerSaysCannotForgeALineOfTheLog) {
  redis_.set_greeting("-ERR bad\x1b[31m\tthing\r\n");
  tested_.Start();
  ASSERT_TRUE(loop_.Until([&] { return !tested_.listener.notes.empty(); }));
  for (const std::string& note : tested_.listener.notes) {
    for (const char c : note) EXPECT_GE(c, ' ') << note;
  }
}

// 50 stores lose Redis at once and find it gone: each tries at most twice a second, and together
// they make no wave.
TEST(PrimaryFleet, LosingRedisTogetherMakesNoWave) {
  constexpr std::size_t kStores = 50;
  constexpr int64_t kOutageMs = 2'500;
  TestLoop loop;
  FakeRedis redis(loop.base());
  std::vector<std::unique_ptr<TestedPrimary>> fleet;
  for (std::size_t i = 0; i < kStores; ++i) {
    fleet.push_back(
        std::make_unique<TestedPrimary>(loop, RedisAddress{"127.0.0.1", redis.port(), ""}));
    fleet.back()->UseProductionTimes();
    fleet.back()->options.seed = 1'000 + i;
    fleet.back()->Start();
  }
  for (const auto& tested : fleet) ASSERT_TRUE(tested->Reaches(PrimaryState::kConnected));
  // So that no store still counts its first attempt.
  loop.For(600);
  redis.StopListening();
  redis.CloseAll();
  const int64_t lost_ns = loop.NowNs();
  loop.For(kOutageMs);

  std::vector<int> histogram(kOutageMs / 50 + 1);
  for (const auto& tested : fleet) {
    const std::vector<int64_t>& asked_ns = tested->source.asked_ns;
    EXPECT_GE(asked_ns.size(), 3u);
    for (std::size_t i = 1; i < asked_ns.size(); ++i) {
      // The source is asked a little after the attempt began, more or less so on a busy machine.
      EXPECT_GE(asked_ns[i] - asked_ns[i - 1], 480'000'000) << "more than two in a second";
      const auto bucket = static_cast<std::size_t>((asked_ns[i] - lost_ns) / 50'000'000);
      if (bucket < histogram.size()) ++histogram[bucket];
    }
  }
  EXPECT_LE(*std::max_element(histogram.begin(), histogram.end()), 25)
      << testing::PrintToString(histogram);

  redis.ListenAgain();
  const int64_t back_ns = loop.NowNs();
  const int64_t stalled_before_ns = loop.stalled_ns();
  for (const auto& tested : fleet) EXPECT_TRUE(tested->Reaches(PrimaryState::kConnected));
  EXPECT_LT(loop.NowNs() - back_ns - (loop.stalled_ns() - stalled_before_ns), 1'000'000'000);
}

}  // namespace
}  // namespace weir
