#pragma once

// The same scripts in embedded Lua and in a real Redis, at times that the test sets.
//
// In the real Redis a prelude goes before the shipped text: it hides `redis` behind a table whose
// TIME is the test's and whose expiry goes by that time. The shipped text itself is not touched.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "limiter/store/redis/script_call.h"
#include "tests/differential/redis_client.h"
#include "tests/support/lua_store.h"
#include "tests/support/redis_process.h"

namespace weir::test {

// One redis-server for all tests of this process; null if it is not installed. Without one, a test
// skips, or fails where CI=true: see NEED_REDIS.
RedisProcess* SharedRedis();

// Seconds for one test that is sized by time: WEIR_SOAK_SECONDS, else a few.
double TestSeconds();
// True until the time given, measured from the first call, is over.
class Budget {
 public:
  explicit Budget(double seconds);
  bool Left() const;

 private:
  int64_t end_ns_;
};

// WEIR_SEED, else another one in each run. Printed.
uint64_t TestSeed();

// Times a call and gives it to each store.
class Stores {
 public:
  // redis may be null: embedded Lua only.
  explicit Stores(RedisProcess* redis);

  LuaStore& embedded() { return embedded_; }
  RedisClient& client() { return *client_; }  // REQUIRES: real()
  bool real() const { return client_ != nullptr; }

  // Begins with a key of its own, so that what was before does not count.
  void NewKey();
  const std::string& key() const { return key_; }

  // The embedded store's reply to one command at a time; the real one's is due with Replies.
  StoreReply Run(const std::string& wire, int64_t now_us);

  struct Difference {
    std::size_t index;  // of the command since NewKey
    std::string embedded;
    std::string real;
  };
  // Puts something into the record of both, as no script would.
  void Spoil(const std::string& text);
  void SpoilType();
  // The replies of the real Redis since NewKey that differ from the embedded store's, then the
  // record, if that does.
  std::vector<Difference> Differences();

 private:
  LuaStore embedded_;
  std::unique_ptr<RedisClient> client_;
  std::vector<std::string> real_sha1_;  // by ScriptId, of prelude and text
  std::string key_;
  uint64_t keys_ = 0;
  std::string wire_;
  std::vector<std::optional<StoreReply>> replies_;  // the embedded store's; none: not compared
};

// The integers of an array reply; empty if it is something else.
std::vector<int64_t> Integers(const StoreReply& reply);

}  // namespace weir::test

// At the start of a test that cannot do without a redis-server.
#define NEED_REDIS()                                                                 \
  do {                                                                               \
    if (::weir::test::FindProgram("redis-server").empty()) {                         \
      const char* const ci = std::getenv("CI");                                      \
      ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << "no redis-server"; \
      GTEST_SKIP() << "redis-server is missing (Debian package redis-server)";       \
    }                                                                                \
    ASSERT_NE(::weir::test::SharedRedis(), nullptr);                                 \
  } while (false)
