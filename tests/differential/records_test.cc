// What the scripts leave in the store and what they make of what others left there; the shipped
// texts as they are, at the time of a real Redis.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/core/key.h"
#include "limiter/store/redis/scripts.h"
#include "tests/differential/stores.h"

namespace weir::test {
namespace {

using Kind = StoreReply::Kind;
using Strings = std::vector<std::string>;

constexpr int64_t kMinuteNs = 60'000'000'000;
constexpr int64_t kNowUs = 1'790'000'000'000'000;
// What MEMORY USAGE may say of a key of a token bucket or a fixed window: the entry, the key and
// the record. The entry of its expiry, some 24 to 48 bytes with its share of the table, comes on
// top.
constexpr int64_t kBytesMax = 128;

Limit MakeTestLimit(Algorithm algorithm, uint32_t hits = 10, int64_t window_ns = kMinuteNs) {
  Limit limit;
  EXPECT_TRUE(
      MakeLimit({.algorithm = algorithm, .hits = hits, .window_ns = window_ns, .burst = 0}, &limit)
          .empty());
  return limit;
}

std::string CodeOf(const StoreReply& reply) {
  return reply.error() ? reply.text.substr(0, reply.text.find(' ')) : "";
}

class Records : public testing::Test {
 protected:
  void SetUp() override {
    NEED_REDIS();
    stores_ = std::make_unique<Stores>(SharedRedis());
    ASSERT_TRUE(stores_->real());
  }

  StoreReply Real(const std::vector<std::string>& command) {
    return stores_->client().Command(command);
  }
  StoreReply RealCall(const ScriptCall& call, std::string_view key) {
    std::string wire;
    AppendCall(call, key, wire);
    stores_->client().Send(wire);
    return stores_->client().Receive();
  }
  void LoadShipped() {
    for (const Script& script : AllScripts()) {
      std::string wire;
      AppendScriptLoad(script, wire);
      stores_->client().Send(wire);
      const StoreReply reply = stores_->client().Receive();
      ASSERT_EQ(reply.kind, Kind::kString) << script.name << ": " << Describe(reply);
      EXPECT_EQ(reply.text, script.sha1) << script.name;
    }
  }
  StoreReply Run(const ScriptCall& call, int64_t now_us = kNowUs) {
    std::string wire;
    AppendCall(call, stores_->key(), wire);
    return stores_->Run(wire, now_us);
  }
  void ExpectNoDifferences() {
    for (const Stores::Difference& difference : stores_->Differences()) {
      ADD_FAILURE() << "Redis differs from embedded Lua at " << difference.index
                    << "\nembedded: " << difference.embedded << "\nRedis:    " << difference.real;
    }
  }

  std::unique_ptr<Stores> stores_;
};

class RecordsOf : public Records, public testing::WithParamInterface<Algorithm> {};

TEST_F(Records, AScriptIsNamedAsRedisNamesIt) { LoadShipped(); }

TEST_F(Records, ScriptsStandInTheOrderOfTheirIds) {
  EXPECT_EQ(ScriptOf(ScriptFor(Algorithm::kFixedWindow)).name, "fixed_window");
  EXPECT_EQ(ScriptOf(ScriptFor(Algorithm::kSlidingWindow)).name, "sliding_window");
  EXPECT_EQ(ScriptOf(ScriptFor(Algorithm::kTokenBucket)).name, "token_bucket");
  EXPECT_EQ(ScriptOf(ScriptId::kNodes).name, "nodes");
  EXPECT_EQ(ScriptOf(ScriptId::kMeta).name, "meta");
}

// Without the prelude of the other tests: the time and the expiry of Redis itself.
TEST_P(RecordsOf, TheShippedTextLimitsAndItsRecordExpires) {
  LoadShipped();
  const Limit limit = MakeTestLimit(GetParam(), 10, int64_t{86'400} * 1'000'000'000);
  const std::string key = StoreKey("", Key{1, static_cast<uint64_t>(GetParam())});
  Real({"DEL", key});
  const ScriptCall call = {.limit = limit, .op = Op::kTake, .hits = 1, .drain = false, .lease = {}};
  absl::StatusOr<ScriptReply> reply;
  for (uint32_t i = 0; i < limit.hits; ++i) {
    reply = ReadReply(call, Integers(RealCall(call, key)));
    ASSERT_TRUE(reply.ok()) << reply.status().ToString();
    EXPECT_TRUE(reply->decision.allowed);
    EXPECT_EQ(reply->remaining_before, limit.hits - i);
    EXPECT_EQ(reply->decision.remaining, limit.hits - i - 1);
  }
  // After the record says nothing any more, and no more than the second of slack.
  const int64_t left_ms = Real({"PTTL", key}).integer;
  const int64_t reset_ms = reply->decision.reset_after_ns / 1'000'000;
  EXPECT_GE(left_ms, reset_ms);
  EXPECT_LE(left_ms, reset_ms + 1'001);

  reply = ReadReply(call, Integers(RealCall(call, key)));
  ASSERT_TRUE(reply.ok()) << reply.status().ToString();
  EXPECT_FALSE(reply->decision.allowed);
  const StoreReply time = Real({"TIME"});
  const int64_t now_us = std::strtoll(time.items[0].text.c_str(), nullptr, 10) * 1'000'000 +
                         std::strtoll(time.items[1].text.c_str(), nullptr, 10);
  EXPECT_LE(reply->now_us, now_us);
  EXPECT_GT(reply->now_us, now_us - kMinuteNs / 1'000);

  std::string wire;
  AppendCall({.limit = limit, .op = Op::kReset, .hits = 0, .drain = false, .lease = {}}, key, wire);
  stores_->client().Send(wire);
  EXPECT_EQ(Describe(stores_->client().Receive()), "1");
  EXPECT_EQ(Describe(Real({"EXISTS", key})), "0");
}

TEST_F(Records, ARecordIsSmall) {
  LoadShipped();
  for (const Algorithm algorithm : {Algorithm::kTokenBucket, Algorithm::kFixedWindow}) {
    const Limit limit = MakeTestLimit(algorithm, 1'000'000);
    const std::string key = StoreKey("", Key{2, static_cast<uint64_t>(algorithm)});
    RealCall({.limit = limit, .op = Op::kTake, .hits = 999'999, .drain = false, .lease = {}}, key);
    const StoreReply bytes = Real({"MEMORY", "USAGE", key});
    EXPECT_GT(bytes.integer, 0);
    EXPECT_LE(bytes.integer, kBytesMax) << AlgorithmName(algorithm);
  }
}

TEST_F(Records, ATokenBucketIsOneInteger) {
  LoadShipped();
  const Limit limit = MakeTestLimit(Algorithm::kTokenBucket);
  RealCall({.limit = limit, .op = Op::kTake, .hits = 3, .drain = false, .lease = {}}, "bucket");
  EXPECT_EQ(Describe(Real({"OBJECT", "ENCODING", "bucket"})), "\"int\"");
}

TEST_P(RecordsOf, AForeignTypeIsAnError) {
  stores_->NewKey();
  stores_->SpoilType();
  const Limit limit = MakeTestLimit(GetParam());
  for (const Op op : {Op::kTake, Op::kPeek, Op::kReport, Op::kRefund}) {
    const StoreReply reply = Run({.limit = limit, .op = op, .hits = 1, .drain = true, .lease = {}});
    EXPECT_EQ(CodeOf(reply), "WRONGTYPE") << Describe(reply);
  }
  ExpectNoDifferences();
}

// Either it is understood, or there is one error that says so; never a Lua error, never a reply
// that is none.
TEST_P(RecordsOf, ASpoiledRecordIsNotMisread) {
  const std::string many(400, '9');
  const std::string all_counts = [] {
    std::string text = std::to_string(kNowUs / (kMinuteNs / 10'000) - 10);
    for (int i = 0; i < 5'000; ++i) text += " 7";
    return text;
  }();
  const std::string current_minute = std::to_string(kNowUs / (kMinuteNs / 1'000));
  const std::string records[] = {"",
                                 "0",
                                 "12",
                                 "abc",
                                 "-5",
                                 "1e300",
                                 "nan",
                                 "inf",
                                 "0x10",
                                 many,
                                 many + " 5",
                                 "5 " + many,
                                 current_minute + " " + many,
                                 current_minute + " 0",
                                 "5 ",
                                 " 5 5",
                                 "5  5",
                                 "5 5 5 5",
                                 "5 -1",
                                 "5 5\n",
                                 std::string("5 5\0", 4),
                                 "18446744073709551616 3",
                                 "9007199254740993 1",
                                 std::to_string(kNowUs) + "00x",
                                 std::to_string(kNowUs) + "999",
                                 all_counts};
  const Limit limit = MakeTestLimit(GetParam());
  int understood = 0;
  for (const std::string& record : records) {
    for (const Op op : {Op::kPeek, Op::kTake, Op::kRefund, Op::kReport}) {
      stores_->NewKey();
      stores_->Spoil(record);
      for (int i = 0; i < 2; ++i) {
        const ScriptCall call = {
            .limit = limit, .op = op, .hits = 1, .drain = i > 0, .lease = {.life_max_ns = 0}};
        const StoreReply reply = Run(call);
        if (CodeOf(reply) == "WEIRRECORD") continue;
        const absl::StatusOr<ScriptReply> read = ReadReply(call, Integers(reply));
        EXPECT_TRUE(read.ok()) << record << ": " << Describe(reply);
        ++understood;
      }
      ExpectNoDifferences();
    }
  }
  EXPECT_GT(understood, 0);
  // A reset heals.
  stores_->NewKey();
  stores_->Spoil("abc");
  Run({.limit = limit, .op = Op::kReset, .hits = 0, .drain = false, .lease = {}});
  EXPECT_EQ(Run({.limit = limit, .op = Op::kTake, .hits = 1, .drain = false, .lease = {}}).kind,
            Kind::kArray);
  ExpectNoDifferences();
}

TEST_P(RecordsOf, AScriptThatIsNotLoadedIsNotExecuted) {
  const Limit limit = MakeTestLimit(GetParam());
  const ScriptCall call = {.limit = limit, .op = Op::kTake, .hits = 1, .drain = false, .lease = {}};
  Real({"SCRIPT", "FLUSH"});
  EXPECT_EQ(CodeOf(RealCall(call, "absent")), "NOSCRIPT");
  EXPECT_EQ(Describe(Real({"EXISTS", "absent"})), "0");
  LuaStore embedded;
  std::string wire;
  AppendCall(call, "absent", wire);
  std::string_view rest = wire;
  EXPECT_EQ(CodeOf(embedded.Command(TakeCommand(rest))), "NOSCRIPT");
}

TEST_F(Records, CountsTheNodesHeardOf) {
  stores_->NewKey();
  const auto nodes = [this](const std::string& name, int64_t now_us) {
    std::string wire;
    AppendNodes(stores_->key(), name, wire);
    const StoreReply reply = stores_->Run(wire, now_us);
    return ReadNodes(Integers(reply)).value_or(-1);
  };
  EXPECT_EQ(nodes("a", kNowUs), 1);
  EXPECT_EQ(nodes("b", kNowUs + 1), 2);
  EXPECT_EQ(nodes("a", kNowUs + 5'000'000), 2);
  EXPECT_EQ(nodes("c", kNowUs + 15'000'001), 3);  // b was heard of exactly 15 s before
  EXPECT_EQ(nodes("c", kNowUs + 15'000'002), 2);  // and now longer
  // The clock steps back: the stamps ahead of it are void, and each node says again that it lives.
  EXPECT_EQ(nodes("c", kNowUs - 1'000'000'000), 1);
  EXPECT_EQ(nodes("a", kNowUs - 999'999'999), 2);
  EXPECT_EQ(nodes("late", kNowUs + 3'000'000'000), 1);
  ExpectNoDifferences();
}

TEST_F(Records, TheFirstNodeWritesWhatHoldsForAll) {
  stores_->NewKey();
  const auto meta = [this](const FleetMeta& proposal) {
    std::string wire;
    AppendMeta(stores_->key(), proposal, wire);
    const StoreReply reply = stores_->Run(wire, kNowUs);
    std::vector<std::string_view> fields;
    for (const StoreReply& item : reply.items) fields.push_back(item.text);
    return ReadMeta(fields).value_or(FleetMeta{});
  };
  const FleetMeta first = {"1", "256", "00112233445566778899aabbccddeeff"};
  const FleetMeta second = {"2", "16", "ffffffffffffffffffffffffffffffff"};
  EXPECT_EQ(meta(first), first);
  EXPECT_EQ(meta(second), first);
  ExpectNoDifferences();
}

// What the embedded store refuses, so that the scripts keep to what they promise.
TEST(EmbeddedStore, RefusesWhatWouldHideABug) {
  LuaStore store;
  const auto run = [&store](std::string_view text) {
    store.Load("sha", text);
    return store.Command(Strings{"EVALSHA", "sha", "1", "key"});
  };
  EXPECT_EQ(Describe(run("return redis.call('GET', KEYS[1])")), "nil");
  // Redis would write it with 17 digits or an exponent.
  EXPECT_TRUE(run("redis.call('SET', KEYS[1], 1e15)").error());
  EXPECT_TRUE(run("redis.call('INCR', KEYS[1])").error());
  EXPECT_TRUE(run("forgotten_local = 1").error());
  EXPECT_TRUE(run("return cjson").error());
  EXPECT_TRUE(run("redis.call('SET', KEYS[1], '1', 'PX', '0')").error());
  EXPECT_TRUE(store.keys().records.empty());
  EXPECT_EQ(Describe(run("return {1, 2.9, false, 'x', nil, 3}")), "[1, 2, nil, \"x\"]");
}

TEST(EmbeddedStore, ExpiresByTheClockItIsGiven) {
  LuaStore store;
  store.set_now_us(kNowUs);
  store.Command(Strings{"SET", "key", "1", "PX", "1000"});
  const StoreKeys moment = store.keys();
  store.set_now_us(kNowUs + 999'999);
  EXPECT_NE(store.Find("key"), nullptr);
  store.set_now_us(kNowUs + 1'000'000);
  EXPECT_EQ(store.Find("key"), nullptr);
  EXPECT_EQ(Describe(store.Command(Strings{"GET", "key"})), "nil");
  store.keys() = moment;  // a failover to a replica that is behind
  store.set_now_us(kNowUs);
  EXPECT_EQ(Describe(store.Command(Strings{"GET", "key"})), "\"1\"");
}

INSTANTIATE_TEST_SUITE_P(, RecordsOf,
                         testing::Values(Algorithm::kTokenBucket, Algorithm::kFixedWindow,
                                         Algorithm::kSlidingWindow),
                         [](const auto& param) { return std::string(AlgorithmName(param.param)); });

}  // namespace
}  // namespace weir::test
