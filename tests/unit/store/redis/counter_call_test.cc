#include "limiter/store/redis/counter_call.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kEndNs = 1'700'000'100 * kSecondNs;  // of a minute
constexpr uint64_t kUint64Max = std::numeric_limits<uint64_t>::max();
constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
constexpr int64_t kInt64Min = std::numeric_limits<int64_t>::min();

Limit PerMinute(uint32_t hits) {
  Limit limit;
  MakeLimit({.hits = hits, .window_ns = 60 * kSecondNs}, &limit);
  return limit;
}
const Limit kFive = PerMinute(5);
const Limit kBan = PerMinute(0);

CounterCall Call(Op op, uint64_t hits, bool drain = true, const Limit& limit = kFive) {
  return {.limit = limit, .op = op, .hits = hits, .drain = drain, .window_end_ns = kEndNs};
}
// Ten seconds and a half before the window ends.
CounterReply At(const CounterCall& call, int64_t count) {
  return AnswerAt(call, count, kEndNs - 10 * kSecondNs - kSecondNs / 2);
}

TEST(CounterCommands, AreThoseOfTheOtherProgram) {
  std::string wire;
  AppendAdd("d_k_v_60", 3, wire);
  AppendExpire("d_k_v_60", 361, wire);
  EXPECT_EQ(wire,
            "*3\r\n$6\r\nINCRBY\r\n$8\r\nd_k_v_60\r\n$1\r\n3\r\n"
            "*3\r\n$6\r\nEXPIRE\r\n$8\r\nd_k_v_60\r\n$3\r\n361\r\n");
  wire.clear();
  AppendAdd("k", -12, wire);
  AppendRead("k", wire);
  AppendDelete("k", wire);
  EXPECT_EQ(wire,
            "*3\r\n$6\r\nINCRBY\r\n$1\r\nk\r\n$3\r\n-12\r\n"
            "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
            "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
}

TEST(CounterChanges, OfTheFirstCommand) {
  struct Case {
    CounterCall call;
    std::optional<int64_t> change;
  };
  const Case cases[] = {
      {Call(Op::kTake, 3), 3},
      {Call(Op::kTake, 3, false), 3},
      {Call(Op::kTake, 9), 9},                    // denied, and charged for it
      {Call(Op::kTake, 9, false), std::nullopt},  // denied, and not
      {Call(Op::kTake, 0), std::nullopt},         // a check
      {Call(Op::kTake, 1, true, kBan), 1},        // as the other program does
      {Call(Op::kTake, 1, false, kBan), std::nullopt},
      {Call(Op::kTake, kUint64Max), int64_t{kCountMax}},  // never a refund
      {Call(Op::kPeek, 3), std::nullopt},
      {Call(Op::kReport, 3, false), 3},
      {Call(Op::kReport, 0), std::nullopt},
      {Call(Op::kReport, kUint64Max), int64_t{kCountMax}},
      {Call(Op::kRefund, 3), std::nullopt},
      {Call(Op::kReset, 0), std::nullopt},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(FirstChange(c.call), c.change)
        << static_cast<int>(c.call.op) << " of " << c.call.hits << ", drain " << c.call.drain;
  }
}

TEST(CounterChanges, ARefundTakesNoMoreThanThereIs) {
  EXPECT_EQ(ChangeAfterRead(Call(Op::kRefund, 3), 10), -3);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kRefund, 3), 2), -2);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kRefund, 3), 0), 0);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kRefund, 3), -7), 0);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kRefund, kUint64Max), 2), -2);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kPeek, 3), 10), 0);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kTake, 0), 10), 0);
  EXPECT_EQ(ChangeAfterRead(Call(Op::kReset, 0), 10), 0);
}

TEST(CounterChanges, ATakeThatMustNotChargeIsTakenBackWhenDenied) {
  EXPECT_EQ(ChangeAfterAdd(Call(Op::kTake, 3, false), 5), 0);
  EXPECT_EQ(ChangeAfterAdd(Call(Op::kTake, 3, false), 6), -3);
  EXPECT_EQ(ChangeAfterAdd(Call(Op::kTake, 3, true), 6), 0);
  EXPECT_EQ(ChangeAfterAdd(Call(Op::kReport, 3, false), 600), 0);
}

// Two refunds that both read 5: the one that comes second puts back what it took below zero.
TEST(CounterChanges, RefundsThatMeetPutBackTheirOwnExcess) {
  EXPECT_EQ(ChangeAfterRefund(-5, 0), 0);
  EXPECT_EQ(ChangeAfterRefund(-5, 3), 0);
  EXPECT_EQ(ChangeAfterRefund(-5, -2), 2);
  EXPECT_EQ(ChangeAfterRefund(-5, -5), 5);
  EXPECT_EQ(ChangeAfterRefund(-5, -50), 5);  // the rest is another's
  EXPECT_EQ(ChangeAfterRefund(-5, kInt64Min), 5);
}

redisReply Reply(int type, const char* text = nullptr, long long integer = 0) {
  redisReply reply = {};
  reply.type = type;
  reply.integer = integer;
  reply.str = const_cast<char*>(text);
  reply.len = text == nullptr ? 0 : std::string_view(text).size();
  return reply;
}

TEST(CounterReplies, AreNumbers) {
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_INTEGER, nullptr, 7)), 7);
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_INTEGER, nullptr, -7)), -7);
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_NIL)), 0);
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_STRING, "7")), 7);
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_STRING, "-7")), -7);
  EXPECT_EQ(*ReadCount(Reply(REDIS_REPLY_STRING, "9223372036854775807")), kInt64Max);
  for (const char* text : {"", "x", "7x", " 7", "7 ", "7.5", "9223372036854775808", "+7"}) {
    EXPECT_EQ(ReadCount(Reply(REDIS_REPLY_STRING, text)).status().code(),
              absl::StatusCode::kInternal)
        << "'" << text << "'";
  }
  EXPECT_FALSE(ReadCount(Reply(REDIS_REPLY_STATUS, "7")).ok());
  EXPECT_FALSE(ReadCount(Reply(REDIS_REPLY_ARRAY)).ok());
}

TEST(CounterReplies, ASumThatRedisCannotHoldIsFull) {
  constexpr const char* kOverflow = "ERR increment or decrement would overflow";
  EXPECT_EQ(SaturatedCount(3, kOverflow), kInt64Max);
  EXPECT_EQ(SaturatedCount(-3, kOverflow), kInt64Min);
  EXPECT_EQ(SaturatedCount(3, "ERR value is not an integer or out of range"), std::nullopt);
  const CounterReply reply = At(Call(Op::kTake, 1), kInt64Max - 1);
  EXPECT_FALSE(reply.decision.allowed);
  EXPECT_EQ(reply.remaining_before, 0U);
}

// The other program decides by the count after: passes while it is at most the limit.
TEST(CounterAnswers, ATakePassesWhileTheCountAfterItIsAtMostTheLimit) {
  for (const Op op : {Op::kTake, Op::kPeek}) {
    for (uint64_t hits = 1; hits <= 7; ++hits) {
      for (int64_t before = 0; before <= 8; ++before) {
        const bool passes = before + static_cast<int64_t>(hits) <= 5;
        const CounterReply reply = At(Call(op, hits), before);
        EXPECT_EQ(reply.decision.allowed, passes) << before << " + " << hits;
        EXPECT_EQ(reply.remaining_before, before < 5 ? static_cast<uint64_t>(5 - before) : 0U);
        EXPECT_EQ(reply.decision.retry_after_ns == 0, passes);
        EXPECT_EQ(reply.decision.retry_after_ns == kNeverNs, hits > 5);
        if (op == Op::kTake) {
          const uint64_t after = static_cast<uint64_t>(before) + hits;
          EXPECT_EQ(reply.decision.remaining, after < 5 ? 5 - after : 0U) << before << "+" << hits;
        }
      }
    }
  }
}

TEST(CounterAnswers, TimesRunToTheEndOfTheWindow) {
  const int64_t left_ns = 10 * kSecondNs + kSecondNs / 2;
  EXPECT_EQ(At(Call(Op::kTake, 1), 0).decision.reset_after_ns, left_ns);
  EXPECT_EQ(At(Call(Op::kTake, 1), 5).decision.reset_after_ns, left_ns);
  EXPECT_EQ(At(Call(Op::kTake, 1), 5).decision.retry_after_ns, left_ns);
  EXPECT_EQ(At(Call(Op::kTake, 1), 5).decision.next_hit_after_ns, left_ns);
  EXPECT_EQ(At(Call(Op::kPeek, 1), 0).decision.reset_after_ns, 0);
}

// A request that waited into the next window, or whose node's clock was set back.
TEST(CounterAnswers, AClockOutsideTheWindowChangesNoVerdict) {
  for (const int64_t now_ns : {kEndNs, kEndNs + 90 * kSecondNs, kEndNs - 3600 * kSecondNs}) {
    const CounterReply denied = AnswerAt(Call(Op::kTake, 1), 5, now_ns);
    EXPECT_FALSE(denied.decision.allowed);
    EXPECT_GT(denied.decision.retry_after_ns, 0);
    EXPECT_LE(denied.decision.retry_after_ns, 60 * kSecondNs);
    EXPECT_FALSE(denied.decision.clock_fault);
    EXPECT_TRUE(AnswerAt(Call(Op::kTake, 1), 4, now_ns).decision.allowed);
  }
}

TEST(CounterAnswers, ACheckOfZeroIsDeniedAboveTheLimitOnly) {
  EXPECT_TRUE(At(Call(Op::kTake, 0), 5).decision.allowed);
  EXPECT_FALSE(At(Call(Op::kTake, 0), 6).decision.allowed);
  EXPECT_TRUE(At(Call(Op::kTake, 0, true, kBan), 0).decision.allowed);
}

TEST(CounterAnswers, ABanDeniesForGood) {
  for (const bool drain : {true, false}) {
    const CounterReply reply = At(Call(Op::kTake, 1, drain, kBan), 0);
    EXPECT_FALSE(reply.decision.allowed);
    EXPECT_EQ(reply.decision.retry_after_ns, kNeverNs);
    EXPECT_EQ(reply.decision.next_hit_after_ns, kNeverNs);
  }
}

TEST(CounterAnswers, ADeniedTakeThatIsTakenBackLeavesWhatWasThere) {
  EXPECT_EQ(At(Call(Op::kTake, 3, false), 4).decision.remaining, 1U);
  EXPECT_EQ(At(Call(Op::kTake, 3, true), 4).decision.remaining, 0U);
}

TEST(CounterAnswers, ReportsRefundsAndResetsAlwaysPass) {
  EXPECT_TRUE(At(Call(Op::kReport, 9), 4).decision.allowed);
  EXPECT_EQ(At(Call(Op::kReport, 9), 4).decision.remaining, 0U);
  EXPECT_EQ(At(Call(Op::kReport, 2), 1).decision.remaining, 2U);
  EXPECT_TRUE(At(Call(Op::kRefund, 9), 4).decision.allowed);
  EXPECT_EQ(At(Call(Op::kRefund, 9), 4).decision.remaining, 5U);
  EXPECT_EQ(At(Call(Op::kRefund, 1), 7).decision.remaining, 0U);
  const CounterReply reset = At(Call(Op::kReset, 0), 7);
  EXPECT_TRUE(reset.decision.allowed);
  EXPECT_EQ(reset.decision.remaining, 5U);
  EXPECT_EQ(reset.decision.reset_after_ns, 0);
  EXPECT_EQ(reset.remaining_before, 0U);
}

TEST(CounterAnswers, ACounterBelowZeroIsZero) {
  const CounterReply reply = At(Call(Op::kTake, 2), -100);
  EXPECT_TRUE(reply.decision.allowed);
  EXPECT_EQ(reply.decision.remaining, 3U);
  EXPECT_EQ(reply.remaining_before, 5U);
  EXPECT_FALSE(At(Call(Op::kTake, 6), kInt64Min).decision.allowed);
}

}  // namespace
}  // namespace weir
