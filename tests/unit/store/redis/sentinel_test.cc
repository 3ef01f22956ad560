#include "limiter/store/redis/sentinel.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_redis.h"
#include "tests/support/primary_harness.h"

namespace weir {
namespace {

using test::Answer;
using test::Arguments;
using test::FakeRedis;
using test::TestLoop;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SentinelTest : public testing::Test {
 protected:
  SentinelTest() {
    for (int i = 0; i < 3; ++i) fakes_.push_back(std::make_unique<FakeRedis>(loop_.base()));
    options_.master = "mymaster";
    options_.reach.link.connect_timeout_ns = 10'000'000'000;
    for (auto& fake : fakes_) options_.sentinels.push_back({"127.0.0.1", fake->port(), ""});
  }

  // What the sentinel answers to the question.
  void Says(std::size_t i, std::string bytes) {
    fakes_[i]->SetHandler([bytes](const Arguments& arguments) -> std::optional<Answer> {
      if (arguments[0] != "SENTINEL") return std::nullopt;
      return Answer{bytes};
    });
  }

  bool Find(absl::StatusOr<RedisAddress>& result, int64_t deadline_ms = 10'000) {
    if (source_ == nullptr) {
      source_ = std::make_unique<SentinelAddress>(
          Primary::Environment{loop_.base(), loop_, resolver_, loop_.clock()}, options_);
    }
    calls_ = 0;
    source_->Find([&](absl::StatusOr<RedisAddress> found) {
      ++calls_;
      result = std::move(found);
    });
    return loop_.Until([&] { return calls_ > 0; }, deadline_ms);
  }

  std::string Text(std::size_t i) { return RedisAddressText(options_.sentinels[i]); }

  TestLoop loop_;
  std::vector<std::unique_ptr<FakeRedis>> fakes_;
  SentinelOptions options_;
  ThreadExecutor resolver_;
  std::unique_ptr<SentinelAddress> source_;
  int calls_ = 0;
  absl::StatusOr<RedisAddress> result_ = absl::UnknownError("not told");
};

const RedisAddress kMaster = {"10.0.0.7", 6380, ""};

TEST_F(SentinelTest, AsksAllForTheMasterByItsName) {
  for (auto& fake : fakes_) fake->SetFrozen(true);
  options_.reach.link.connect_timeout_ns = 300'000'000;
  for (std::size_t i = 0; i < 3; ++i) Says(i, test::BulkArray({"10.0.0.7", "6380"}));
  options_.reach.login = [] { return RedisLogin{"weir", "secret"}; };
  for (auto& fake : fakes_) fake->password = "secret";
  ASSERT_TRUE(Find(result_));  // nobody answered: each was connected to
  EXPECT_EQ(result_.status().code(), absl::StatusCode::kUnavailable);
  for (auto& fake : fakes_) {
    EXPECT_EQ(fake->accepted(), 1u);
    fake->SetFrozen(false);
  }
  ASSERT_TRUE(Find(result_));
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_EQ(*result_, kMaster);
  bool asked = false;
  for (auto& fake : fakes_) {
    const auto& commands = fake->commands();
    asked = asked || (commands.size() >= 2 && commands[0] == Arguments{"AUTH", "weir", "secret"} &&
                      commands[1] == Arguments{"SENTINEL", "get-master-addr-by-name", "mymaster"});
  }
  EXPECT_TRUE(asked);
}

TEST_F(SentinelTest, OneThatKnowsIsEnoughHoweverTheOthersFail) {
  fakes_[0]->StopListening();
  fakes_[1]->SetFrozen(true);
  Says(2, test::BulkArray({"10.0.0.7", "6380"}));
  const int64_t began_ns = loop_.NowNs();
  ASSERT_TRUE(Find(result_));
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_EQ(*result_, kMaster);
  // Not at the end of the ten seconds that the slow one has.
  EXPECT_LT(loop_.NowNs() - began_ns, options_.reach.link.connect_timeout_ns / 2);
  EXPECT_TRUE(loop_.Until([&] { return fakes_[2]->connections() == 0; })) << "a connection is left";
}

TEST_F(SentinelTest, AnUnknownNameOrAnErrorIsNoAnswer) {
  Says(0, "*-1\r\n");
  Says(1, "-IDONTKNOW I have not enough information to reply.\r\n");
  Says(2, test::BulkArray({"::1", "6380"}));
  ASSERT_TRUE(Find(result_));
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_EQ(*result_, (RedisAddress{"::1", 6380, ""}));
}

TEST_F(SentinelTest, TheErrorSaysWhatEachSaid) {
  Says(0, "*-1\r\n");
  Says(1, "-NOAUTH Authentication required.\r\n");
  fakes_[2]->StopListening();
  ASSERT_TRUE(Find(result_));
  EXPECT_EQ(result_.status().message(),
            "no sentinel names the master mymaster; " + Text(0) + ": knows no master mymaster; " +
                Text(1) + ": NOAUTH Authentication required.; " + Text(2) + ": Connection refused");
  EXPECT_EQ(calls_, 1);
}

TEST_F(SentinelTest, AWrongPasswordIsNamed) {
  for (std::size_t i = 0; i < 3; ++i) Says(i, "-NOAUTH Authentication required.\r\n");
  for (auto& fake : fakes_) fake->password = "secret";
  options_.reach.login = [] { return RedisLogin{"", "other"}; };
  ASSERT_TRUE(Find(result_));
  EXPECT_NE(result_.status().message().find("AUTH: WRONGPASS"), std::string::npos)
      << result_.status();
}

TEST_F(SentinelTest, GarbageIsNoAnswer) {
  for (const std::string& garbage :
       {test::BulkArray({"10.0.0.7"}), test::BulkArray({"10.0.0.7", "0"}),
        test::BulkArray({"10.0.0.7", "65536"}), test::BulkArray({"10.0.0.7", "1x"}),
        test::BulkArray({"", "6379"}), test::BulkArray({"a b", "6379"}),
        test::BulkArray({std::string(300, 'a'), "6379"}), std::string(":1\r\n"),
        std::string("+OK\r\n"), std::string("*2\r\n*0\r\n*0\r\n"), std::string("!\r\n")}) {
    for (std::size_t i = 0; i < 3; ++i) Says(i, garbage);
    ASSERT_TRUE(Find(result_)) << garbage;
    EXPECT_EQ(result_.status().code(), absl::StatusCode::kUnavailable) << garbage;
  }
}

TEST_F(SentinelTest, ASearchEndsInTimeWhenNobodyAnswers) {
  for (auto& fake : fakes_) fake->SetFrozen(true);
  options_.reach.link.connect_timeout_ns = 50'000'000;
  ASSERT_TRUE(Find(result_));
  EXPECT_NE(result_.status().message().find("no answer in time"), std::string::npos);
  EXPECT_EQ(calls_, 1);
}

TEST_F(SentinelTest, NamesAreLookedUp) {
  fakes_[1]->StopListening();
  fakes_[2]->StopListening();
  options_.sentinels[0].host = "localhost";
  Says(0, test::BulkArray({"10.0.0.7", "6380"}));
  ASSERT_TRUE(Find(result_));
  ASSERT_TRUE(result_.ok()) << result_.status();
  EXPECT_EQ(*result_, kMaster);
}

TEST_F(SentinelTest, DestroyedInTheMiddleItTellsNobody) {
  for (auto& fake : fakes_) fake->SetFrozen(true);
  options_.sentinels[0].host = "localhost";
  EXPECT_FALSE(Find(result_, 30));
  source_.reset();
  loop_.For(30);
  EXPECT_EQ(calls_, 0);
}

TEST_F(SentinelTest, AHintIsTriedOnceAndAsksNobody) {
  for (std::size_t i = 0; i < 3; ++i) Says(i, test::BulkArray({"10.0.0.1", "6379"}));
  ASSERT_TRUE(Find(result_));
  const std::size_t asked = fakes_[0]->accepted();
  source_->Hint(kMaster);
  ASSERT_TRUE(Find(result_));
  EXPECT_EQ(*result_, kMaster);
  EXPECT_EQ(fakes_[0]->accepted(), asked);
  ASSERT_TRUE(Find(result_));
  EXPECT_EQ(result_->host, "10.0.0.1");
}

// Sentinels that are listened to.
class SentinelWatchTest : public SentinelTest {
 protected:
  SentinelWatchTest() { ListenerOf(0); }

  void ListenerOf(std::size_t i) {
    fakes_[i]->SetHandler([](const Arguments& arguments) -> std::optional<Answer> {
      if (arguments[0] != "SUBSCRIBE") return std::nullopt;
      return Answer{"*3\r\n" + test::Bulk("subscribe") + test::Bulk(arguments[1]) + ":1\r\n"};
    });
  }

  void Start() {
    watch_ = std::make_unique<SentinelWatch>(
        Primary::Environment{loop_.base(), loop_, resolver_, loop_.clock()}, options_,
        BackoffOptions{5'000'000, 20'000'000, 10'000'000}, 1,
        [this](const RedisAddress& to) { moved_.push_back(to); },
        [this](NoteLevel level, std::string_view text) {
          EXPECT_EQ(level, NoteLevel::kWarning);
          notes_.emplace_back(text);
        });
    watch_->Start();
  }
  bool Subscribed(std::size_t i, std::size_t times = 1) {
    return loop_.Until([&] { return fakes_[i]->CountCommands("SUBSCRIBE") >= times; });
  }
  // What was noted of a sentinel.
  std::vector<std::string> NotesOf(std::size_t i) {
    std::vector<std::string> notes;
    for (const std::string& note : notes_) {
      if (note.starts_with("redis sentinel " + Text(i) + ":")) notes.push_back(note);
    }
    return notes;
  }
  static std::string Message(const std::string& text) {
    return test::BulkArray({"message", "+switch-master", text});
  }

  std::unique_ptr<SentinelWatch> watch_;
  std::vector<RedisAddress> moved_;
  std::vector<std::string> notes_;
};

TEST_F(SentinelWatchTest, AMoveIsToldByWhicheverSentinelSaysSo) {
  for (std::size_t i = 0; i < 3; ++i) ListenerOf(i);
  Start();
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(Subscribed(i));
    EXPECT_EQ(fakes_[i]->commands()[0], (Arguments{"SUBSCRIBE", "+switch-master"}));
  }
  fakes_[2]->SayToAll(Message("mymaster 10.0.0.1 6379 10.0.0.7 6380"));
  ASSERT_TRUE(loop_.Until([&] { return !moved_.empty(); }));
  EXPECT_EQ(moved_[0], kMaster);
  // One message after another on the same connection.
  fakes_[2]->SayToAll(Message("mymaster 10.0.0.7 6380 10.0.0.8 6380") +
                      Message("mymaster 10.0.0.8 6380 10.0.0.9 6380"));
  ASSERT_TRUE(loop_.Until([&] { return moved_.size() == 3; }));
  EXPECT_EQ(moved_[2].host, "10.0.0.9");
}

TEST_F(SentinelWatchTest, WhatIsNoMoveOfThisMasterIsNone) {
  Start();
  ASSERT_TRUE(Subscribed(0));
  for (const std::string text :
       {"other 10.0.0.1 6379 10.0.0.7 6380", "mymaster", "", "mymaster 1 2 3", "mymaster 1 2 3 x",
        "mymaster 10.0.0.1 6379 10.0.0.7 0", "mymaster 10.0.0.1 6379 10.0.0.7 6380 more"}) {
    fakes_[0]->SayToAll(Message(text));
  }
  fakes_[0]->SayToAll("*2\r\n$4\r\npong\r\n$0\r\n\r\n+OK\r\n:7\r\n");
  fakes_[0]->SayToAll(Message("mymaster 10.0.0.1 6379 10.0.0.7 6380"));
  ASSERT_TRUE(loop_.Until([&] { return !moved_.empty(); }));
  EXPECT_EQ(moved_.size(), 1u);
  EXPECT_EQ(fakes_[0]->accepted(), 1u);
}

TEST_F(SentinelWatchTest, AConnectionThatEndedIsMadeAnew) {
  Start();
  ASSERT_TRUE(Subscribed(0));
  fakes_[0]->CloseAll();
  ASSERT_TRUE(Subscribed(0, 2));
  fakes_[0]->SayToAll(Message("mymaster 10.0.0.1 6379 10.0.0.7 6380"));
  EXPECT_TRUE(loop_.Until([&] { return !moved_.empty(); }));
}

TEST_F(SentinelWatchTest, ASentinelThatRefusesIsAskedAgain) {
  fakes_[0]->SetHandler([](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "SUBSCRIBE") return std::nullopt;
    return Answer{"-NOAUTH Authentication required.\r\n"};
  });
  Start();
  ASSERT_TRUE(Subscribed(0, 3));
  EXPECT_TRUE(moved_.empty());
  EXPECT_TRUE(loop_.Until([&] { return fakes_[0]->connections() <= 1; })) << "one is left";
  // Said once, though it was refused three times.
  EXPECT_EQ(NotesOf(0), (std::vector<std::string>{
                            "redis sentinel " + Text(0) +
                            ": NOAUTH Authentication required.; cannot listen to its "
                            "+switch-master: where no other sentinel tells of a failover, it is "
                            "found when the connection to the primary ends"}));
  watch_.reset();
}

TEST_F(SentinelWatchTest, ASentinelThatIsNotThereIsNoted) {
  fakes_[1]->StopListening();
  fakes_[2]->password = "secret";
  options_.reach.login = [] { return RedisLogin{"", "other"}; };
  Start();
  ASSERT_TRUE(loop_.Until([&] { return !NotesOf(1).empty() && !NotesOf(2).empty(); }));
  EXPECT_THAT(NotesOf(1)[0], HasSubstr("Connection refused; cannot listen"));
  EXPECT_THAT(NotesOf(2)[0], HasSubstr("AUTH: WRONGPASS"));
}

TEST_F(SentinelWatchTest, ASentinelThatIsListenedToIsNotNoted) {
  options_.sentinels.resize(1);
  Start();
  ASSERT_TRUE(Subscribed(0));
  fakes_[0]->SayToAll(Message("mymaster 10.0.0.1 6379 10.0.0.7 6380"));
  ASSERT_TRUE(loop_.Until([&] { return !moved_.empty(); }));
  EXPECT_THAT(notes_, IsEmpty());
  fakes_[0]->CloseAll();
  ASSERT_TRUE(loop_.Until([&] { return !notes_.empty(); }));
}

}  // namespace
}  // namespace weir
