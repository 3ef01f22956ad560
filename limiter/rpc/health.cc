#include "limiter/rpc/health.h"

#include <cstdint>
#include <utility>

namespace weir {

Health::State Health::StateLocked() const {
  if (ended_) return State::kEnded;
  const bool serving =
      listening_ && !draining_ && store_connected_ && (rules_loaded_ || without_rules_);
  return serving ? State::kServing : State::kNotServing;
}

void Health::SetRulesLoaded() {
  MutexLock lock(mutex_);
  const State before = StateLocked();
  rules_loaded_ = true;
  NotifyLocked(before);
}

void Health::SetStoreConnected(bool connected) {
  MutexLock lock(mutex_);
  const State before = StateLocked();
  store_connected_ = connected;
  NotifyLocked(before);
}

void Health::SetListening(bool listening) {
  MutexLock lock(mutex_);
  const State before = StateLocked();
  listening_ = listening;
  NotifyLocked(before);
}

void Health::SetDraining() {
  MutexLock lock(mutex_);
  const State before = StateLocked();
  draining_ = true;
  NotifyLocked(before);
}

void Health::SetEnded() {
  MutexLock lock(mutex_);
  const State before = StateLocked();
  ended_ = true;
  NotifyLocked(before);
}

bool Health::alive() const {
  MutexLock lock(mutex_);
  return listening_;
}

bool Health::serving() const {
  MutexLock lock(mutex_);
  return StateLocked() == State::kServing;
}

bool Health::ready() const {
  MutexLock lock(mutex_);
  return StateLocked() == State::kServing && rules_loaded_;
}

uint64_t Health::Subscribe(Subscriber subscriber) {
  MutexLock lock(mutex_);
  subscriber(StateLocked());
  subscribers_.emplace(++next_id_, std::move(subscriber));
  return next_id_;
}

void Health::Unsubscribe(uint64_t id) {
  MutexLock lock(mutex_);
  subscribers_.erase(id);
}

void Health::NotifyLocked(State before) {
  const State now = StateLocked();
  if (now == before) return;
  for (const auto& [id, subscriber] : subscribers_) subscriber(now);
}

}  // namespace weir
