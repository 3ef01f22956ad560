#include "limiter/rpc/health.h"

#include <cstdint>
#include <utility>

namespace weir {

void Health::SetRulesLoaded() {
  MutexLock lock(mutex_);
  const bool was_serving = ServingLocked();
  rules_loaded_ = true;
  NotifyLocked(was_serving);
}

void Health::SetDraining() {
  MutexLock lock(mutex_);
  const bool was_serving = ServingLocked();
  draining_ = true;
  NotifyLocked(was_serving);
}

bool Health::serving() const {
  MutexLock lock(mutex_);
  return ServingLocked();
}

bool Health::ready() const {
  MutexLock lock(mutex_);
  return ServingLocked() && rules_loaded_;
}

uint64_t Health::Subscribe(Subscriber subscriber) {
  MutexLock lock(mutex_);
  subscriber(ServingLocked());
  subscribers_.emplace(++next_id_, std::move(subscriber));
  return next_id_;
}

void Health::Unsubscribe(uint64_t id) {
  MutexLock lock(mutex_);
  subscribers_.erase(id);
}

void Health::NotifyLocked(bool was_serving) {
  const bool serving = ServingLocked();
  if (serving == was_serving) return;
  for (const auto& [id, subscriber] : subscribers_) subscriber(serving);
}

}  // namespace weir
