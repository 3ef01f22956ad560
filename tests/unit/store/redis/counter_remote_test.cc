#include "limiter/store/redis/counter_remote.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/fake_clock.h"

namespace weir {
namespace {

using test::kSecondNs;
using test::kWallStartNs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// "INCRBY k 3" of one command in RESP.
std::string TextOfCommand(std::string_view wire) {
  std::string text;
  for (std::size_t at = wire.find('$'); at != std::string_view::npos; at = wire.find('$', at)) {
    std::size_t size = 0;
    const std::size_t line = wire.find("\r\n", at);
    std::from_chars(wire.data() + at + 1, wire.data() + line, size);
    if (!text.empty()) text += ' ';
    text += wire.substr(line + 2, size);
    at = line + 2 + size;
  }
  return text;
}

// What a Redis holds.
struct Counters {
  std::map<std::string, std::string> values;
  std::map<std::string, int64_t> expiries;
};

// A connection to it. A command takes effect and is answered when the test says so.
class CounterServer final : public Topology {
 public:
  explicit CounterServer(Counters& counters)
      : values(counters.values), expiries(counters.expiries) {}

  struct Owed {
    std::string command;
    CommandSink* sink;
  };

  void Start() override {}
  bool Reachable(Slot /*slot*/) const override { return true; }
  uint64_t outages(Slot /*slot*/) const override { return 0; }
  void Visit(const std::function<void(const Primary&)>& /*visit*/) const override {}
  bool Send(Slot slot, std::string_view wire, const Script* script, CommandSink& sink) override {
    EXPECT_EQ(script, nullptr);
    if (room == 0) return false;
    --room;
    commands.push_back(TextOfCommand(wire));
    const std::size_t key = commands.back().find(' ') + 1;
    EXPECT_EQ(slot, SlotOf(commands.back().substr(key, commands.back().find(' ', key) - key)));
    if (fails_at_once) {
      sink.OnFailure(Failure::kLost, "the connection ended");
      return true;
    }
    owed.push_back({commands.back(), &sink});
    return true;
  }
  void Flush() override { ++flushes; }
  void NoteTimeout(Slot /*slot*/) override {}

  void AnswerOne() {
    const Owed next = owed.front();
    owed.pop_front();
    redisReply reply = {};
    std::string text;
    Execute(next.command, reply, text);
    if (reply.type == REDIS_REPLY_ERROR) return next.sink->OnFailure(Failure::kOther, text);
    if (reply.type == REDIS_REPLY_STRING) {
      reply.str = text.data();
      reply.len = text.size();
    }
    next.sink->OnReply(reply);
  }
  void FailOne() {
    const Owed next = owed.front();
    owed.pop_front();
    next.sink->OnFailure(Failure::kLost, "the connection ended");
  }
  void AnswerAll() {
    while (!owed.empty()) AnswerOne();
  }

  std::map<std::string, std::string>& values;
  std::map<std::string, int64_t>& expiries;
  std::vector<std::string> commands;
  std::deque<Owed> owed;
  int room = 1000;
  bool fails_at_once = false;
  int flushes = 0;

 private:
  void Execute(const std::string& command, redisReply& reply, std::string& text) {
    const std::size_t first = command.find(' ');
    const std::size_t second = command.find(' ', first + 1);
    const std::string name = command.substr(0, first);
    const std::string key = command.substr(first + 1, second - first - 1);
    const int64_t number = second == std::string::npos ? 0 : std::stoll(command.substr(second + 1));
    const auto found = values.find(key);
    reply.type = REDIS_REPLY_INTEGER;
    if (name == "GET") {
      reply.type = found == values.end() ? REDIS_REPLY_NIL : REDIS_REPLY_STRING;
      if (found != values.end()) text = found->second;
    } else if (name == "DEL") {
      reply.integer = static_cast<long long>(values.erase(key));
      expiries.erase(key);
    } else if (name == "EXPIRE") {
      reply.integer = found == values.end() ? 0 : 1;
      if (found != values.end()) expiries[key] = number;
    } else if (found != values.end() && found->second.find_first_not_of("-0123456789") == 0) {
      reply.type = REDIS_REPLY_ERROR;
      text = "ERR value is not an integer or out of range";
    } else {
      int64_t sum = 0;
      const int64_t old = found == values.end() ? 0 : std::stoll(found->second);
      if (__builtin_add_overflow(old, number, &sum)) {
        reply.type = REDIS_REPLY_ERROR;
        text = "ERR increment or decrement would overflow";
        return;
      }
      values[key] = std::to_string(sum);
      reply.integer = sum;
    }
  }
};

class Told final : public RemoteSink {
 public:
  void OnReply(const RemoteReply& of) override {
    ++replies;
    reply = of;
  }
  void OnFailure() override { ++failures; }

  int replies = 0;
  int failures = 0;
  RemoteReply reply;
};

class CounterRemoteTest : public testing::Test, public CounterRemote::Listener {
 protected:
  CounterRemoteTest() {
    MakeLimit({.hits = 5, .window_ns = 60 * kSecondNs}, &limit_);
    call_.limit = &limit_;
    call_.hits = 1;
    call_.drain = true;
    call_.counter = {"k", kWallStartNs + 60 * kSecondNs};
  }

  void OnCounted(const RemoteCall& call, const RemoteReply* reply,
                 int64_t /*duration_ns*/) override {
    const Op op = call.op;
    counted_.push_back(std::to_string(static_cast<int>(op)) +
                       (reply == nullptr ? " failed" : " done"));
  }
  void OnNote(NoteLevel /*level*/, std::string_view text) override { notes_.emplace_back(text); }

  bool Send(Op op, uint64_t hits, Told& told) {
    call_.op = op;
    call_.hits = hits;
    return remote_.Send(call_, server_, told);
  }
  // Sent, and everything that follows answered. Told once.
  RemoteReply Run(Op op, uint64_t hits = 1) {
    Told told;
    EXPECT_TRUE(Send(op, hits, told));
    server_.AnswerAll();
    EXPECT_EQ(told.replies, 1);
    EXPECT_EQ(told.failures, 0);
    return told.reply;
  }
  // A take that is denied and told of, while what it charged is still to be taken back.
  void BeDenied(uint64_t hits, Told& told) {
    call_.drain = false;
    ASSERT_TRUE(Send(Op::kTake, hits, told));
    server_.AnswerOne();
    server_.AnswerOne();
    ASSERT_EQ(told.replies, 1);
    ASSERT_FALSE(told.reply.decision.allowed);
    ASSERT_EQ(server_.owed.size(), 2U);
  }
  std::string Value() const {
    const auto found = server_.values.find("k");
    return found == server_.values.end() ? "(none)" : found->second;
  }

  test::FakeClock clock_;
  Counters counters_;
  CounterServer server_{counters_};
  CounterRemote remote_{{.jitter_max_s = 0, .seed = 1}, clock_, *this};
  Limit limit_;
  RemoteCall call_;
  std::vector<std::string> counted_;
  std::vector<std::string> notes_;
};

TEST_F(CounterRemoteTest, ATakeIsOneTripOfTheOtherProgramsTwoCommands) {
  Told told;
  ASSERT_TRUE(Send(Op::kTake, 2, told));
  EXPECT_THAT(server_.commands, ElementsAre("INCRBY k 2", "EXPIRE k 60"));
  server_.AnswerOne();
  EXPECT_EQ(told.replies, 0);  // not before the counter is sure to end
  server_.AnswerOne();
  EXPECT_EQ(told.replies, 1);
  EXPECT_TRUE(told.reply.decision.allowed);
  EXPECT_EQ(told.reply.decision.remaining, 3U);
  EXPECT_EQ(told.reply.remaining_before, 5U);
  EXPECT_EQ(told.reply.decision.reset_after_ns, 60 * kSecondNs);
  EXPECT_EQ(told.reply.store_now_us, 0);
  EXPECT_THAT(counted_, ElementsAre("0 done"));
}

TEST_F(CounterRemoteTest, TheExpiryIsTheWindowAndARandomPartOfTheJitter) {
  CounterRemote remote({.jitter_max_s = 4, .seed = 1}, clock_, *this);
  std::set<int64_t> seen;
  for (int i = 0; i < 200; ++i) {
    Told told;
    ASSERT_TRUE(remote.Send(call_, server_, told));
    server_.AnswerAll();
    seen.insert(server_.expiries["k"]);
  }
  EXPECT_THAT(seen, ElementsAre(60, 61, 62, 63));
}

TEST_F(CounterRemoteTest, ADeniedTakeStaysChargedWhereDenialsAre) {
  EXPECT_TRUE(Run(Op::kTake, 4).decision.allowed);
  EXPECT_FALSE(Run(Op::kTake, 2).decision.allowed);
  EXPECT_EQ(Value(), "6");
  EXPECT_FALSE(Run(Op::kTake, 1).decision.allowed);
  EXPECT_EQ(Value(), "7");
}

TEST_F(CounterRemoteTest, ADeniedTakeIsTakenBackAfterItsAnswerWhereDenialsAreFree) {
  call_.drain = false;
  EXPECT_TRUE(Run(Op::kTake, 4).decision.allowed);
  Told told;
  BeDenied(2, told);
  EXPECT_EQ(told.reply.decision.remaining, 1U);
  EXPECT_EQ(server_.flushes, 1);
  server_.AnswerAll();
  EXPECT_EQ(Value(), "4");
  EXPECT_TRUE(Run(Op::kTake, 1).decision.allowed);
  // What can never pass is not even tried.
  server_.commands.clear();
  EXPECT_EQ(Run(Op::kTake, 6).decision.retry_after_ns, kNeverNs);
  EXPECT_THAT(server_.commands, ElementsAre("GET k"));
}

TEST_F(CounterRemoteTest, TakenBackFromACounterThatWasResetItEndsAtZero) {
  server_.values["k"] = "5";
  Told told;
  BeDenied(2, told);
  server_.values.erase("k");
  server_.AnswerAll();
  EXPECT_EQ(Value(), "0");
  EXPECT_EQ(server_.expiries["k"], 60);
}

TEST_F(CounterRemoteTest, LooksCreateNothing) {
  EXPECT_TRUE(Run(Op::kPeek, 5).decision.allowed);
  EXPECT_TRUE(Run(Op::kTake, 0).decision.allowed);
  EXPECT_EQ(Value(), "(none)");
  server_.values["k"] = "6";
  EXPECT_FALSE(Run(Op::kPeek, 1).decision.allowed);
  EXPECT_FALSE(Run(Op::kTake, 0).decision.allowed);
  EXPECT_EQ(Value(), "6");
}

TEST_F(CounterRemoteTest, AReportIsChargedWhateverThereIs) {
  EXPECT_TRUE(Run(Op::kReport, 500).decision.allowed);
  EXPECT_EQ(Value(), "500");
  EXPECT_EQ(server_.expiries["k"], 60);
  EXPECT_FALSE(Run(Op::kTake).decision.allowed);
}

TEST_F(CounterRemoteTest, ARefundNeverGoesBelowZeroNorCreatesACounter) {
  EXPECT_TRUE(Run(Op::kRefund, 3).decision.allowed);
  EXPECT_EQ(Value(), "(none)");
  server_.values["k"] = "5";
  EXPECT_EQ(Run(Op::kRefund, 2).decision.remaining, 2U);
  EXPECT_EQ(Value(), "3");
  EXPECT_EQ(Run(Op::kRefund, 9).decision.remaining, 5U);
  EXPECT_EQ(Value(), "0");
  EXPECT_GT(server_.flushes, 0);
}

TEST_F(CounterRemoteTest, TwoRefundsThatMeetEndAtZero) {
  server_.values["k"] = "5";
  Told first;
  Told second;
  ASSERT_TRUE(Send(Op::kRefund, 5, first));
  ASSERT_TRUE(Send(Op::kRefund, 5, second));
  server_.AnswerAll();
  EXPECT_EQ(first.replies + second.replies, 2);
  EXPECT_EQ(Value(), "0");
}

TEST_F(CounterRemoteTest, AResetDeletesAndSaysWhatWasThere) {
  server_.values["k"] = "3";
  const RemoteReply reply = Run(Op::kReset, 0);
  EXPECT_THAT(server_.commands, ElementsAre("GET k", "DEL k"));
  EXPECT_EQ(reply.remaining_before, 2U);
  EXPECT_EQ(reply.decision.remaining, 5U);
  EXPECT_EQ(Value(), "(none)");
  server_.values["k"] = "garbage";
  EXPECT_TRUE(Run(Op::kReset, 0).decision.allowed);
  EXPECT_EQ(Value(), "(none)");
}

TEST_F(CounterRemoteTest, ACounterThatIsNoNumberFailsTheCallAndIsNotedOnce) {
  server_.values["k"] = "garbage";
  for (const Op op : {Op::kTake, Op::kPeek, Op::kReport, Op::kRefund, Op::kPeek}) {
    Told told;
    ASSERT_TRUE(Send(op, 1, told));
    server_.AnswerAll();
    EXPECT_EQ(told.replies, 0);
    EXPECT_EQ(told.failures, 1);
  }
  EXPECT_THAT(notes_, ElementsAre("a counter that is shared holds no number"));
  EXPECT_EQ(Value(), "garbage");
}

TEST_F(CounterRemoteTest, ACounterBeyondAllNumbersIsFull) {
  server_.values["k"] = "9223372036854775807";
  EXPECT_FALSE(Run(Op::kTake, 1).decision.allowed);
  EXPECT_TRUE(Run(Op::kReport, 1).decision.allowed);
  EXPECT_FALSE(Run(Op::kPeek, 1).decision.allowed);
  server_.values["k"] = "-3";
  EXPECT_EQ(Run(Op::kPeek, 1).decision.remaining, 5U);
}

TEST_F(CounterRemoteTest, EitherCommandsFailureIsTheCalls) {
  for (const int failing : {0, 1}) {
    Told told;
    ASSERT_TRUE(Send(Op::kTake, 1, told));
    for (const int command : {0, 1}) {
      EXPECT_EQ(told.failures, 0);
      command == failing ? server_.FailOne() : server_.AnswerOne();
    }
    EXPECT_EQ(told.failures, 1);
    EXPECT_EQ(told.replies, 0);
  }
  EXPECT_THAT(counted_, ElementsAre("0 failed", "0 failed"));
}

TEST_F(CounterRemoteTest, ALostReturnIsNotToldAndTheCallIsUsedAgain) {
  server_.values["k"] = "5";
  Told told;
  BeDenied(1, told);
  // While its return is under way others are sent: they must not be confused.
  Told other;
  ASSERT_TRUE(Send(Op::kReport, 1, other));
  server_.FailOne();
  server_.FailOne();
  EXPECT_EQ(other.replies + other.failures, 0);
  server_.AnswerAll();
  EXPECT_EQ(other.replies, 1);
  EXPECT_EQ(told.replies, 1);
  EXPECT_EQ(told.failures, 0);
  EXPECT_EQ(Value(), "7");
  for (int i = 0; i < 3; ++i) Run(Op::kReport, 1);
}

TEST_F(CounterRemoteTest, ACallIsNotUsedAgainBeforeItsReturnIsThere) {
  server_.values["k"] = "5";
  Told told;
  BeDenied(2, told);
  server_.values.erase("k");
  call_.counter.key = "j";
  Told other;
  ASSERT_TRUE(Send(Op::kReport, 3, other));
  server_.AnswerAll();
  EXPECT_EQ(other.replies, 1);
  EXPECT_EQ(server_.values["k"], "0");
  EXPECT_EQ(server_.values["j"], "3");
}

TEST_F(CounterRemoteTest, WhatIsNotSentIsNotTold) {
  server_.room = 0;
  Told told;
  EXPECT_FALSE(Send(Op::kTake, 1, told));
  EXPECT_FALSE(Send(Op::kPeek, 1, told));
  EXPECT_EQ(told.replies + told.failures, 0);
  EXPECT_THAT(counted_, IsEmpty());
  // Half of it is: then it fails once the half is answered.
  server_.room = 1;
  EXPECT_TRUE(Send(Op::kTake, 1, told));
  EXPECT_EQ(told.failures, 0);
  server_.AnswerAll();
  EXPECT_EQ(told.failures, 1);
  server_.room = 1000;
  Run(Op::kTake);
}

TEST_F(CounterRemoteTest, AFailureBeforeSendReturnsIsToldOnce) {
  server_.fails_at_once = true;
  Told told;
  EXPECT_TRUE(Send(Op::kTake, 1, told));
  EXPECT_TRUE(Send(Op::kReset, 0, told));
  EXPECT_EQ(told.failures, 2);
  server_.fails_at_once = false;
  Run(Op::kTake);
}

// Three nodes on one Redis, whose commands take effect in any order but that of each connection.
class CounterRaceTest : public CounterRemoteTest {
 protected:
  struct Node {
    Node(Counters& counters, Clock& clock, CounterRemote::Listener& listener)
        : server(counters), remote({.jitter_max_s = 0, .seed = 1}, clock, listener) {}
    CounterServer server;
    CounterRemote remote;
  };
  struct Sent {
    Op op;
    uint64_t hits;
    Told told;
  };

  // Sends `calls` of what `next` says, some while others are under way, until all are answered.
  template <typename Next>
  std::deque<Sent> Race(uint32_t seed, int calls, Next next) {
    std::mt19937 random(seed);
    std::deque<Node> nodes;
    for (int i = 0; i < 3; ++i) nodes.emplace_back(counters_, clock_, *this);
    std::deque<Sent> sent;
    for (bool busy = true; busy;) {
      Node& node = nodes[random() % nodes.size()];
      if (static_cast<int>(sent.size()) < calls && random() % 4 == 0) {
        Sent& call = sent.emplace_back(next(random));
        call_.op = call.op;
        call_.hits = call.hits;
        EXPECT_TRUE(node.remote.Send(call_, node.server, call.told));
      } else if (!node.server.owed.empty()) {
        node.server.AnswerOne();
      }
      busy = static_cast<int>(sent.size()) < calls;
      for (const Node& other : nodes) busy |= !other.server.owed.empty();
    }
    return sent;
  }

  // A race under each seed, on a counter that begins with `value` ("": there is none).
  template <typename Next, typename Check>
  void RaceOften(uint32_t seeds, const std::string& value, int calls, Next next, Check check) {
    for (uint32_t seed = 0; seed < seeds; ++seed) {
      SCOPED_TRACE(seed);
      counters_ = {};
      if (!value.empty()) counters_.values["k"] = value;
      const std::deque<Sent> sent = Race(seed, calls, next);
      for (const Sent& call : sent) EXPECT_EQ(call.told.replies, 1);
      check(sent);
      if (HasFailure()) return;
    }
  }

  static uint64_t AdmittedOf(const std::deque<Sent>& sent) {
    uint64_t admitted = 0;
    for (const Sent& call : sent) admitted += call.told.reply.decision.allowed ? call.hits : 0;
    return admitted;
  }
};

TEST_F(CounterRaceTest, TakesNeverPassBeyondTheLimitAndDeniedOnesCostNothing) {
  call_.drain = false;
  const auto next = [](auto& random) { return Sent{Op::kTake, 1 + random() % 3, {}}; };
  RaceOften(300, "", 20, next, [&](const std::deque<Sent>& sent) {
    EXPECT_LE(AdmittedOf(sent), 5U);
    EXPECT_EQ(Value(), std::to_string(AdmittedOf(sent)));
  });
}

// One hit at a time, and charged when denied: to the hit.
TEST_F(CounterRaceTest, TakesOfOneHitPassUpToTheLimit) {
  const auto next = [](auto& /*random*/) { return Sent{Op::kTake, 1, {}}; };
  RaceOften(100, "", 20, next, [&](const std::deque<Sent>& sent) {
    EXPECT_EQ(AdmittedOf(sent), 5U);
    EXPECT_EQ(Value(), "20");
  });
}

TEST_F(CounterRaceTest, RefundsOfMoreThanThereIsEndAtZero) {
  const auto next = [](auto& random) { return Sent{Op::kRefund, 1 + random() % 4, {}}; };
  RaceOften(300, "6", 12, next, [&](const std::deque<Sent>& /*sent*/) { EXPECT_EQ(Value(), "0"); });
}

}  // namespace
}  // namespace weir
