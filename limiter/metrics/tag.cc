#include "limiter/metrics/tag.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "limiter/metrics/families.h"

namespace weir {
namespace {

// Every label that a family of this folder sets (docs/metrics.md), and the histograms' own.
constexpr std::string_view kOwnLabels[] = {
    "algorithm",   "code", "compiler", "domain",   "err_type", "grpc",   "grpc_code",
    "grpc_method", "hash", "key1",     "key2",     "kind",     "le",     "method",
    "mode",        "node", "op",       "quantile", "rank",     "reason", "result",
    "revision",    "rule", "source",   "state",    "version"};

bool IsLabelName(std::string_view name) {
  if (name.empty() || name.substr(0, 2) == "__") return false;
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return letter(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
           return letter(c) || (c >= '0' && c <= '9');
         });
}

}  // namespace

absl::Status CheckTags(std::span<const Tag> tags) {
  std::vector<std::string> problems;
  std::set<std::string_view> seen;
  for (const Tag& tag : tags) {
    const std::string quoted = "tag '" + ValidUtf8(tag.name) + "'";
    if (!IsLabelName(tag.name)) {
      problems.push_back(quoted +
                         ": a name is letters, digits and '_', does not start with a digit or "
                         "'__'");
    } else if (std::find(std::begin(kOwnLabels), std::end(kOwnLabels), tag.name) !=
               std::end(kOwnLabels)) {
      problems.push_back(quoted + ": Weir uses this label itself");
    } else if (!seen.insert(tag.name).second) {
      problems.push_back(quoted + ": given twice");
    }
    if (ValidUtf8(tag.value) != tag.value) problems.push_back(quoted + ": the value is not UTF-8");
  }
  if (problems.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(problems, "; "));
}

}  // namespace weir
