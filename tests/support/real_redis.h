#pragma once

// A fixture with a redis-server of its own. Without one installed its tests are skipped, in CI they
// fail.

#include <cstdlib>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/redis_process.h"

namespace weir::test {

class RealRedis : public testing::Test {
 protected:
  // Starts `redis_` with what Options says.
  void SetUp() override {
    const RedisOptions options = Options();
    if (FindProgram(options.program).empty()) {
      const char* const ci = std::getenv("CI");
      ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << options.program << " is missing";
      GTEST_SKIP() << options.program << " is missing (Debian package redis-server)";
    }
    std::string problem;
    redis_ = RedisProcess::Start(options, &problem);
    ASSERT_NE(redis_, nullptr) << problem;
  }

  virtual RedisOptions Options() { return {}; }

  std::unique_ptr<RedisProcess> redis_;
};

}  // namespace weir::test
