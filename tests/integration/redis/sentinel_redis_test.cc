// A primary that three real sentinels name, through a failover.

#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/store/redis/sentinel.h"
#include "tests/support/primary_harness.h"
#include "tests/support/real_redis.h"

namespace weir {
namespace {

using test::RedisProcess;

class SentinelsAndRedis : public test::RealRedis {
 protected:
  void SetUp() override {
    RealRedis::SetUp();
    if (redis_ == nullptr) return;
    std::string problem;
    const std::string port = std::to_string(redis_->port());
    replica_ = RedisProcess::Start({.arguments = {"--replicaof", "127.0.0.1", port}}, &problem);
    ASSERT_NE(replica_, nullptr) << problem;
    // A sentinel asks a master for its replicas every ten seconds only.
    ASSERT_TRUE(loop_.Until([this] { return ReplicaIsUp(); }));
    for (int i = 0; i < 3; ++i) {
      sentinels_.push_back(RedisProcess::Start({.program = SentinelProgram(i)}, &problem));
      ASSERT_NE(sentinels_.back(), nullptr) << problem;
      for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
               {"SENTINEL", "MONITOR", "mymaster", "127.0.0.1", port, "2"},
               {"SENTINEL", "SET", "mymaster", "down-after-milliseconds", "500"},
               {"SENTINEL", "SET", "mymaster", "failover-timeout", "3000"}}) {
        ASSERT_EQ(sentinels_.back()->Command(command), "+OK\r\n") << command[1];
      }
    }
    ASSERT_TRUE(loop_.Until([this] { return AllAgree(); }, 20'000));
  }

  // A sentinel rewrites its configuration, which must be the first argument: each has a program of
  // its own.
  std::string SentinelProgram(int i) {
    const std::string program = folder_.path() + "/sentinel" + std::to_string(i);
    std::ofstream(program + ".conf") << "\n";
    std::ofstream(program) << "#!/bin/sh\nexec redis-server " << program
                           << ".conf --sentinel \"$@\"\n";
    chmod(program.c_str(), 0700);
    return program;
  }

  bool AllAgree() const {
    for (const auto& sentinel : sentinels_) {
      const std::string info = sentinel->Command({"INFO", "sentinel"});
      if (info.find("slaves=1,sentinels=3") == std::string::npos) return false;
    }
    return true;
  }

  bool ReplicaIsUp() const {
    return replica_->Command({"INFO", "replication"}).find("master_link_status:up") !=
           std::string::npos;
  }

  void Connect() {
    SentinelOptions options;
    options.master = "mymaster";
    for (const auto& s : sentinels_) options.sentinels.push_back({"127.0.0.1", s->port(), ""});
    const Primary::Environment environment{loop_.base(), loop_, resolver_, loop_.clock()};
    source_ = std::make_unique<SentinelAddress>(environment, options);
    primary_ = std::make_unique<Primary>(environment, *source_, recorder_, Primary::Options());
    watch_ = std::make_unique<SentinelWatch>(environment, options, BackoffOptions(), 1,
                                             [this](const RedisAddress& to) {
                                               source_->Hint(to);
                                               primary_->Reconnect("a sentinel says so");
                                             });
    primary_->Start();
    watch_->Start();
    ASSERT_TRUE(ConnectedTo(*redis_)) << primary_->texts().last_error;
  }
  bool ConnectedTo(const RedisProcess& server) {
    const std::string address = "127.0.0.1:" + std::to_string(server.port());
    return loop_.Until(
        [&] {
          return primary_->state() == PrimaryState::kConnected &&
                 primary_->texts().address == address;
        },
        15'000);
  }

  test::TestLoop loop_;
  test::TemporaryFolder folder_;
  std::unique_ptr<RedisProcess> replica_;
  std::vector<std::unique_ptr<RedisProcess>> sentinels_;
  ThreadExecutor resolver_;
  test::Recorder recorder_;
  std::unique_ptr<SentinelAddress> source_;
  std::unique_ptr<Primary> primary_;
  std::unique_ptr<SentinelWatch> watch_;
};

TEST_F(SentinelsAndRedis, TheNewMasterIsFoundAfterTheOldOneDied) {
  Connect();
  sentinels_[0]->Kill();
  redis_->Kill();
  EXPECT_TRUE(ConnectedTo(*replica_)) << primary_->texts().last_error;
  EXPECT_EQ(recorder_.failovers, 1);
}

}  // namespace
}  // namespace weir
