#include "limiter/core/inbox.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

class Recorded final : public Answered {
 public:
  Recorded(std::vector<int>& order, int number) : order_(order), number_(number) {}
  void OnAnswered() override {
    order_.push_back(number_);
    if (then) then();
  }
  std::function<void()> then;

 private:
  std::vector<int>& order_;
  const int number_;
};

TEST(Inbox, DeliversInTheOrderOfPuts) {
  std::vector<int> order;
  Recorded a(order, 1);
  Recorded b(order, 2);
  Recorded c(order, 3);
  Inbox inbox;
  inbox.Put(a);
  inbox.Put(b);
  inbox.Put(c);
  EXPECT_TRUE(order.empty());
  inbox.Deliver();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
  inbox.Deliver();
  EXPECT_EQ(order.size(), 3U);  // each is told once
}

TEST(Inbox, DeliveringAnEmptyOneDoesNothing) {
  int wakes = 0;
  Inbox inbox;
  inbox.SetWake([&] { ++wakes; });
  inbox.Deliver();
  EXPECT_EQ(wakes, 0);
}

TEST(Inbox, WakesOnceWhenItStopsBeingEmpty) {
  std::vector<int> order;
  Recorded a(order, 1);
  Recorded b(order, 2);
  int wakes = 0;
  Inbox inbox;
  inbox.SetWake([&] { ++wakes; });
  inbox.Put(a);
  EXPECT_EQ(wakes, 1);
  inbox.Put(b);
  EXPECT_EQ(wakes, 1);
  inbox.Deliver();
  inbox.Put(a);
  EXPECT_EQ(wakes, 2);
  inbox.Deliver();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 1}));
}

TEST(Inbox, WhatIsPutDuringADeliveryWakesAnewAndIsDeliveredNext) {
  std::vector<int> order;
  Recorded a(order, 1);
  Recorded b(order, 2);
  int wakes = 0;
  Inbox inbox;
  inbox.SetWake([&] { ++wakes; });
  // The first puts itself again, as a request that is reused at once does.
  a.then = [&] {
    a.then = nullptr;
    inbox.Put(a);
  };
  inbox.Put(a);
  inbox.Put(b);
  inbox.Deliver();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(wakes, 2);
  inbox.Deliver();
  EXPECT_EQ(order, (std::vector<int>{1, 2, 1}));
}

TEST(Inbox, AnAnsweredOneMayBeDestroyedInItsAnswer) {
  std::vector<int> order;
  auto a = std::make_unique<Recorded>(order, 1);
  auto b = std::make_unique<Recorded>(order, 2);
  a->then = [&] { a.reset(); };
  b->then = [&] { b.reset(); };
  Inbox inbox;
  inbox.Put(*a);
  inbox.Put(*b);
  inbox.Deliver();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(a, nullptr);
  EXPECT_EQ(b, nullptr);
}

class Numbered final : public Answered {
 public:
  // Written by the producer without synchronisation but the inbox's.
  uint32_t producer = 0;
  uint32_t sequence = 0;
  std::vector<std::pair<uint32_t, uint32_t>>* told = nullptr;
  void OnAnswered() override { told->emplace_back(producer, sequence); }
};

TEST(Inbox, LosesNothingFromManyProducersAndKeepsTheOrderOfEach) {
  constexpr uint32_t kProducers = 4;
  constexpr uint32_t kEach = 20'000;
  std::vector<std::pair<uint32_t, uint32_t>> told;
  std::vector<std::vector<Numbered>> sent(kProducers);
  for (auto& of_one : sent) of_one.resize(kEach);
  std::atomic<uint64_t> wakes{0};
  Inbox inbox;
  inbox.SetWake([&] { wakes.fetch_add(1); });
  std::vector<std::jthread> producers;
  for (uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      for (uint32_t i = 0; i < kEach; ++i) {
        sent[p][i].producer = p;
        sent[p][i].sequence = i;
        sent[p][i].told = &told;
        inbox.Put(sent[p][i]);
      }
    });
  }
  // An owner that delivers only when woken must miss nothing.
  uint64_t deliveries = 0;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (told.size() < kProducers * kEach && std::chrono::steady_clock::now() < give_up) {
    if (wakes.load() == deliveries) {
      std::this_thread::yield();
      continue;
    }
    ++deliveries;
    const std::size_t before = told.size();
    inbox.Deliver();
    ASSERT_GT(told.size(), before) << "woken for nothing";
  }
  ASSERT_EQ(told.size(), kProducers * kEach);
  std::vector<uint32_t> next(kProducers, 0);
  for (const auto& [producer, sequence] : told) {
    ASSERT_EQ(sequence, next[producer]) << "producer " << producer;
    ++next[producer];
  }
  EXPECT_EQ(wakes.load(), deliveries);
}

}  // namespace
}  // namespace weir
