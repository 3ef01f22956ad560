#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "limiter/runtime/cpu_quota.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"

namespace weir {
namespace {

TEST(SystemClock, MonotonicTimeNeverStepsBack) {
  SystemClock clock;
  int64_t last_ns = clock.Now().mono_ns;
  for (int i = 0; i < 10'000; ++i) {
    const int64_t now_ns = clock.Now().mono_ns;
    ASSERT_GE(now_ns, last_ns);
    last_ns = now_ns;
  }
}

TEST(SystemClock, WallTimeIsSinceTheUnixEpoch) {
  constexpr int64_t kYear2020Ns = 1'577'836'800'000'000'000;
  EXPECT_GT(SystemClock().Now().wall_ns, kYear2020Ns);
}

TEST(ThreadExecutor, RunsTasksInOrderOffTheCallersThread) {
  std::vector<int> order;
  std::thread::id runner;
  {
    ThreadExecutor executor;
    for (int i = 0; i < 100; ++i) {
      executor.Post([&order, &runner, i] {
        order.push_back(i);
        runner = std::this_thread::get_id();
      });
    }
  }
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_NE(runner, std::this_thread::get_id());
}

TEST(ThreadExecutor, TakesTasksFromManyThreads) {
  std::atomic<int> ran{0};
  {
    ThreadExecutor executor;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) executor.Post([&] { ran.fetch_add(1); });
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(ran.load(), 4000);
}

TEST(CpuQuota, IsAtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(CpuQuota(), 1);
  EXPECT_LE(CpuQuota(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace weir
