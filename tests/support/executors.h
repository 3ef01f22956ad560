#pragma once

// Executors that a test drives.

#include <cstddef>
#include <deque>
#include <functional>
#include <utility>

#include "limiter/core/executor.h"
#include "limiter/core/mutex.h"

namespace weir::test {

// Keeps tasks until the test runs them. Thread safety: safe from any thread.
class ManualExecutor : public Executor {
 public:
  void Post(std::function<void()> task) override {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }

  std::size_t pending() const {
    MutexLock lock(mutex_);
    return tasks_.size();
  }

  // Runs and destroys what is pending, also what those tasks post, on the caller's thread. Returns
  // how many ran.
  std::size_t RunAll() {
    std::size_t ran = 0;
    for (;; ++ran) {
      std::function<void()> task;
      {
        MutexLock lock(mutex_);
        if (tasks_.empty()) return ran;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

 private:
  mutable Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

// Runs each task at once, on the poster's stack: for tests whose subject posts under no lock and
// to whom it is all the same when a task runs. Thread safety: as safe as the tasks.
class InlineExecutor : public Executor {
 public:
  void Post(std::function<void()> task) override { task(); }
};

}  // namespace weir::test
