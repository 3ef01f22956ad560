// The handlers on a store that answers later, as a shared store will: nothing may be answered
// early, twice or from memory that is gone. (What they answer is the conformance suite's subject.)

#include <gtest/gtest.h>

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "limiter/rpc/limiter_handler.h"
#include "limiter/rpc/rate_limit_handler.h"
#include "limiter/store/memory_store.h"
#include "tests/support/executors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/rule_builder.h"

namespace weir {
namespace {

// Answers when the test says so.
class LateStore : public Store {
 public:
  void Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) override {
    parked_.push_back({asks, options, &answered});
  }
  std::size_t parked() const { return parked_.size(); }
  // Answers the oldest parked request; `last` the newest.
  void Release(bool last = false) {
    const Parked parked = last ? parked_.back() : parked_.front();
    parked_.erase(last ? parked_.end() - 1 : parked_.begin());
    memory_.Acquire(parked.asks, parked.options, *parked.answered);
  }

 private:
  struct Parked {
    std::span<Ask> asks;
    AcquireOptions options;
    Answered* answered;
  };
  std::vector<Parked> parked_;
  MemoryStore memory_{{.keys_max = 256, .ring_bytes_max = 1 << 20}};
};

class HandlerTest : public ::testing::Test {
 protected:
  HandlerTest() {
    engine_.SetRules(
        RuleTable::Build(test::Domain("d", {test::On("user").Fixed(2, Unit::kHour)}), {}, series_));
  }

  static void AddEntry(v1::Descriptor* descriptor, const std::string& value) {
    v1::Entry* entry = descriptor->add_entries();
    entry->set_key("user");
    entry->set_value(value);
  }
  static v1::CheckRequest Request(const std::string& value) {
    v1::CheckRequest request;
    request.set_domain("d");
    AddEntry(request.add_descriptors(), value);
    return request;
  }
  CallContext Context(int64_t left_ns = INT64_MAX) { return {worker_, left_ns}; }
  Done Note() {
    return [this](const absl::Status& status) { done_.push_back(status); };
  }

  test::FakeClock clock_;
  test::ManualExecutor executor_;
  SeriesRegistry series_{1000};
  LateStore store_;
  Engine engine_{{}, clock_, store_, executor_, series_};
  Worker& worker_ = engine_.AddWorker();
  RpcOptions options_;
  LimiterHandler limiter_{engine_, options_};
  RateLimitHandler rate_limit_{engine_, options_};
  std::vector<absl::Status> done_;
};

TEST_F(HandlerTest, ACheckIsAnsweredWhenTheStoreAnswers) {
  const v1::CheckRequest request = Request("a");
  v1::CheckResponse response;
  LimiterHandler::Call call;
  limiter_.Check(Context(), request, &response, call, Note());
  EXPECT_TRUE(done_.empty());
  store_.Release();
  ASSERT_EQ(done_.size(), 1U);
  EXPECT_TRUE(done_[0].ok());
  EXPECT_TRUE(response.allowed());
  EXPECT_EQ(response.items(0).remaining(), 1U);
}

TEST_F(HandlerTest, ACallObjectIsUsedAgainForTheNextRequest) {
  LimiterHandler::Call call;
  for (const bool allowed : {true, true, false}) {
    const v1::CheckRequest request = Request("a");
    v1::CheckResponse response;
    limiter_.Check(Context(), request, &response, call, Note());
    store_.Release();
    EXPECT_EQ(response.allowed(), allowed);
    EXPECT_EQ(response.items_size(), 1);
  }
  EXPECT_EQ(done_.size(), 3U);
}

TEST_F(HandlerTest, ABatchEndsWithItsLastAnswerWhateverTheirOrder) {
  v1::CheckBatchRequest request;
  *request.add_items() = Request("a");
  request.add_items()->set_domain("d");  // no descriptors: an error in its item
  *request.add_items() = Request("b");
  v1::CheckBatchResponse response;
  LimiterHandler::BatchCall call;
  limiter_.CheckBatch(Context(), request, &response, call, Note());
  ASSERT_EQ(store_.parked(), 2U);
  store_.Release(true);
  EXPECT_TRUE(done_.empty());
  store_.Release();
  ASSERT_EQ(done_.size(), 1U);
  ASSERT_EQ(response.items_size(), 3);
  EXPECT_TRUE(response.items(0).response().allowed());
  EXPECT_EQ(response.items(1).error().code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_FALSE(response.items(1).has_response());
  EXPECT_TRUE(response.items(2).response().allowed());
}

TEST_F(HandlerTest, AnEmptyBatchIsAnsweredAtOnce) {
  v1::CheckBatchResponse response;
  LimiterHandler::BatchCall call;
  limiter_.CheckBatch(Context(), {}, &response, call, Note());
  EXPECT_EQ(done_.size(), 1U);
}

TEST_F(HandlerTest, AnExplanationWaitsForItsDecision) {
  v1::ExplainRequest request;
  request.set_domain("d");
  v1::Entry* entry = request.add_entries();
  entry->set_key("user");
  entry->set_value("a");
  v1::ExplainResponse response;
  LimiterHandler::Call call;
  limiter_.Explain(Context(), request, &response, call, Note());
  EXPECT_TRUE(done_.empty());
  store_.Release();
  ASSERT_EQ(done_.size(), 1U);
  EXPECT_EQ(response.rule(), "user");
  EXPECT_EQ(response.decision().remaining(), 2U);
}

TEST_F(HandlerTest, RulesReplacedWhileARequestWaitsDoNotDisturbIt) {
  const v1::CheckRequest request = Request("a");
  v1::CheckResponse response;
  LimiterHandler::Call call;
  limiter_.Check(Context(), request, &response, call, Note());
  engine_.SetRules(RuleTable::Build({}, {}, series_));
  // Another request makes the worker take the new rules and drop the old ones.
  v1::CheckResponse other;
  LimiterHandler::Call other_call;
  limiter_.Check(Context(), request, &other, other_call, Note());
  executor_.RunAll();
  ASSERT_EQ(store_.parked(), 1U);
  store_.Release();
  ASSERT_EQ(done_.size(), 2U);
  EXPECT_EQ(response.items(0).rule(), "user");
  EXPECT_EQ(response.items(0).limit().hits(), 2U);
}

TEST_F(HandlerTest, AStatusComesForEveryDescriptorWhenTheStoreAnswersLate) {
  RateLimitHandler::Request request;
  request.set_domain("d");
  for (const char* value : {"a", "b"}) {
    auto* entry = request.add_descriptors()->add_entries();
    entry->set_key("user");
    entry->set_value(value);
  }
  RateLimitHandler::Response response;
  RateLimitHandler::Call call;
  rate_limit_.ShouldRateLimit(Context(), request, &response, call, Note());
  EXPECT_EQ(store_.parked(), 1U) << "all descriptors of a request are asked in one go";
  store_.Release();
  EXPECT_EQ(response.statuses_size(), 2);
}

TEST_F(HandlerTest, ACallThatIsAlreadyLateChargesNothing) {
  const v1::CheckRequest request = Request("a");
  v1::CheckResponse response;
  LimiterHandler::Call call;
  limiter_.Check(Context(0), request, &response, call, Note());
  ASSERT_EQ(done_.size(), 1U);
  EXPECT_EQ(done_[0].code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(store_.parked(), 0U);
}

}  // namespace
}  // namespace weir
