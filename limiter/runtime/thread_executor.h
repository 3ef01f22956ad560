#pragma once

// An executor with a thread of its own, for work that must stay off the threads of requests.
//
// Thread safety: safe from any thread. The destructor runs what was posted before it.

#include <condition_variable>
#include <deque>
#include <functional>
#include <thread>

#include "limiter/core/executor.h"
#include "limiter/core/mutex.h"

namespace weir {

class ThreadExecutor : public Executor {
 public:
  // `niceness`: how much more than other threads its own leaves the processor to others, 0 to 19
  // (nice(2)). What the system refuses is left as it is.
  explicit ThreadExecutor(int niceness = 0);
  ~ThreadExecutor() override;

  void Post(std::function<void()> task) override;

  // Runs what was posted and ends the thread; what is posted later never runs. For tasks that use
  // what is destroyed before the executor. Called by one thread.
  void Finish();

 private:
  void Run(int niceness);

  Mutex mutex_;
  std::condition_variable_any posted_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir
