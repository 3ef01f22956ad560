#include "limiter/store/redis/cluster_map.h"

#include <hiredis/hiredis.h>

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace weir {
namespace {

const RedisAddress kAsked{"10.0.0.9", 7000, ""};

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

absl::StatusOr<std::vector<SlotRange>> Read(const std::string& wire) {
  redisReader* const reader = redisReaderCreate();
  redisReaderFeed(reader, wire.data(), wire.size());
  void* reply = nullptr;
  EXPECT_EQ(redisReaderGetReply(reader, &reply), REDIS_OK);
  redisReaderFree(reader);
  if (reply == nullptr) return absl::UnknownError("the test's reply is not whole");
  const std::unique_ptr<redisReply, FreeReply> owned(static_cast<redisReply*>(reply));
  return ReadClusterSlots(*owned, kAsked);
}

// As Redis 7 says it: the primary and a replica, each with its id and other names.
const std::string kReplica = "*4\r\n$9\r\n10.0.0.44\r\n:7004\r\n$2\r\nid\r\n*0\r\n";

TEST(SlotOf, GoesByTheHashTag) {
  // The specification's own example, and CLUSTER KEYSLOT of Redis.
  EXPECT_EQ(SlotOf("123456789"), 0x31c3);
  EXPECT_EQ(SlotOf("foo"), 12182);
  EXPECT_EQ(SlotOf("{foo}bar"), 12182);
  EXPECT_EQ(SlotOf("a{foo}{bar}"), 12182);
  EXPECT_EQ(SlotOf("{}foo"), SlotOf("{}foo"));
  EXPECT_NE(SlotOf("{}foo"), SlotOf("foo"));
  EXPECT_EQ(SlotOf(""), 0);
}

TEST(ReadClusterSlots, TakesThePrimaryOfEachRange) {
  const auto map =
      Read("*2\r\n*4\r\n:0\r\n:5460\r\n*4\r\n$9\r\n10.0.0.41\r\n:7001\r\n$2\r\nid\r\n*0\r\n" +
           kReplica + "*3\r\n:5461\r\n:16383\r\n*3\r\n$3\r\n::1\r\n:7002\r\n$2\r\nid\r\n");
  ASSERT_TRUE(map.ok()) << map.status();
  const std::vector<SlotRange> expected = {{0, 5460, {"10.0.0.41", 7001, ""}},
                                           {5461, 16383, {"::1", 7002, ""}}};
  EXPECT_EQ(*map, expected);
}

TEST(ReadClusterSlots, APrimaryWithoutAHostIsWhereItWasAsked) {
  for (const std::string host : {"$-1\r\n", "$0\r\n\r\n"}) {
    const auto map = Read("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n" + host + ":7001\r\n");
    ASSERT_TRUE(map.ok()) << map.status();
    ASSERT_EQ(map->size(), 1u);
    EXPECT_EQ((*map)[0].primary, (RedisAddress{"10.0.0.9", 7001, ""}));
  }
  const auto unknown = Read("*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$1\r\n?\r\n:7001\r\n");
  ASSERT_TRUE(unknown.ok());
  EXPECT_TRUE(unknown->empty());
}

TEST(ReadClusterSlots, NothingElseIsAMap) {
  for (const std::string wire :
       {"+OK\r\n", ":1\r\n", "$-1\r\n", "*1\r\n:1\r\n", "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:1\r\n+a\r\n", "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n+a\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n+a\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n+a\r\n:1\r\n",

        "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n+a\r\n+b\r\n"}) {
    EXPECT_EQ(Read(wire).status().code(), absl::StatusCode::kInvalidArgument) << wire;
  }
}

TEST(ReadClusterSlots, APrimaryThatCannotBeReachedIsLeftOut) {
  for (const std::string primary : {"+a\r\n:0\r\n", "+a\r\n:65536\r\n", "$3\r\na b\r\n:1\r\n"}) {
    const auto map =
        Read("*2\r\n*3\r\n:0\r\n:1\r\n*2\r\n" + primary + "*3\r\n:2\r\n:3\r\n*2\r\n+b\r\n:7\r\n");
    ASSERT_TRUE(map.ok()) << map.status();
    ASSERT_EQ(map->size(), 1u) << primary;
    EXPECT_EQ((*map)[0].first, 2);
  }
}

TEST(ReadRedirection, NamesSlotAndServer) {
  const auto moved = ReadRedirection("MOVED 3999 10.0.0.41:6381", kAsked);
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(moved->slot, 3999);
  EXPECT_EQ(moved->primary, (RedisAddress{"10.0.0.41", 6381, ""}));
  const auto six = ReadRedirection("ASK 16383 fe80::1:6381", kAsked);
  ASSERT_TRUE(six.ok());
  EXPECT_EQ(six->primary, (RedisAddress{"fe80::1", 6381, ""}));
  const auto here = ReadRedirection("MOVED 0 :6381", kAsked);
  ASSERT_TRUE(here.ok());
  EXPECT_EQ(here->primary, (RedisAddress{"10.0.0.9", 6381, ""}));
}

TEST(ReadRedirection, NothingElseIsOne) {
  for (const std::string text :
       {"", "MOVED", "MOVED 1", "MOVED x a:1", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a",
        "MOVED 1 a:0", "MOVED 1 ?:6379", "MOVED 1 a:65536", "MOVED 1 a:b", "MOVED 1 a b:1",
        "MOVED 1 \x01:1"}) {
    EXPECT_FALSE(ReadRedirection(text, kAsked).ok()) << text;
  }
}

}  // namespace
}  // namespace weir
