#pragma once

// Where core puts work that must not run on the thread of a request.

#include <functional>

namespace weir {

class Executor {
 public:
  virtual ~Executor() = default;
  // Runs `task` later, in the order of posting, never on the caller's stack. Safe from any thread.
  virtual void Post(std::function<void()> task) = 0;
};

}  // namespace weir
