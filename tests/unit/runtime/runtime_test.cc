#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "limiter/runtime/cpu_quota.h"
#include "limiter/runtime/random_secret.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "tests/unit/config/temp_folder.h"

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

TEST(RandomSecret, IsAnotherOneEachTime) {
  const absl::StatusOr<Secret> one = RandomSecret();
  const absl::StatusOr<Secret> other = RandomSecret();
  ASSERT_TRUE(one.ok() && other.ok());
  EXPECT_NE(one->k0, other->k0);
  EXPECT_NE(one->k1, other->k1);
}

TEST(RandomSecret, IsAnErrorWithoutRandomBytes) {
  const absl::StatusOr<Secret> secret = RandomSecret([](void*, std::size_t, unsigned) -> ssize_t {
    errno = ENOSYS;
    return -1;
  });
  EXPECT_EQ(secret.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(secret.status().message().find("Function not implemented"), std::string::npos);
}

TEST(RandomSecret, IsAnErrorWithTooFewRandomBytes) {
  const absl::StatusOr<Secret> secret = RandomSecret(
      [](void*, std::size_t size, unsigned) { return static_cast<ssize_t>(size) - 1; });
  EXPECT_EQ(secret.status().code(), absl::StatusCode::kUnavailable);
}

TEST(RandomSecret, AsksAgainAfterASignal) {
  static int calls;
  calls = 0;
  const absl::StatusOr<Secret> secret =
      RandomSecret([](void* bytes, std::size_t size, unsigned) -> ssize_t {
        if (++calls == 1) {
          errno = EINTR;
          return -1;
        }
        std::memset(bytes, 7, size);
        return static_cast<ssize_t>(size);
      });
  ASSERT_TRUE(secret.ok()) << secret.status();
  EXPECT_EQ(secret->k1, 0x0707070707070707U);
  EXPECT_EQ(calls, 2);
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

TEST(ThreadExecutor, ANiceOneLeavesItsOwnThreadsPriorityOnly) {
  const int before = getpriority(PRIO_PROCESS, 0);
  int inside = 0;
  {
    ThreadExecutor executor(7);
    executor.Post([&] { inside = getpriority(PRIO_PROCESS, 0); });
  }
  EXPECT_EQ(inside, std::min(before + 7, 19));
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), before);
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

// A kernel's files, with processors to spare: only the quota counts below.
class CpuQuotaOf : public ::testing::Test {
 protected:
  void Quota(const std::string& cgroup, const std::string& cpu_max) {
    folder_.Write("sys/fs/cgroup/" + cgroup + "cpu.max", cpu_max + "\n");
  }
  int Get() { return CpuQuota(folder_.path().string()); }

  TempFolder folder_;
  const int all_ = CpuQuota(folder_.path().string());  // without a quota
};

TEST_F(CpuQuotaOf, AContainerIsThatOfItsMount) {
  Quota("", "50000 100000");
  EXPECT_EQ(Get(), 1);
  Quota("", "100001 100000");
  EXPECT_EQ(Get(), std::min(all_, 2));
  Quota("", "max 100000");
  EXPECT_EQ(Get(), all_);
}

TEST_F(CpuQuotaOf, AServiceIsTheSmallestOnTheWayToIt) {
  folder_.Write("proc/self/cgroup", "0::/system.slice/weir.service\n");
  Quota("system.slice/weir.service/", "max 100000");
  EXPECT_EQ(Get(), all_);
  Quota("system.slice/", "100000 100000");
  EXPECT_EQ(Get(), 1);
  Quota("system.slice/", "max 100000");
  Quota("system.slice/weir.service/", "20000 100000");
  EXPECT_EQ(Get(), 1);
}

TEST_F(CpuQuotaOf, VersionOneHasFilesOfItsOwn) {
  folder_.Write("proc/self/cgroup", "5:memory:/a\n4:cpu,cpuacct:/a/b\nno line\n");
  const auto quota = [&](const std::string& cgroup, const std::string& quota_us) {
    folder_.Write("sys/fs/cgroup/cpu/" + cgroup + "cpu.cfs_quota_us", quota_us);
    folder_.Write("sys/fs/cgroup/cpu/" + cgroup + "cpu.cfs_period_us", "100000");
  };
  quota("", "-1");
  EXPECT_EQ(Get(), all_);
  quota("a/b/", "90000");
  EXPECT_EQ(Get(), 1);
  quota("a/b/", "-1");
  quota("", "90000");
  EXPECT_EQ(Get(), 1);
}

TEST(CpuQuota, IsAtLeastOneAndAtMostTheMachine) {
  EXPECT_GE(CpuQuota(), 1);
  EXPECT_LE(CpuQuota(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace weir
