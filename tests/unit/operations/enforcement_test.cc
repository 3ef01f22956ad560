#include "limiter/operations/enforcement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "limiter/operations/logging.h"
#include "tests/support/engine_harness.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::On;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The folder's file is read at the start only: changes of it are of the integration suite.
class EnforcementSwitchTest : public ::testing::Test {
 protected:
  EnforcementSwitchTest() : harness_({On("a").Fixed(0, Unit::kMinute)}) {}

  std::string LogOf(const std::function<void()>& run) {
    testing::internal::CaptureStderr();
    StartLogging("info", false);
    run();
    return testing::internal::GetCapturedStderr();
  }
  void Start(const std::string& text) {
    folder_.Write("off.yaml", text);
    RuleWatcherOptions options;
    options.inotify = false;
    options.poll_interval_ms = 0;
    ASSERT_TRUE(switch_.Start(folder_.At("off.yaml"), options).ok());
  }

  TempFolder folder_;
  EngineHarness harness_;
  ConfigStatus status_;
  EnforcementSwitch switch_{harness_.engine, status_};
};

TEST_F(EnforcementSwitchTest, RemindsEveryTenMinutesWhileItIsOff) {
  LogOf([&] { Start("shadow_domains: [d]"); });
  const auto remind = [&] { switch_.Remind(); };
  harness_.clock.Advance(kEnforcementReminderNs - 1);
  EXPECT_EQ(LogOf(remind), "");
  harness_.clock.Advance(1);
  EXPECT_THAT(LogOf(remind), HasSubstr("warning enforcement: still switched off for domain d\n"));
  EXPECT_EQ(LogOf(remind), "");
  harness_.clock.Advance(kEnforcementReminderNs);
  EXPECT_THAT(LogOf(remind), HasSubstr("still switched off"));
}

TEST_F(EnforcementSwitchTest, SaysNothingWhileItIsOn) {
  EXPECT_EQ(LogOf([&] { Start("shadow: false"); }), "");
  harness_.clock.Advance(2 * kEnforcementReminderNs);
  EXPECT_EQ(LogOf([&] { switch_.Remind(); }), "");
  EXPECT_EQ(status_.Get().successes, 1U);
}

TEST_F(EnforcementSwitchTest, WarnsOnceOfDomainsWithoutRules) {
  EXPECT_THAT(
      LogOf([&] { Start("shadow_domains: [\"x\\n\", d]"); }),
      AllOf(HasSubstr("switched off for domains d, x\\n: "), HasSubstr("changes nothing: x\\n\n")));
  EXPECT_EQ(LogOf([&] { switch_.RulesChanged(); }), "");
  harness_.Load({});
  EXPECT_THAT(LogOf([&] { switch_.RulesChanged(); }), HasSubstr("changes nothing: d, x\\n\n"));
}

TEST_F(EnforcementSwitchTest, AFileWithAnErrorAtTheStartSwitchesNothingOff) {
  EXPECT_THAT(LogOf([&] { Start("shadow: perhaps"); }),
              AllOf(HasSubstr("off.yaml: shadow must be true or false (1:9)"),
                    HasSubstr("it stays on"), Not(HasSubstr("switched off"))));
  EXPECT_FALSE(harness_.engine.enforcement().any());
  EXPECT_EQ(status_.Get().failures, 1U);
}

}  // namespace
}  // namespace weir
