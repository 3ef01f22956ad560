#pragma once

// The Redis store as the settings describe it.

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "limiter/admin/pages.h"
#include "limiter/config/settings.h"
#include "limiter/core/clock.h"
#include "limiter/core/executor.h"
#include "limiter/core/siphash.h"
#include "limiter/metrics/store_families.h"
#include "limiter/store/redis/redis_store.h"

namespace weir {

// `proposal` and `incarnation` are random. Errors name the setting to change.
absl::StatusOr<RedisStoreOptions> RedisOptionsOf(const Settings& settings, const Secret& proposal,
                                                 const Secret& incarnation);

// Reads the files that connections to Redis take their certificates from again when they change.
//
// Thread safety: all calls from one thread.
class RedisTlsFiles {
 public:
  // Both outlive this; `store` has not started yet.
  RedisTlsFiles(const Settings& settings, RedisStore& store);
  // Reads them if they have changed and are as at the last call: between the two halves of a
  // rotation nothing is wrong. Called every second or two.
  void Follow();
  // Reads them now. What cannot be used is logged, and the ones before stay in use.
  void Reload();

 private:
  std::string Stamp() const;

  const Settings& settings_;
  RedisStore& store_;
  // The state of the files as last seen and as last read: another text means that one of them was
  // written or replaced.
  std::string seen_;
  std::string read_;
};

// How the store is, for metrics and for pages.
StoreStatus StatusOf(const RedisStore& store, const Instant& now);
StoreSummary SummaryOf(const StoreStatus& status);

// What the store notes goes to the log.
void LogNote(NoteLevel level, std::string_view text);

}  // namespace weir
