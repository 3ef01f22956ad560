#pragma once

// The switch that turns enforcement off while the program runs: watches --enforcement-file,
// applies it to the engine, and says so in the log and in metrics for as long as it is on.
//
//   no file                nothing is switched off
//   a file with an error   what was read last stays in force
//   a file unreadable      the same: only a file that is gone switches on again
//
// Thread safety: safe from any thread.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/rule_file.h"
#include "limiter/config/watcher.h"
#include "limiter/core/engine.h"
#include "limiter/core/mutex.h"
#include "limiter/metrics/config_status.h"

namespace weir {

// How often the log is told again that enforcement is off.
inline constexpr int64_t kEnforcementReminderNs = 600'000'000'000;

class EnforcementSwitch {
 public:
  // `engine` and `status` outlive the object, which does nothing until Start.
  EnforcementSwitch(Engine& engine, ConfigStatus& status) : engine_(engine), status_(status) {}

  // Reads the file, applies it, and watches it from now on. Without threads or file descriptors:
  // RESOURCE_EXHAUSTED. Nothing is known of the rules yet: RulesChanged follows.
  absl::Status Start(const std::string& path, RuleWatcherOptions options);
  void Stop() { watcher_.reset(); }

  // Has the file read now. REQUIRES: nothing runs in Start or Stop.
  void Poke() {
    if (watcher_ != nullptr) watcher_->Poke();
  }
  // Warns about domains that are switched off and have no rules, if these are others than before.
  void RulesChanged();
  // Called now and then: warns every kEnforcementReminderNs while enforcement is off.
  void Remind();

 private:
  void Load(const std::vector<RuleFile>& files, const std::string& hash);
  void OnStatus(const absl::Status& status);
  void Apply(const EnforcementOff& off) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WarnOfUnknown() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Engine& engine_;
  ConfigStatus& status_;
  Mutex mutex_;
  // As it was read last; nullopt: it has an error, or there was none yet.
  std::optional<EnforcementOff> file_ ABSL_GUARDED_BY(mutex_);
  EnforcementOff applied_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> unknown_ ABSL_GUARDED_BY(mutex_);  // that were warned about
  int64_t said_mono_ns_ ABSL_GUARDED_BY(mutex_) = 0;          // that it is off
  std::unique_ptr<RuleWatcher> watcher_;
};

// "every domain", "domain a", "domains a, b": what is switched off, for people. REQUIRES:
// off.any().
std::string EnforcementOffText(const EnforcementOff& off);

}  // namespace weir
