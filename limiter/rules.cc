#include "limiter/rules.h"

#include <spdlog/spdlog.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/config/problem.h"
#include "limiter/tools/counted.h"

namespace weir {
namespace {

// Everything about a rule whose change an operator wants to see.
std::string Enforced(const Rule& rule) {
  return absl::StrCat(AlgorithmName(rule.limit.algorithm), " ", rule.limit.hits, "/",
                      rule.limit.window_ns, " ", rule.limit.capacity, " ", rule.limit.precision,
                      " ", rule.unlimited, rule.shadow_mode, rule.quota_mode, rule.detailed_metric,
                      " ", rule.name);
}

// "shop.yaml:3:7: message", as compilers say it.
std::string PlaceAndMessage(const Problem& problem) {
  std::string place = problem.position.file;
  if (problem.position.line > 0) {
    absl::StrAppend(&place, ":", problem.position.line, ":", problem.position.column);
  }
  return absl::StrCat(place, place.empty() ? "" : ": ", problem.message);
}

}  // namespace

void Rules::Load(const std::vector<RuleFile>& files, const std::string& hash) {
  RuleSet set = ParseRuleFiles(files, files_);
  Reload reload;
  reload.wall_ns = engine_.clock().Now().wall_ns;
  reload.hash = hash;
  for (const Problem& problem : set.problems) {
    if (problem.severity == Problem::kError) {
      spdlog::error("rules: {}", FormatText(problem));
      reload.AddError(PlaceAndMessage(problem));
    } else {
      spdlog::warn("rules: {}", FormatText(problem));
    }
  }
  MutexLock lock(mutex_);
  loaded_last_ = set.ok();
  if (!set.ok()) {
    status_.RecordFailure();
    spdlog::error("rules: refused, {}", engine_.has_rules()
                                            ? "the rules loaded before stay in force"
                                            : "none are loaded");
    reload.rules = known_.size();
    history_.Add(std::move(reload));
    return;
  }
  domains_ = std::move(set.domains);
  std::shared_ptr<const RuleTable> table = RuleTable::Build(domains_, table_, engine_.series());
  Compare(*table, reload);
  const std::size_t rules = table->rules().size();
  engine_.SetRules(std::move(table));
  status_.RecordSuccess(hash, reload.wall_ns);
  health_.SetRulesLoaded();
  spdlog::info(
      "rules: {} in force from {} in {} ({}), hash {}", rules, Counted(domains_.size(), "domain"),
      Counted(files.size(), "file"),
      absl::StrCat("+", reload.added.count, " ~", reload.changed.count, " -", reload.removed.count),
      hash.substr(0, 12));
  reload.in_force = true;
  reload.rules = rules;
  history_.Add(std::move(reload));
}

void Rules::Unreadable(const std::string& reason) {
  status_.RecordFailure();
  Reload reload;
  reload.wall_ns = engine_.clock().Now().wall_ns;
  reload.AddError(reason);
  {
    MutexLock lock(mutex_);
    reload.rules = known_.size();
  }
  history_.Add(std::move(reload));
  spdlog::error("rules: {}; {}", reason,
                engine_.has_rules() ? "the rules loaded before stay in force" : "none are loaded");
}

void Rules::ReadableAgain() {
  MutexLock lock(mutex_);
  // Files that were refused are no more in force for having been away.
  if (loaded_last_) status_.RecordRestored();
  spdlog::info("rules: the folder can be read again");
}

void Rules::SetSecret(const Secret& secret) {
  MutexLock lock(mutex_);
  if (table_.secret == secret) return;
  table_.secret = secret;
  // What was built before the first load would count as rules that are loaded.
  if (engine_.has_rules()) {
    engine_.SetRules(RuleTable::Build(domains_, table_, engine_.series()));
  }
}

void Rules::Compare(const RuleTable& table, Reload& reload) {
  std::map<std::string, std::string> now;
  for (const Rule& rule : table.rules()) now[rule.domain + "." + rule.path] = Enforced(rule);
  for (const auto& [path, enforced] : now) {
    const auto before = known_.find(path);
    if (before == known_.end()) {
      reload.added.Add(path);
    } else if (before->second != enforced) {
      reload.changed.Add(path);
    }
  }
  for (const auto& [path, enforced] : known_) {
    if (now.count(path) == 0) reload.removed.Add(path);
  }
  known_ = std::move(now);
}

}  // namespace weir
