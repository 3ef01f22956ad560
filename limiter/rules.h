#pragma once

// The rules in force: loads the folder, compiles it, publishes it to the engine, and says so in
// log, metrics and health. A folder with an error changes nothing but the log and the metric.
//
// Thread safety: Load runs on one thread at a time (start, then the watcher's); the rest from any.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

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
        ConfigStatus& status, Health& health)
      : files_(files), table_(table), engine_(engine), status_(status), health_(health) {}

  // Publishes the files' rules, or keeps the ones in force if there is an error in any file.
  void Load(const std::vector<RuleFile>& files, const std::string& hash);
  // The folder could not be read.
  void Unreadable(const std::string& reason);

 private:
  std::string Difference(const RuleTable& table);

  const RuleFileOptions files_;
  const RuleTableOptions table_;
  Engine& engine_;
  ConfigStatus& status_;
  Health& health_;
  std::map<std::string, std::string> known_;  // rule -> what it enforces, of the rules in force
};

}  // namespace weir
