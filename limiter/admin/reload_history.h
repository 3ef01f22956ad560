#pragma once

// What became of the last loads of the rules, for the status page.
//
// Thread safety: safe from any thread.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/mutex.h"

namespace weir {

// Rules by "domain.path". A long list is cut; the count is not.
struct RuleNames {
  static constexpr std::size_t kNamesMax = 20;
  std::size_t count = 0;
  std::vector<std::string> names;

  void Add(const std::string& name) {
    if (++count <= kNamesMax) names.push_back(name);
  }
};

struct Reload {
  static constexpr std::size_t kErrorsMax = 10;
  int64_t wall_ns = 0;
  bool in_force = false;  // what was read is; else what was before stays
  std::size_t rules = 0;  // in force from now on
  std::string hash;       // of what was read; empty: it could not be
  RuleNames added;
  RuleNames changed;
  RuleNames removed;
  std::vector<std::string> errors;  // "file:line:column: message"; kErrorsMax at most
  std::size_t errors_count = 0;

  void AddError(const std::string& error) {
    if (++errors_count <= kErrorsMax) errors.push_back(error);
  }
};

class ReloadHistory {
 public:
  static constexpr std::size_t kReloadsMax = 20;

  void Add(Reload reload) {
    MutexLock lock(mutex_);
    reloads_.push_front(std::move(reload));
    if (reloads_.size() > kReloadsMax) reloads_.pop_back();
  }
  // The last ones, newest first.
  std::vector<Reload> Get() const {
    MutexLock lock(mutex_);
    return {reloads_.begin(), reloads_.end()};
  }

 private:
  mutable Mutex mutex_;
  std::deque<Reload> reloads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
