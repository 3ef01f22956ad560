#include "limiter/store/redis/reply_decoder.h"

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace weir {
namespace {

using State = ReplyDecoder::State;

TEST(ReplyDecoder, ReadsRepliesHoweverTheyAreCut) {
  const std::string wire =
      "+OK\r\n-ERR no\r\n:-9223372036854775808\r\n$-1\r\n$0\r\n\r\n$5\r\na\r\nbc\r\n"
      "*3\r\n:1\r\n*2\r\n+x\r\n$-1\r\n$1\r\ny\r\n*0\r\n*-1\r\n";
  const std::vector<int> kTypes = {REDIS_REPLY_STATUS, REDIS_REPLY_ERROR,  REDIS_REPLY_INTEGER,
                                   REDIS_REPLY_NIL,    REDIS_REPLY_STRING, REDIS_REPLY_STRING,
                                   REDIS_REPLY_ARRAY,  REDIS_REPLY_ARRAY,  REDIS_REPLY_NIL};
  for (std::size_t step = 1; step <= wire.size(); ++step) {
    ReplyDecoder decoder(1'000);
    std::vector<int> types;
    for (std::size_t i = 0; i < wire.size(); i += step) {
      decoder.Feed(std::string_view(wire).substr(i, step));
      Reply reply;
      State state;
      while ((state = decoder.Next(reply)) == State::kReply) types.push_back(reply->type);
      ASSERT_EQ(state, State::kMore);
    }
    EXPECT_EQ(types, kTypes) << "in pieces of " << step;
  }
}

TEST(ReplyDecoder, NamesWhatIsNotRedis) {
  for (const std::string_view garbage :
       {"HTTP/1.1 400 Bad Request\r\n", "\x15\x03\x03\r\n", ":12a\r\n", "$abc\r\n", "*x\r\n",
        "$-2\r\n", "*-2\r\n", "$99999999999999999999\r\n"}) {
    ReplyDecoder decoder(1'000);
    decoder.Feed(garbage);
    Reply reply;
    const State state = decoder.Next(reply);
    EXPECT_TRUE(state == State::kProtocol || state == State::kOversized) << garbage;
    EXPECT_FALSE(decoder.error().empty()) << garbage;
  }
}

TEST(ReplyDecoder, BoundsTheBytesOfOneReplyNotOfAll) {
  ReplyDecoder decoder(1'000);
  Reply reply;
  const std::string whole = "$900\r\n" + std::string(900, 'x') + "\r\n";
  std::string many;
  for (int i = 0; i < 20; ++i) many += whole;
  decoder.Feed(many);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(decoder.Next(reply), State::kReply);
  EXPECT_EQ(decoder.Next(reply), State::kMore);
  decoder.Feed("$100000\r\n");
  EXPECT_EQ(decoder.Next(reply), State::kMore);
  decoder.Feed(std::string(1'000, 'x'));
  EXPECT_EQ(decoder.Next(reply), State::kOversized);
}

TEST(ReplyDecoder, BoundsALineWithoutEnd) {
  ReplyDecoder decoder(1'000);
  Reply reply;
  decoder.Feed("+" + std::string(1'001, 'x'));
  EXPECT_EQ(decoder.Next(reply), State::kOversized);
}

TEST(ReplyDecoder, BoundsArraysBeforeTheyAreAllocated) {
  for (const std::string& wire :
       {std::string("*2147483647\r\n"), std::string("*251\r\n"), std::string("*2\r\n*200\r\n"),
        // Nested, each small, together too many.
        std::string("*100\r\n*100\r\n*100\r\n")}) {
    ReplyDecoder decoder(1'000);
    decoder.Feed(wire);
    Reply reply;
    const State state = decoder.Next(reply);
    EXPECT_EQ(state, wire.starts_with("*2\r\n") ? State::kMore : State::kOversized) << wire;
  }
}

TEST(ReplyDecoder, TheBoundOnArraysIsOfOneReply) {
  ReplyDecoder decoder(1'000);
  Reply reply;
  std::string array = "*200\r\n";
  for (int i = 0; i < 200; ++i) array += ":1\r\n";
  for (int i = 0; i < 5; ++i) {
    decoder.Feed(array);
    ASSERT_EQ(decoder.Next(reply), State::kReply);
    EXPECT_EQ(reply->elements, 200u);
  }
}

TEST(ReplyDecoder, ForgetsAnErrorWhenReset) {
  ReplyDecoder decoder(1'000);
  Reply reply;
  decoder.Feed("nonsense\r\n");
  EXPECT_EQ(decoder.Next(reply), State::kProtocol);
  decoder.Reset();
  decoder.Feed("+OK\r\n");
  EXPECT_EQ(decoder.Next(reply), State::kReply);
}

}  // namespace
}  // namespace weir
