#include "limiter/core/deny_log.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

struct Lines {
  std::vector<Denial> all;
  DenyLog log{2, [this](const Denial& denial) { all.push_back(denial); }};
};

HarnessOptions With(DenyLog& log) {
  HarnessOptions options;
  options.engine.deny_log = &log;
  return options;
}

TEST(DenyLog, LogsAtMostItsRateAndCountsTheRest) {
  Lines lines;
  EngineHarness harness({On("ban").Fixed(0, Unit::kMinute)}, With(lines.log));
  for (int i = 0; i < 10; ++i) harness.Take({{"ban", "1"}});
  harness.executor.RunAll();
  ASSERT_EQ(lines.all.size(), 1U);
  EXPECT_EQ(lines.all[0].domain, "d");
  EXPECT_EQ(lines.all[0].rule, "ban");
  EXPECT_EQ(lines.all[0].source, Source::kMemory);
  EXPECT_FALSE(lines.all[0].shadow);
  // The line was written after all ten: nine of them have none.
  EXPECT_EQ(lines.all[0].suppressed, 9U);
  harness.clock.Advance(kSecondNs / 2);
  harness.Take({{"ban", "1"}});
  harness.executor.RunAll();
  ASSERT_EQ(lines.all.size(), 2U);
  EXPECT_EQ(lines.all[1].suppressed, 0U);
}

TEST(DenyLog, SaysWhatIsOnlyCounted) {
  Lines lines;
  EngineHarness harness({On("ban").Fixed(0, Unit::kMinute).Named("bans")}, With(lines.log));
  harness.engine.SetEnforcementOff({.all = true, .domains = {}});
  harness.Take({{"ban", "1"}});
  harness.executor.RunAll();
  ASSERT_EQ(lines.all.size(), 1U);
  EXPECT_TRUE(lines.all[0].shadow);
  EXPECT_EQ(lines.all[0].rule, "bans");
}

TEST(DenyLog, NamesOverridesAndTellsKeysApart) {
  Lines lines;
  EngineHarness harness({}, With(lines.log));
  for (const char* value : {"1", "2", "1"}) {
    SyncCheck check;
    check.Add({{"any", value}}).Override(0, Unit::kMinute);
    harness.Run(check);
    harness.clock.Advance(kSecondNs);
  }
  harness.executor.RunAll();
  ASSERT_EQ(lines.all.size(), 3U);
  EXPECT_EQ(lines.all[0].rule, "_override");
  EXPECT_EQ(lines.all[0].key_hash, lines.all[2].key_hash);
  EXPECT_NE(lines.all[0].key_hash, lines.all[1].key_hash);
}

TEST(DenyLog, LeavesOutWhatPassesAndQuestions) {
  Lines lines;
  EngineHarness harness({On("a").Fixed(1, Unit::kMinute)}, With(lines.log));
  harness.Take({{"a", "1"}});
  SyncCheck question;
  question.counted = false;
  question.Add({{"a", "1"}}, 5, Op::kPeek);
  harness.Run(question);
  harness.executor.RunAll();
  EXPECT_TRUE(lines.all.empty());
}

TEST(DenyLog, OfManyThreadsOneIsDue) {
  DenyLog log(1, [](const Denial&) {});
  std::vector<int> due(4);
  std::vector<std::thread> threads;
  for (int& mine : due) {
    threads.emplace_back([&log, &mine] {
      for (int i = 0; i < 1000; ++i) mine += log.Due(kSecondNs) ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(std::accumulate(due.begin(), due.end(), 0), 1);
}

}  // namespace
}  // namespace weir
