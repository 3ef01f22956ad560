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

// The state of the files that connections to Redis take their certificates from: another text means
// that one of them was written or replaced.
std::string RedisTlsStamp(const Settings& settings);

// How the store is, for metrics and for pages.
StoreStatus StatusOf(const RedisStore& store, const Instant& now);
StoreSummary SummaryOf(const StoreStatus& status);

// What the store notes goes to the log.
void LogNote(NoteLevel level, std::string_view text);

}  // namespace weir
