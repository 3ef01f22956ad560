// A primary and a real redis-server: what each of them does to the other.

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/scripts.h"
#include "tests/support/primary_harness.h"
#include "tests/support/real_redis.h"

namespace weir {
namespace {

using test::Ending;
using test::RedisOptions;
using test::RedisProcess;
using test::TestedPrimary;
using test::TestLoop;

constexpr int64_t kSecondNs = 1'000'000'000;

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEIR_SANITIZED
#endif
#endif
#if defined(WEIR_SANITIZED) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

std::size_t OpenDescriptors() {
  std::size_t count = 0;
  DIR* const folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

// In KiB.
long ResidentKib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtol(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

class PrimaryAndRedis : public test::RealRedis {
 protected:
  void SetUp() override {
    RealRedis::SetUp();
    if (redis_ == nullptr) return;
    tested_ = std::make_unique<TestedPrimary>(loop_, RedisAddress{"127.0.0.1", redis_->port(), ""});
    tested_->options.scripts = AllScripts();
    tested_->options.with_meta = true;
    tested_->options.meta_key = "weir:meta";
    tested_->options.proposal = {1, 256, {0x1234, 0x5678}};
  }

  // One call of the nodes script: the number of nodes it counts.
  bool CountsNodes(Ending& ending) {
    const Script& script = ScriptOf(ScriptId::kNodes);
    return tested_->Ask(ending, {"EVALSHA", script.sha1, "1", "weir:nodes", "me"}, &script) &&
           ending.failure == Failure::kNone && ending.type == REDIS_REPLY_ARRAY;
  }
  bool Answers() {
    Ending ending;
    return tested_->Reaches(PrimaryState::kConnected) && CountsNodes(ending);
  }
  // Begins and ends a measurement that leaves out what the machine kept this thread waiting.
  void StartWatch() { watch_ns_ = loop_.NowNs() - loop_.stalled_ns(); }
  int64_t ElapsedNs() { return loop_.NowNs() - loop_.stalled_ns() - watch_ns_; }

  TestLoop loop_;
  std::unique_ptr<TestedPrimary> tested_;
  int64_t watch_ns_ = 0;
};

TEST_F(PrimaryAndRedis, ConnectsOverTcp) {
  ASSERT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
  EXPECT_TRUE(Answers());
  EXPECT_TRUE(tested_->listener.Noted("connected to Redis "));
  EXPECT_EQ(tested_->primary->texts().replication_id.size(), 40u);
  ASSERT_EQ(tested_->listener.metas.size(), 1u);
  EXPECT_EQ(tested_->listener.metas[0], tested_->options.proposal);
  EXPECT_NE(redis_->Command({"CLIENT", "LIST"}).find("name=weir "), std::string::npos);
  EXPECT_EQ(redis_->Command({"HGET", "weir:meta", "shards"}), "$3\r\n256\r\n");
}

TEST_F(PrimaryAndRedis, ConnectsOverAUnixSocket) {
  tested_->source.address = RedisAddress{"", 0, redis_->unix_path()};
  ASSERT_TRUE(tested_->Connect());
  EXPECT_TRUE(Answers());
}

TEST_F(PrimaryAndRedis, SelectsItsDatabase) {
  tested_->options.db = 5;
  ASSERT_TRUE(tested_->Connect());
  EXPECT_EQ(redis_->Command({"EXISTS", "weir:meta"}), ":0\r\n");
  EXPECT_NE(redis_->Command({"INFO", "keyspace"}).find("db5:keys=1"), std::string::npos);
}

TEST_F(PrimaryAndRedis, ADatabaseThatIsNotThereIsNamed) {
  tested_->options.db = 16;
  tested_->Start();
  EXPECT_TRUE(loop_.Until([&] { return tested_->listener.Noted("SELECT: ERR DB index"); }));
}

TEST_F(PrimaryAndRedis, AnotherNodesSecretHolds) {
  ASSERT_TRUE(tested_->Connect());
  TestedPrimary other(loop_, RedisAddress{"127.0.0.1", redis_->port(), ""});
  other.options.scripts = AllScripts();
  other.options.with_meta = true;
  other.options.meta_key = "weir:meta";
  other.options.proposal = {1, 256, {7, 8}};
  ASSERT_TRUE(other.Connect());
  ASSERT_EQ(other.listener.metas.size(), 1u);
  EXPECT_EQ(other.listener.metas[0], tested_->options.proposal);
}

TEST_F(PrimaryAndRedis, FlushedScriptsAreLoadedAgainWithoutAnErrorToAnybody) {
  ASSERT_TRUE(tested_->Connect());
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(redis_->Command({"SCRIPT", "FLUSH"}), "+OK\r\n");
    std::vector<Ending> endings(50);
    const Script& script = ScriptOf(ScriptId::kNodes);
    for (Ending& ending : endings) {
      ASSERT_TRUE(
          tested_->Send(ending, {"EVALSHA", script.sha1, "1", "weir:nodes", "me"}, &script));
    }
    ASSERT_TRUE(loop_.Until([&] { return endings.back().done(); }));
    for (const Ending& ending : endings) ASSERT_EQ(ending.failure, Failure::kNone) << ending.text;
  }
  EXPECT_EQ(tested_->primary->stats().script_resends, 20u * 50u);
  EXPECT_EQ(tested_->primary->stats().connects, 1u);
}

TEST_F(PrimaryAndRedis, ComesBackAfterClientKill) {
  tested_->UseProductionTimes();
  ASSERT_TRUE(tested_->Connect());
  StartWatch();
  ASSERT_EQ(redis_->Command({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}), ":1\r\n");
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kRecovering));
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  EXPECT_LT(ElapsedNs(), kSecondNs);
  EXPECT_EQ(tested_->ConnectionFailures(Failure::kLost), 1u);
  EXPECT_EQ(tested_->listener.failovers, 0) << "the same server with the same history";
  EXPECT_TRUE(Answers());
}

TEST_F(PrimaryAndRedis, ComesBackWithinASecondOfARestartAndCountsAFailover) {
  tested_->UseProductionTimes();
  ASSERT_TRUE(tested_->Connect());
  for (int i = 1; i <= 3; ++i) {
    redis_->Kill();
    ASSERT_TRUE(tested_->Reaches(PrimaryState::kRecovering));
    loop_.For(700);
    std::string problem;
    ASSERT_TRUE(redis_->Restart(&problem)) << problem;
    StartWatch();
    ASSERT_TRUE(tested_->Reaches(PrimaryState::kConnected));
    EXPECT_LT(ElapsedNs(), kSecondNs);
    EXPECT_TRUE(Answers());
    EXPECT_EQ(tested_->listener.failovers, i);
  }
  EXPECT_GT(tested_->ConnectionFailures(Failure::kRefused), 0u);
}

TEST_F(PrimaryAndRedis, AFrozenRedisIsolatesAndIsBackOnTheSameConnection) {
  tested_->UseProductionTimes();
  ASSERT_TRUE(tested_->Connect());
  redis_->Signal(SIGSTOP);
  Ending ending;
  StartWatch();
  ASSERT_TRUE(tested_->Send(ending, {"PING"}));
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kIsolated));
  EXPECT_LT(ElapsedNs(), kSecondNs);
  loop_.For(1'500);
  redis_->Signal(SIGCONT);
  StartWatch();
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  EXPECT_LT(ElapsedNs(), kSecondNs);
  EXPECT_EQ(ending.calls, 1);
  EXPECT_EQ(tested_->primary->stats().connects, 1u);
  EXPECT_TRUE(Answers());
}

TEST_F(PrimaryAndRedis, AnIdleNodeNoticesAFrozenRedis) {
  tested_->UseProductionTimes();
  ASSERT_TRUE(tested_->Connect());
  redis_->Signal(SIGSTOP);
  StartWatch();
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kIsolated));
  EXPECT_LT(ElapsedNs(), 2 * kSecondNs);
  redis_->Signal(SIGCONT);
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
}

// Frozen so long that the connection is given up, and still back within a second.
TEST_F(PrimaryAndRedis, AConnectionGivenUpIsReplacedWithinASecondOfTheAnswer) {
  tested_->UseProductionTimes();
  tested_->options.silence_max_ns = kSecondNs;
  ASSERT_TRUE(tested_->Connect());
  redis_->Signal(SIGSTOP);
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kRecovering));
  EXPECT_EQ(tested_->ConnectionFailures(Failure::kTimeout), 1u);
  loop_.For(2'000);
  EXPECT_EQ(tested_->primary->state(), PrimaryState::kRecovering);
  redis_->Signal(SIGCONT);
  StartWatch();
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  EXPECT_LT(ElapsedNs(), kSecondNs);
  EXPECT_TRUE(Answers());
}

TEST_F(PrimaryAndRedis, ARotatedPasswordIsPickedUp) {
  std::string password;
  tested_->options.login = [&] { return RedisLogin{"", password}; };
  ASSERT_TRUE(tested_->Connect());
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "requirepass", "first"}), "+OK\r\n");
  redis_->set_options({.login = {"AUTH", "first"}});
  EXPECT_TRUE(Answers()) << "who is in stays in";
  redis_->Command({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kNoAuth) > 0; }));
  password = "wrong";
  ASSERT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kWrongPass) > 0; }));
  password = "first";
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "requirepass", ""}), "+OK\r\n");
  redis_->set_options({});
  redis_->Command({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kAuthUnused) > 0; }));
  password = "";
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
}

// The account that the documents recommend is enough, and no more than that.
TEST_F(PrimaryAndRedis, TheDocumentedAccountIsEnough) {
  ASSERT_EQ(redis_->Command({"ACL",
                             "SETUSER",
                             "limiter",
                             "on",
                             ">pw",
                             "~weir*",
                             "&*",
                             "-@all",
                             "+@read",
                             "+@write",
                             "-@dangerous",
                             "+eval",
                             "+evalsha",
                             "+script|load",
                             "+select",
                             "+asking",
                             "+time",
                             "+ping",
                             "+client|setname",
                             "+info",
                             "+role",
                             "+cluster|slots"}),
            "+OK\r\n");
  tested_->options.login = [] { return RedisLogin{"limiter", "pw"}; };
  tested_->options.db = 1;
  tested_->options.ping_interval_ns = 50'000'000;
  ASSERT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
  EXPECT_TRUE(Answers());
  const Script& script = ScriptOf(ScriptId::kNodes);
  Ending foreign;
  ASSERT_TRUE(tested_->Ask(foreign, {"EVALSHA", script.sha1, "1", "sessions", "me"}, &script));
  EXPECT_EQ(foreign.failure, Failure::kNoPerm);
  Ending dangerous;
  ASSERT_TRUE(tested_->Ask(dangerous, {"CONFIG", "GET", "maxmemory"}));
  EXPECT_EQ(dangerous.failure, Failure::kNoPerm);
  loop_.For(200);
  EXPECT_EQ(tested_->primary->state(), PrimaryState::kConnected);
  EXPECT_GE(tested_->primary->stats().pings, 2u);
  // The user is taken away while connected, which ends its connections.
  ASSERT_EQ(redis_->Command({"ACL", "SETUSER", "limiter", "off"}), "+OK\r\n");
  redis_->Command({"CLIENT", "KILL", "USER", "limiter"});
  EXPECT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kWrongPass) > 0; }));
}

TEST_F(PrimaryAndRedis, AFullMemoryEndsTheCallOnly) {
  ASSERT_TRUE(tested_->Connect());
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "maxmemory", "1"}), "+OK\r\n");
  Ending ending;
  // Not the nodes script: Redis looks at the memory before the first write of a script only, and
  // there that is a removal.
  ASSERT_TRUE(
      tested_->Ask(ending, {"EVAL", "return redis.call('SET', KEYS[1], 'x')", "1", "weir:key"}));
  EXPECT_EQ(ending.failure, Failure::kOom) << ending.text;
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "maxmemory", "0"}), "+OK\r\n");
  EXPECT_TRUE(Answers());
  EXPECT_EQ(tested_->primary->stats().connects, 1u);
}

TEST_F(PrimaryAndRedis, MissingReplicasEndTheCallOnly) {
  ASSERT_TRUE(tested_->Connect());
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "min-replicas-to-write", "1"}), "+OK\r\n");
  Ending ending;
  const Script& script = ScriptOf(ScriptId::kNodes);
  ASSERT_TRUE(tested_->Ask(ending, {"EVALSHA", script.sha1, "1", "weir:nodes", "me"}, &script));
  EXPECT_EQ(ending.failure, Failure::kNoReplicas) << ending.text;
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "min-replicas-to-write", "0"}), "+OK\r\n");
  EXPECT_TRUE(Answers());
}

// The demoted primary is left as soon as it says READONLY, and not taken again while a replica.
TEST_F(PrimaryAndRedis, APrimaryThatIsDemotedIsLeft) {
  ASSERT_TRUE(tested_->Connect());
  ASSERT_EQ(redis_->Command({"REPLICAOF", "127.0.0.1", std::to_string(test::FreePort())}),
            "+OK\r\n");
  Ending ending;
  const Script& script = ScriptOf(ScriptId::kNodes);
  ASSERT_TRUE(tested_->Ask(ending, {"EVALSHA", script.sha1, "1", "weir:nodes", "me"}, &script));
  EXPECT_EQ(ending.failure, Failure::kReadonly) << ending.text;
  EXPECT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kReplica) > 0; }));
  ASSERT_EQ(redis_->Command({"REPLICAOF", "NO", "ONE"}), "+OK\r\n");
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  EXPECT_TRUE(Answers());
  EXPECT_GE(tested_->listener.failovers, 1) << "a promotion has a new replication id";
}

TEST_F(PrimaryAndRedis, ABusyScriptEndsCallsOnlyAndIsOverWhenItIs) {
  tested_->options.ping_interval_ns = 50'000'000;
  ASSERT_TRUE(tested_->Connect());
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "lua-time-limit", "50"}), "+OK\r\n");
  // Sent by somebody else, who does not wait for the reply: it runs until it is killed.
  const pid_t somebody = fork();
  if (somebody == 0) {
    redis_->Command({"EVAL", "while true do end", "0"});
    _exit(0);
  }
  ASSERT_TRUE(loop_.Until([&] {
    Ending ending;
    if (tested_->Send(ending, {"TIME"})) loop_.Until([&] { return ending.done(); });
    return tested_->CommandFailures(Failure::kBusy) > 0 ||
           tested_->primary->state() == PrimaryState::kIsolated;
  }));
  ASSERT_TRUE(loop_.Until([&] { return redis_->Command({"SCRIPT", "KILL"}) == "+OK\r\n"; }));
  // The script still ends.
  EXPECT_TRUE(loop_.Until([&] { return Answers(); }));
  EXPECT_EQ(tested_->primary->state(), PrimaryState::kConnected);
  EXPECT_EQ(tested_->primary->stats().connects, 1u);
  int status = 0;
  waitpid(somebody, &status, 0);
}

TEST_F(PrimaryAndRedis, AFullServerIsNamed) {
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "maxclients", "1"}), "+OK\r\n");
  TestedPrimary first(loop_, RedisAddress{"127.0.0.1", redis_->port(), ""});
  ASSERT_TRUE(first.Connect());
  tested_->Start();
  EXPECT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kMaxClients) > 0; }));
  first.primary.reset();
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
}

// A write to a connection that Redis has closed raises a signal in careless programs.
TEST_F(PrimaryAndRedis, WritingToAClosedConnectionDoesNotEndTheProcess) {
  signal(SIGPIPE, SIG_DFL);
  ASSERT_TRUE(tested_->Connect());
  redis_->Kill();
  std::vector<Ending> endings(10);
  for (Ending& ending : endings) {
    if (tested_->Send(ending, {"PING"})) tested_->primary->Flush();
  }
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kRecovering));
}

TEST_F(PrimaryAndRedis, AThousandReconnectsLeakNothing) {
  tested_->options.backoff = {1, 1, 1};
  ASSERT_TRUE(tested_->Connect());
  const auto reconnect = [&](int times) {
    for (int i = 0; i < times; ++i) {
      Ending ending;
      tested_->Send(ending, {"PING"});
      if (i % 10 == 0) {
        redis_->Command({"CLIENT", "KILL", "TYPE", "normal"});
      } else {
        tested_->primary->Reconnect("the test says so");
      }
      if (!tested_->Reaches(PrimaryState::kRecovering)) return false;
      if (!tested_->Reaches(PrimaryState::kConnected)) return false;
      if (ending.calls != 1) return false;
    }
    return true;
  };
  ASSERT_TRUE(reconnect(100));  // what is kept for reuse is there by now
  const std::size_t descriptors = OpenDescriptors();
  const long resident_kib = ResidentKib();
  ASSERT_TRUE(reconnect(1'000));
  EXPECT_EQ(OpenDescriptors(), descriptors);
  // The recorder's own records grow, by some hundred KiB; a leak of one read buffer per connection
  // would be sixteen MiB. Sanitizers keep what was freed, and look for leaks by themselves.
  if (!kSanitized) {
    EXPECT_LT(ResidentKib() - resident_kib, 4'096);
  }
  EXPECT_EQ(tested_->primary->stats().connects, 1'101u);
  EXPECT_EQ(tested_->primary->stats().in_flight, 0u);
}

}  // namespace
}  // namespace weir
