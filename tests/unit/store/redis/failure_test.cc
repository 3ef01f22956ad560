#include "limiter/store/redis/failure.h"

#include <set>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace weir {
namespace {

TEST(FailureTable, HasARowForEveryFailureWithWordsForPeople) {
  std::set<std::string_view> labels;
  for (std::size_t i = 1; i < kFailures; ++i) {
    const auto failure = static_cast<Failure>(i);
    const FailureRow& row = RowOf(failure);
    EXPECT_EQ(row.failure, failure) << i;
    EXPECT_FALSE(row.label.empty()) << i;
    EXPECT_FALSE(row.remedy.empty()) << i;
    EXPECT_TRUE(labels.insert(row.label).second) << row.label;
    EXPECT_EQ(row.label.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string_view::npos);
  }
  EXPECT_EQ(LabelOf(Failure::kNone), "none");
}

TEST(FailureTable, EveryPrefixIsFoundByItself) {
  for (const FailureRow& row : FailureTable()) {
    if (row.prefix.empty()) continue;
    std::string text(row.prefix);
    EXPECT_EQ(ClassifyError(text).failure, row.failure) << text;
    EXPECT_EQ(ClassifyError(text + " and more").failure, row.failure) << text;
  }
}

TEST(ClassifyError, AWordIsAWord) {
  EXPECT_EQ(ClassifyError("READONLYX is something else").failure, Failure::kOther);
  EXPECT_EQ(ClassifyError("ASKING for trouble").failure, Failure::kOther);
  EXPECT_EQ(ClassifyError("readonly").failure, Failure::kOther);
  EXPECT_EQ(ClassifyError("").failure, Failure::kOther);
  EXPECT_EQ(ClassifyError("ERR unknown command").failure, Failure::kOther);
}

// Redis 6.2 wraps what a script died of; later versions do not.
TEST(ClassifyError, LooksIntoAScriptOfRedis6) {
  const std::string wrapped =
      "ERR Error running script (call to f_4f1a2b): @user_script:1: @user_script: 1: ";
  EXPECT_EQ(
      ClassifyError(wrapped + "-OOM command not allowed when used memory > 'maxmemory'.").failure,
      Failure::kOom);
  EXPECT_EQ(
      ClassifyError(wrapped + "-READONLY You can't write against a read only replica.").failure,
      Failure::kReadonly);
  EXPECT_EQ(ClassifyError(wrapped + "attempt to index a nil value").failure, Failure::kOther);
  EXPECT_EQ(ClassifyError("ERR Error running script").failure, Failure::kOther);
}

}  // namespace
}  // namespace weir
