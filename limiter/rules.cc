#include "limiter/rules.h"

#include <spdlog/spdlog.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/config/problem.h"

namespace weir {
namespace {

// Everything about a rule whose change an operator wants to see.
std::string Enforced(const Rule& rule) {
  return absl::StrCat(AlgorithmName(rule.limit.algorithm), " ", rule.limit.hits, "/",
                      rule.limit.window_ns, " ", rule.limit.capacity, " ", rule.limit.precision,
                      " ", rule.unlimited, rule.shadow_mode, rule.quota_mode, rule.detailed_metric,
                      " ", rule.name);
}

}  // namespace

void Rules::Load(const std::vector<RuleFile>& files, const std::string& hash) {
  const RuleSet set = ParseRuleFiles(files, files_);
  for (const Problem& problem : set.problems) {
    if (problem.severity == Problem::kError) {
      spdlog::error("rules: {}", FormatText(problem));
    } else {
      spdlog::warn("rules: {}", FormatText(problem));
    }
  }
  if (!set.ok()) {
    status_.RecordFailure();
    spdlog::error("rules: refused, {}", engine_.has_rules()
                                            ? "the rules loaded before stay in force"
                                            : "none are loaded");
    return;
  }
  std::shared_ptr<const RuleTable> table = RuleTable::Build(set.domains, table_, engine_.series());
  const std::string difference = Difference(*table);
  const std::size_t rules = table->rules().size();
  engine_.SetRules(std::move(table));
  status_.RecordSuccess(hash, engine_.clock().Now().wall_ns);
  health_.SetRulesLoaded();
  spdlog::info("rules: {} in force from {} domains in {} files ({}), hash {}", rules,
               set.domains.size(), files.size(), difference, hash.substr(0, 12));
}

void Rules::Unreadable(const std::string& reason) {
  status_.RecordFailure();
  spdlog::error("rules: {}; {}", reason,
                engine_.has_rules() ? "the rules loaded before stay in force" : "none are loaded");
}

std::string Rules::Difference(const RuleTable& table) {
  std::map<std::string, std::string> now;
  for (const Rule& rule : table.rules()) now[rule.domain + "." + rule.path] = Enforced(rule);
  std::size_t added = 0;
  std::size_t changed = 0;
  for (const auto& [path, enforced] : now) {
    const auto before = known_.find(path);
    if (before == known_.end()) {
      ++added;
    } else if (before->second != enforced) {
      ++changed;
    }
  }
  const std::size_t removed = known_.size() + added - now.size();
  known_ = std::move(now);
  return absl::StrCat("+", added, " ~", changed, " -", removed);
}

}  // namespace weir
