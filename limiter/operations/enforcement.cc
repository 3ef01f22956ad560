#include "limiter/operations/enforcement.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "limiter/config/enforcement_file.h"
#include "limiter/config/problem.h"
#include "limiter/config/rule_folder.h"

namespace weir {
namespace {

// A list of domains; what is longer is another file's name by mistake.
constexpr int64_t kFileBytesMax = int64_t{1} << 20;

}  // namespace

std::string EnforcementOffText(const EnforcementOff& off) {
  if (off.all) return "every domain";
  return absl::StrCat(off.domains.size() == 1 ? "domain " : "domains ",
                      absl::StrJoin(off.domains, ", "));
}

absl::Status EnforcementSwitch::Start(const std::string& path, RuleWatcherOptions options) {
  options.folder = RuleFolderOptions{};
  options.folder.file_bytes_max = kFileBytesMax;
  options.folder.files_max = 1;
  KnownRules known;
  absl::StatusOr<std::vector<RuleFile>> files = ReadRuleFolder(path, options.folder);
  known.status = files.status();
  if (files.ok()) {
    known.hash = HashRuleFiles(*files);
    Load(*files, known.hash);
  } else {
    OnStatus(files.status());
  }
  absl::StatusOr<std::unique_ptr<RuleWatcher>> watcher =
      RuleWatcher::Start(path, std::move(known), options,
                         {.on_change = [this](const std::vector<RuleFile>& now,
                                              const std::string& hash) { Load(now, hash); },
                          .on_status = [this](const absl::Status& status) { OnStatus(status); }});
  if (!watcher.ok()) return watcher.status();
  watcher_ = std::move(*watcher);
  return absl::OkStatus();
}

void EnforcementSwitch::Load(const std::vector<RuleFile>& files, const std::string& hash) {
  EnforcementFile file;
  // No file: the path is an empty folder.
  if (!files.empty()) file = ParseEnforcementFile(files[0].content, files[0].name);
  MutexLock lock(mutex_);
  if (!file.problems.empty()) {
    file_.reset();
    status_.RecordFailure();
    for (const Problem& problem : file.problems) {
      spdlog::error("enforcement: {}", FormatText(problem));
    }
    spdlog::error("enforcement: the file is refused; {}",
                  applied_.any() ? absl::StrCat("it stays off for ", EnforcementOffText(applied_))
                                 : std::string("it stays on"));
    return;
  }
  file_ = std::move(file.off);
  status_.RecordSuccess(hash, engine_.clock().Now().wall_ns);
  Apply(*file_);
}

void EnforcementSwitch::OnStatus(const absl::Status& status) {
  MutexLock lock(mutex_);
  if (status.ok()) {
    // The content may be what it was before the file went away: then nothing else tells of it.
    if (!file_.has_value()) return;
    status_.RecordRestored();
    Apply(*file_);
  } else if (absl::IsNotFound(status)) {
    status_.RecordRestored();  // a file that is not there is not wrong
    Apply({});
  } else {
    status_.RecordFailure();
    spdlog::error("enforcement: {}; {}", std::string(status.message()),
                  applied_.any() ? absl::StrCat("it stays off for ", EnforcementOffText(applied_))
                                 : std::string("it stays on"));
  }
}

void EnforcementSwitch::Apply(const EnforcementOff& off) {
  if (off == applied_) return;
  engine_.SetEnforcementOff(off);
  applied_ = off;
  said_mono_ns_ = engine_.clock().Now().mono_ns;
  if (off.any()) {
    spdlog::warn("enforcement: switched off for {}: its denials are counted and answered OK",
                 EnforcementOffText(off));
  } else {
    spdlog::warn("enforcement: switched on again for every domain");
  }
  unknown_.clear();
  if (engine_.has_rules()) WarnOfUnknown();
}

void EnforcementSwitch::RulesChanged() {
  MutexLock lock(mutex_);
  WarnOfUnknown();
}

void EnforcementSwitch::WarnOfUnknown() {
  EnforcementState state = engine_.enforcement();
  if (state.unknown == unknown_) return;
  unknown_ = std::move(state.unknown);
  if (unknown_.empty()) return;
  spdlog::warn("enforcement: shadow_domains names what has no rules, which changes nothing: {}",
               absl::StrJoin(unknown_, ", "));
}

void EnforcementSwitch::Remind() {
  MutexLock lock(mutex_);
  const int64_t now_ns = engine_.clock().Now().mono_ns;
  if (!applied_.any() || now_ns - said_mono_ns_ < kEnforcementReminderNs) return;
  said_mono_ns_ = now_ns;
  spdlog::warn("enforcement: still switched off for {}", EnforcementOffText(applied_));
}

}  // namespace weir
