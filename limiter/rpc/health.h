#pragma once

// Whether this process wants traffic: the one truth behind grpc.health.v1, /healthcheck, /livez
// and /readyz.
//
// Thread safety: safe from any thread. Subscribers are called under the lock, in the thread that
// changed the state: they must not block nor call back.

#include <cstdint>
#include <functional>
#include <map>
#include <string_view>

#include "limiter/core/mutex.h"

namespace weir {

class Health {
 public:
  // `serving_without_rules`: rules that never loaded do not keep the service from being healthy.
  explicit Health(bool serving_without_rules) : without_rules_(serving_without_rules) {}

  void SetRulesLoaded();
  // Without its store the service is not serving; for those who ask for that.
  void SetStoreConnected(bool connected);
  // Whether callers can still connect. If not, only a restart helps.
  void SetListening(bool listening);
  // From now on not serving: the process is about to end.
  void SetDraining();
  // The listeners close: whoever still watches is to leave.
  void SetEnded();

  bool alive() const;
  bool serving() const;
  // Serving, and rules are loaded.
  bool ready() const;
  // The services this process answers for: "" and "ratelimit".
  static bool Knows(std::string_view service) { return service.empty() || service == "ratelimit"; }

  enum class State : uint8_t { kServing, kNotServing, kEnded };
  using Subscriber = std::function<void(State)>;
  // Calls `subscriber` now and after each change, until Unsubscribe with the id returned.
  uint64_t Subscribe(Subscriber subscriber);
  void Unsubscribe(uint64_t id);

 private:
  State StateLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void NotifyLocked(State before) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool without_rules_;
  mutable Mutex mutex_;
  bool rules_loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool store_connected_ ABSL_GUARDED_BY(mutex_) = true;
  bool listening_ ABSL_GUARDED_BY(mutex_) = true;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, Subscriber> subscribers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
