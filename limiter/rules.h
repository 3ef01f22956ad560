#pragma once

// The rules in force: loads the folder, compiles it, publishes it to the engine, and says so in
// log, metrics, history and health. A folder with an error changes nothing but the log and the
// metric.
//
// Thread safety: safe from any thread.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "limiter/admin/reload_history.h"
#include "limiter/config/rule_file.h"
#include "limiter/core/engine.h"
#include "limiter/core/mutex.h"
#include "limiter/core/rule_table.h"
#include "limiter/metrics/config_status.h"
#include "limiter/rpc/health.h"

namespace weir {

class Rules {
 public:
  // Arguments but the options outlive the object.
  Rules(const RuleFileOptions& files, const RuleTableOptions& table, Engine& engine,
        ConfigStatus& status, ReloadHistory& history, Health& health)
      : files_(files),
        engine_(engine),
        status_(status),
        history_(history),
        health_(health),
        table_(table) {}

  // Publishes the files' rules, or keeps the ones in force if there is an error in any file.
  void Load(const std::vector<RuleFile>& files, const std::string& hash);
  // The folder could not be read.
  void Unreadable(const std::string& reason);
  // The folder can be read again, and what it holds was loaded last.
  void ReadableAgain();
  // Keys are made under this secret from now on: that of the fleet, which only its store knows.
  void SetSecret(const Secret& secret);

 private:
  void Compare(const RuleTable& table, Reload& reload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RuleFileOptions files_;
  Engine& engine_;
  ConfigStatus& status_;
  ReloadHistory& history_;
  Health& health_;
  Mutex mutex_;
  RuleTableOptions table_ ABSL_GUARDED_BY(mutex_);
  std::vector<DomainSpec> domains_ ABSL_GUARDED_BY(mutex_);  // in force
  bool loaded_last_ ABSL_GUARDED_BY(mutex_) = false;         // the files loaded last are in force
  // Rule -> what it enforces, of the rules in force.
  std::map<std::string, std::string> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
