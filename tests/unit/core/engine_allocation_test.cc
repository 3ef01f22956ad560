// A warm check allocates nothing: counted by replacing the global operator new.

#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "tests/support/engine_harness.h"

namespace {

std::atomic<uint64_t> allocations{0};

void* AllocateOrNull(std::size_t bytes, std::size_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  return std::aligned_alloc(alignment, rounded == 0 ? alignment : rounded);
}

void* Allocate(std::size_t bytes, std::size_t alignment) {
  void* const memory = AllocateOrNull(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return Allocate(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<std::size_t>(alignment));
}
// std::stable_sort asks so.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t& /*unused*/) noexcept {
  return AllocateOrNull(bytes, alignof(std::max_align_t));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

std::vector<DescriptorSpec> Rules() {
  return {On("fixed").Fixed(50, Unit::kMinute),
          On("sliding").Sliding(50, Unit::kMinute),
          On("bucket").TokenBucket(50, Unit::kMinute),
          On("wild", "some-long-pattern-*").Child(On("op").Fixed(50, Unit::kMinute).Quota()),
          On("free").Unlimited(),
          On("ban").Fixed(0, Unit::kMinute).Shadow(),
          On("old").Fixed(5, Unit::kMinute).Named("old"),
          On("new").Fixed(50, Unit::kMinute).Replaces({"old"})};
}

uint64_t AllocationsOfWarmRuns(EngineHarness& harness, SyncCheck& check) {
  for (int i = 0; i < 3; ++i) harness.Run(check);
  const uint64_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    harness.clock.Advance(kSecondNs / 10);
    harness.Run(check);
  }
  return allocations - before;
}

TEST(Allocation, TheCountSeesAllocations) {
  const uint64_t before = allocations;
  // Not a new-expression: a compiler may leave those out.
  ::operator delete(::operator new(3));
  EXPECT_EQ(allocations, before + 1);
}

TEST(Allocation, AWarmCheckOfOneDescriptorAllocatesNothing) {
  EngineHarness harness(Rules());
  for (const char* key : {"fixed", "sliding", "bucket", "free", "ban", "unmatched"}) {
    SyncCheck check;
    check.Add({{key, "a value that is longer than any small string"}});
    EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U) << key;
  }
}

TEST(Allocation, AWarmCheckOfFiveDescriptorsAllocatesNothingInAnyMode) {
  for (const ChargeDenied mode :
       {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    EngineHarness harness(Rules());
    SyncCheck check;
    check.charge_denied = mode;
    check.Add({{"fixed", "1"}}).Add({{"sliding", "1"}}).Add({{"bucket", "1"}});
    check.Add({{"wild", "some-long-pattern-with-a-tail"}, {"op", "read"}}).Add({{"fixed", "2"}});
    EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U) << static_cast<int>(mode);
  }
}

TEST(Allocation, AWarmCheckAllocatesNothingWhileEnforcementIsOff) {
  EngineHarness harness(Rules());
  harness.engine.SetEnforcementOff({.all = false, .domains = {"d"}});
  SyncCheck check;
  check.Add({{"fixed", "1"}}).Add({{"sliding", "1"}}).Add({{"bucket", "1"}});
  EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U);
}

TEST(Allocation, AWarmCheckWithReplacesOverridesAndStatisticsAllocatesNothing) {
  HarnessOptions options;
  options.engine.count_stats = true;
  EngineHarness harness(Rules(), options);
  SyncCheck check;
  check.Add({{"old", "1"}}).Add({{"new", "1"}}).Add({{"ban", "1"}});
  EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U);
  EngineHarness plain(Rules());
  SyncCheck with_override;
  with_override.Add({{"any", "1"}}).Override(3, Unit::kSecond);
  EXPECT_EQ(AllocationsOfWarmRuns(plain, with_override), 0U);
}

TEST(Allocation, AWarmCheckThatNamesItsCountersAllocatesNothing) {
  HarnessOptions options;
  options.engine.shared_counters = true;
  EngineHarness harness({On("fixed").Fixed(50, Unit::kDay)}, options);
  SyncCheck check;
  check.Add({{"fixed", "a value that is longer than any small string"}}).Add({{"fixed", "2"}});
  EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U);
}

TEST(Allocation, ASampledCheckAllocatesNothing) {
  for (const bool keep_key_texts : {false, true}) {
    HarnessOptions options;
    options.engine.keep_key_texts = keep_key_texts;
    EngineHarness harness(Rules(), options);
    SyncCheck check;
    check.Add({{"fixed", "a value that is longer than any small string"}});
    // Far apart, so that each is sampled.
    EXPECT_EQ(AllocationsOfWarmRuns(harness, check), 0U) << keep_key_texts;
    const uint32_t slot = harness.engine.rules()->rules()[0].rule_slot;
    EXPECT_GT(harness.engine.TopKeysOf(slot, 1).hits, 50);
  }
}

TEST(Allocation, ANewKeyAllocatesNothingOnceRingsAreThere) {
  EngineHarness harness(Rules());
  const char* values[] = {"1", "2", "3", "4", "5", "6", "7", "8"};
  for (const char* key : {"fixed", "bucket"}) {
    SyncCheck check;
    check.Add({{key, "warm"}});
    for (int i = 0; i < 3; ++i) harness.Run(check);
    const uint64_t before = allocations;
    for (const char* value : values) {
      const Entry entry{key, value};
      check.descriptors[0].entries = {&entry, 1};
      harness.Run(check);
    }
    EXPECT_EQ(allocations, before) << key;
  }
}

}  // namespace
}  // namespace weir
