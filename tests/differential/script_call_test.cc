// The bytes of a call and what is made of a reply, without any store.

#include "limiter/store/redis/script_call.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/lua_store.h"

namespace weir::test {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kExactMax = int64_t{1} << 53;
constexpr uint64_t kUint64Max = std::numeric_limits<uint64_t>::max();

Limit MakeTestLimit(const LimitSpec& spec) {
  Limit limit;
  EXPECT_TRUE(MakeLimit(spec, &limit).empty());
  return limit;
}

LimitSpec Spec(Algorithm algorithm, uint32_t hits, int64_t window_ns = kSecondNs) {
  return {.algorithm = algorithm, .hits = hits, .window_ns = window_ns, .burst = 0};
}

ScriptCall Call(const Limit& limit, Op op = Op::kTake, uint64_t hits = 1) {
  return {.limit = limit, .op = op, .hits = hits, .drain = false, .lease = {}};
}

// The arguments of the one command that AppendCall writes, its name first.
std::vector<std::string> CommandOf(const ScriptCall& call) {
  std::string wire;
  AppendCall(call, "key", wire);
  std::string_view rest = wire;
  std::vector<std::string> command = TakeCommand(rest);
  EXPECT_TRUE(rest.empty()) << wire;
  return command;
}

// ARGV of the script.
std::vector<std::string> ArgumentsOf(const ScriptCall& call) {
  const std::vector<std::string> command = CommandOf(call);
  EXPECT_EQ(command.size(), 14u);
  return {command.begin() + 4, command.end()};
}

using Strings = std::vector<std::string>;

TEST(ScriptCall, IsOneCommandAppended) {
  const Limit limit = MakeTestLimit(Spec(Algorithm::kTokenBucket, 3));
  std::string wire = "before";
  AppendCall(Call(limit), "weir1:{s042}:k", wire);
  const std::string sha1(ScriptOf(ScriptId::kTokenBucket).sha1);
  EXPECT_EQ(wire, "before*14\r\n$7\r\nEVALSHA\r\n$40\r\n" + sha1 +
                      "\r\n$1\r\n1\r\n$14\r\nweir1:{s042}:k\r\n"
                      "$4\r\ntake\r\n$4\r\n1000\r\n$9\r\n333333334\r\n$10\r\n1000000002\r\n"
                      "$1\r\n1\r\n$9\r\n333333334\r\n$1\r\n0\r\n$1\r\n1\r\n$1\r\n0\r\n$1\r\n0\r\n");
}

TEST(ScriptCall, GivesEachScriptItsArguments) {
  const LeaseAsk lease = {.want = 64,
                          .share = 8,
                          .life_ns = 40'000'001,
                          .life_max_ns = 50'000'000,
                          .back_hits = 5,
                          .back_window = 77};
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 10));
  ScriptCall call = {.limit = fixed, .op = Op::kReport, .hits = 2, .drain = true, .lease = lease};
  EXPECT_EQ(ArgumentsOf(call),
            (Strings{"report", "10", "1000000", "2", "64", "8", "40001", "1", "5", "77"}));
  const Limit sliding = MakeTestLimit(Spec(Algorithm::kSlidingWindow, 10));
  const ScriptCall slides = {
      .limit = sliding, .op = Op::kRefund, .hits = 2, .drain = true, .lease = lease};
  EXPECT_EQ(ArgumentsOf(slides),
            (Strings{"refund", "10", "100000", "10", "2", "64", "8", "40001", "50000", "1"}));
  EXPECT_EQ(ArgumentsOf(Call(fixed, Op::kPeek))[0], "peek");
}

TEST(ScriptCall, CutsALeaseAtItsLongestLife) {
  const Limit limit = MakeTestLimit(Spec(Algorithm::kSlidingWindow, 10));
  ScriptCall call = {.limit = limit, .op = Op::kTake, .hits = 1, .drain = false, .lease = {}};
  call.lease.life_ns = kSecondNs;
  EXPECT_EQ(ArgumentsOf(call)[7], "50000");  // a twentieth of the window, by default
  EXPECT_EQ(ArgumentsOf(call)[8], "50000");
  call.lease.life_max_ns = 0;
  EXPECT_EQ(ArgumentsOf(call)[7], "0");
  EXPECT_EQ(LeaseLifeMaxNs(limit), 50'000'000);
  EXPECT_EQ(LeaseLifeMaxNs(MakeTestLimit(Spec(Algorithm::kFixedWindow, 10))), 10 * kSecondNs);
  EXPECT_EQ(LeaseLifeMaxNs(MakeTestLimit(Spec(Algorithm::kTokenBucket, 10))), kSecondNs / 10);
}

TEST(ScriptCall, CountsInMicrosecondsWhereNanosecondsWouldNotBeExact) {
  const int64_t edge_ns = int64_t{1} << 52;
  const Limit below = MakeTestLimit(Spec(Algorithm::kTokenBucket, 1, edge_ns));
  Strings arguments = ArgumentsOf(Call(below));
  EXPECT_EQ(arguments[1], "1000");
  EXPECT_EQ(arguments[3], std::to_string(edge_ns));
  const Limit above = MakeTestLimit(Spec(Algorithm::kTokenBucket, 1, edge_ns + 1));
  arguments = ArgumentsOf(Call(above));
  EXPECT_EQ(arguments[1], "1");
  EXPECT_EQ(arguments[3], std::to_string(edge_ns / 1'000 + 1));
}

TEST(ScriptCall, RoundsWindowsUpToMicroseconds) {
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 1, 1'001));
  EXPECT_EQ(ArgumentsOf(Call(fixed))[2], "2");
  LimitSpec spec = Spec(Algorithm::kSlidingWindow, 1);
  spec.precision = 7;
  EXPECT_EQ(ArgumentsOf(Call(MakeTestLimit(spec)))[2], "142858");
}

TEST(ScriptCall, ResetsByDeletingTheRecord) {
  const Limit limit = MakeTestLimit(Spec(Algorithm::kTokenBucket, 3));
  EXPECT_EQ(CommandOf(Call(limit, Op::kReset)), (Strings{"DEL", "key"}));
  const ScriptReply reply = ReplyToReset(Call(limit, Op::kReset, 4));
  EXPECT_EQ(reply.decision.remaining, 3u);
  EXPECT_EQ(reply.remaining_before, 3u);
  EXPECT_FALSE(reply.decision.allowed);
  EXPECT_EQ(reply.decision.retry_after_ns, kNeverNs);
}

// Whatever the rule and the caller say.
TEST(ScriptCall, SendsOnlyNumbersThatADoubleHolds) {
  std::mt19937_64 random(7);  // NOLINT(bugprone-random-generator-seed): every run is the same
  const auto pick = [&random](auto... values) {
    const std::vector<uint64_t> from = {static_cast<uint64_t>(values)...};
    return from[random() % from.size()];
  };
  int calls = 0;
  for (int i = 0; i < 20'000; ++i) {
    LimitSpec spec = Spec(static_cast<Algorithm>(random() % 3), 1);
    spec.hits = static_cast<uint32_t>(pick(1, 3, 1'000'000, UINT32_MAX));
    spec.burst = static_cast<uint32_t>(pick(0, 1, 77, UINT32_MAX));
    spec.window_ns = static_cast<int64_t>(
        pick(1, 999, kSecondNs, 31'622'400 * kSecondNs, int64_t{1} << 52, kWindowMaxNs));
    Limit limit;
    if (!MakeLimit(spec, &limit).empty()) continue;
    const auto any = [&] {
      return pick(0, 1, 2, kCountMax - 1, kCountMax, kCountMax + 1, kExactMax - 1, kUint64Max);
    };
    const ScriptCall call = {.limit = limit,
                             .op = Op::kReport,
                             .hits = any(),
                             .drain = true,
                             .lease = {.want = any(),
                                       .share = static_cast<uint32_t>(pick(0, 1, UINT32_MAX)),
                                       .life_ns = 10 * kSecondNs,
                                       .life_max_ns = kLifeMaxOfLimit,
                                       .back_hits = any(),
                                       .back_window = 1}};
    const Strings arguments = ArgumentsOf(call);
    for (std::size_t j = 1; j < arguments.size(); ++j) {
      const int64_t number = std::strtoll(arguments[j].c_str(), nullptr, 10);
      ASSERT_GE(number, 0) << "argument " << j;
      ASSERT_LE(number, kExactMax) << "argument " << j;
      const bool divisor = limit.algorithm == Algorithm::kTokenBucket && (j == 2 || j == 3);
      ASSERT_GE(number, divisor ? 1 : 0) << "argument " << j;
    }
    ++calls;
  }
  EXPECT_GT(calls, 1'000);
}

TEST(ScriptCall, DecidesWhatNoCallCanChange) {
  const Limit bucket = MakeTestLimit(Spec(Algorithm::kTokenBucket, 3));
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 3));
  const Limit sliding = MakeTestLimit(Spec(Algorithm::kSlidingWindow, 3));
  for (const Limit* limit : {&bucket, &fixed, &sliding}) {
    EXPECT_FALSE(DecidedWithoutCall(Call(*limit, Op::kTake, 3)).has_value());
    EXPECT_FALSE(DecidedWithoutCall(Call(*limit, Op::kTake, 0)).has_value());
    const std::optional<Decision> never = DecidedWithoutCall(Call(*limit, Op::kTake, 4));
    ASSERT_TRUE(never.has_value());
    EXPECT_FALSE(never->allowed);
    EXPECT_EQ(never->retry_after_ns, kNeverNs);
    EXPECT_EQ(never->next_hit_after_ns, 0);
    // It drains, or only asks, or charges all the same.
    ScriptCall drains = {.limit = *limit, .op = Op::kTake, .hits = 4, .drain = true, .lease = {}};
    EXPECT_FALSE(DecidedWithoutCall(drains).has_value());
    for (const Op op : {Op::kPeek, Op::kReport, Op::kRefund, Op::kReset}) {
      EXPECT_FALSE(DecidedWithoutCall(Call(*limit, op, 4)).has_value());
    }
  }
}

TEST(ScriptCall, ABannedTokenBucketHasNoState) {
  const Limit ban = MakeTestLimit(Spec(Algorithm::kTokenBucket, 0));
  for (const Op op : {Op::kTake, Op::kPeek, Op::kReport, Op::kRefund}) {
    ScriptCall call = {.limit = ban, .op = op, .hits = 1, .drain = true, .lease = {}};
    const std::optional<Decision> decision = DecidedWithoutCall(call);
    ASSERT_TRUE(decision.has_value());
    const bool allowed = op == Op::kReport || op == Op::kRefund;
    EXPECT_EQ(decision->allowed, allowed);
    EXPECT_EQ(decision->retry_after_ns, allowed ? 0 : kNeverNs);
    EXPECT_EQ(decision->next_hit_after_ns, kNeverNs);
  }
}

// now, allowed, granted, ttl, remaining, before, reset, retry, next hit, fault
const std::vector<int64_t> kGoodReply = {1'790'000'000'000'000, 1, 5, 100, 2, 7, 300, 0, 0, 1};

TEST(ScriptReply, IsReadInTheUnitsOfItsScript) {
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 10));
  ScriptCall call = Call(fixed);
  call.lease.want = 5;
  const absl::StatusOr<ScriptReply> reply = ReadReply(call, kGoodReply);
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_TRUE(reply->decision.allowed);
  EXPECT_TRUE(reply->decision.clock_fault);
  EXPECT_EQ(reply->granted, 5u);
  EXPECT_EQ(reply->ttl_ns, 100'000);
  EXPECT_EQ(reply->decision.remaining, 2u);
  EXPECT_EQ(reply->remaining_before, 7u);
  EXPECT_EQ(reply->decision.reset_after_ns, 300'000);
  EXPECT_EQ(reply->now_us, 1'790'000'000'000'000);
  const Limit bucket = MakeTestLimit(Spec(Algorithm::kTokenBucket, 10));
  const ScriptCall in_ns = {
      .limit = bucket, .op = Op::kTake, .hits = 5, .drain = false, .lease = {}};
  EXPECT_EQ(ReadReply(in_ns, kGoodReply)->decision.reset_after_ns, 300);
  const Limit slow = MakeTestLimit(Spec(Algorithm::kTokenBucket, 10, int64_t{1} << 60));
  const ScriptCall in_us = {.limit = slow, .op = Op::kTake, .hits = 5, .drain = false, .lease = {}};
  EXPECT_EQ(ReadReply(in_us, kGoodReply)->decision.reset_after_ns, 300'000);
}

TEST(ScriptReply, NamesTheWindowOfAFixedWindow) {
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 10));
  std::vector<int64_t> numbers = {1'790'000'000'000'000, 1, 1, 0, 9, 10, 1'000'000, 0, 0, 0};
  EXPECT_EQ(ReadReply(Call(fixed), numbers)->window, 1'790'000'000);
  numbers[6] = 2'000'000;  // one ahead of a clock that stepped back
  EXPECT_EQ(ReadReply(Call(fixed), numbers)->window, 1'790'000'001);
}

TEST(ScriptReply, ACostThatNeverPassesIsToldSo) {
  const Limit fixed = MakeTestLimit(Spec(Algorithm::kFixedWindow, 3));
  const std::vector<int64_t> numbers = {1'790'000'000'000'000, 0, 0, 0, 3, 3, 0, 500, 0, 0};
  EXPECT_EQ(ReadReply(Call(fixed, Op::kPeek, 4), numbers)->decision.retry_after_ns, kNeverNs);
  EXPECT_EQ(ReadReply(Call(fixed, Op::kPeek, 3), numbers)->decision.retry_after_ns, 500'000);
}

TEST(ScriptReply, AnythingElseIsAProtocolError) {
  const Limit limit = MakeTestLimit(Spec(Algorithm::kFixedWindow, 10));
  ScriptCall call = Call(limit);
  call.lease.want = 5;
  struct Case {
    const char* name;
    std::size_t index;
    int64_t value;
    const char* message;
  };
  const Case cases[] = {
      {"negative", 3, -1, "number 3 of a script's reply is -1"},
      {"inexact", 6, kExactMax + 1, "number 6 of a script's reply is 9007199254740993"},
      {"allowed", 1, 2, "a yes or no of a script's reply is neither"},
      {"fault", 9, 7, "a yes or no of a script's reply is neither"},
      {"remaining", 4, 11, "a script replied more remaining hits than the limit has"},
      {"before", 5, 11, "a script replied more remaining hits than the limit has"},
      {"granted", 2, 6, "a script granted more hits than were asked for"},
  };
  ASSERT_TRUE(ReadReply(call, kGoodReply).ok());
  for (const Case& row : cases) {
    std::vector<int64_t> numbers = kGoodReply;
    numbers[row.index] = row.value;
    const absl::Status status = ReadReply(call, numbers).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal) << row.name;
    EXPECT_EQ(std::string(status.message()), std::string("protocol error: ") + row.message);
  }
  for (std::size_t size = 0; size < kGoodReply.size(); ++size) {
    const absl::Status status =
        ReadReply(call, std::span<const int64_t>(kGoodReply).first(size)).status();
    EXPECT_EQ(std::string(status.message()), "protocol error: a script replied " +
                                                 std::to_string(size) + " numbers instead of 10");
  }
  std::vector<int64_t> longer = kGoodReply;
  longer.push_back(0);
  EXPECT_FALSE(ReadReply(call, longer).ok());
}

TEST(ScriptReply, OfNodesAndMetaIsCheckedToo) {
  EXPECT_EQ(ReadNodes(std::vector<int64_t>{1, 3}).value_or(-1), 3);
  EXPECT_FALSE(ReadNodes(std::vector<int64_t>{1, 0}).ok());
  EXPECT_FALSE(ReadNodes(std::vector<int64_t>{1, kExactMax}).ok());
  EXPECT_FALSE(ReadNodes(std::vector<int64_t>{3}).ok());
  EXPECT_FALSE(ReadMeta(std::vector<std::string_view>{"1", "256"}).ok());
  EXPECT_EQ(ReadMeta(std::vector<std::string_view>{"1", "256", "s"}).value_or(FleetMeta{}),
            (FleetMeta{"1", "256", "s"}));
}

}  // namespace
}  // namespace weir::test
