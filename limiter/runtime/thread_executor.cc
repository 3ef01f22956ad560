#include "limiter/runtime/thread_executor.h"

#include <unistd.h>

#include <functional>
#include <utility>

namespace weir {

ThreadExecutor::ThreadExecutor(int niceness) : thread_([this, niceness] { Run(niceness); }) {}

ThreadExecutor::~ThreadExecutor() { Finish(); }

void ThreadExecutor::Finish() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
  }
  posted_.notify_one();
  thread_.join();
}

void ThreadExecutor::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  posted_.notify_one();
}

void ThreadExecutor::Run(int niceness) {
  // On Linux the priority is each thread's own.
  if (niceness != 0) [[maybe_unused]]
    const int now = nice(niceness);
  while (true) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (tasks_.empty() && !stopping_) posted_.wait(mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

}  // namespace weir
