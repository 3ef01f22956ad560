#pragma once

// Answers that other threads found, on their way to the thread that asked.
//
// Thread safety: Put from any thread; Deliver from the owner's thread only.

#include <atomic>
#include <functional>
#include <utility>

#include "limiter/core/store.h"

namespace weir {

class Inbox {
 public:
  // `wake` is called when the inbox stops being empty, on the thread that put, and leads to a call
  // of Deliver on the owner's thread soon. REQUIRES: set before anything is put.
  void SetWake(std::function<void()> wake) { wake_ = std::move(wake); }

  void Put(Answered& answered) {
    Answered* head = head_.load(std::memory_order_relaxed);
    do {
      answered.next_in_inbox_ = head;
      // Release: who takes it sees the grants written before.
    } while (!head_.compare_exchange_weak(head, &answered, std::memory_order_release,
                                          std::memory_order_relaxed));
    if (head == nullptr) wake_();
  }

  // Tells each answered one, in the order they were put.
  void Deliver() {
    Answered* newest = head_.exchange(nullptr, std::memory_order_acquire);
    Answered* oldest = nullptr;
    while (newest != nullptr) {
      Answered* next = newest->next_in_inbox_;
      newest->next_in_inbox_ = oldest;
      oldest = newest;
      newest = next;
    }
    while (oldest != nullptr) std::exchange(oldest, oldest->next_in_inbox_)->OnAnswered();
  }

 private:
  std::atomic<Answered*> head_{nullptr};
  std::function<void()> wake_ = [] {};
};

}  // namespace weir
