#pragma once

// What became of loading the configuration: filled by whoever loads, read by the exporter.
//
// Thread safety: safe from any thread.

#include <cstdint>
#include <string>
#include <string_view>

#include "limiter/core/mutex.h"

namespace weir {

class ConfigStatus {
 public:
  struct Snapshot {
    uint64_t successes = 0;
    uint64_t failures = 0;
    bool last_successful = false;  // what was read last is in force; false before the first load
    int64_t success_wall_ns = 0;   // of the last successful load, since the Unix epoch; 0: none yet
    std::string hash;              // of the configuration in force; empty: none yet
  };

  // A configuration came into force. `hash` identifies its content.
  void RecordSuccess(std::string_view hash, int64_t wall_ns);
  // A configuration was refused, or could not be read; the one in force stays.
  void RecordFailure();
  // The configuration in force is again the one that can be read.
  void RecordRestored();
  Snapshot Get() const;

 private:
  mutable Mutex mutex_;
  Snapshot now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
