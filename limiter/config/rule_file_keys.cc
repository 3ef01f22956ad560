#include "limiter/config/rule_file_keys.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir {
namespace {

constexpr unsigned Bit(RulePlace place) { return 1u << static_cast<unsigned>(place); }
constexpr unsigned kRoot = Bit(RulePlace::kRoot);
constexpr unsigned kDescriptor = Bit(RulePlace::kDescriptor);
constexpr unsigned kRateLimit = Bit(RulePlace::kRateLimit);
constexpr unsigned kReplaces = Bit(RulePlace::kReplaces);

constexpr std::array<std::string_view, kRuleKeyCount> kNames = {"domain",
                                                                "descriptors",
                                                                "key",
                                                                "value",
                                                                "rate_limit",
                                                                "unit",
                                                                "requests_per_unit",
                                                                "unlimited",
                                                                "name",
                                                                "replaces",
                                                                "shadow_mode",
                                                                "quota_mode",
                                                                "detailed_metric",
                                                                "value_to_metric",
                                                                "share_threshold",
                                                                "metadata",
                                                                "algorithm",
                                                                "burst",
                                                                "unit_multiplier",
                                                                "precision",
                                                                "consistency",
                                                                "on_store_failure"};

constexpr std::array<unsigned, kRuleKeyCount> kPlaces = {
    kRoot,       kRoot | kDescriptor, kDescriptor,
    kDescriptor, kDescriptor,         kRateLimit,
    kRateLimit,  kRateLimit,          kRateLimit | kReplaces,
    kRateLimit,  kDescriptor,         kDescriptor,
    kDescriptor, kDescriptor,         kDescriptor,
    kDescriptor, kRateLimit,          kRateLimit,
    kRateLimit,  kRateLimit,          kRateLimit,
    kRateLimit};

constexpr std::array<RulePlace, 4> kAllPlaces = {RulePlace::kRoot, RulePlace::kDescriptor,
                                                 RulePlace::kRateLimit, RulePlace::kReplaces};

// Longer words are not compared: the names are short, and the cost grows with the product.
constexpr size_t kWordBytesMax = 40;

// Lower case, without the separators people vary: rateLimit, rate-limit and Rate_Limit are one.
std::string Fold(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c == '_' || c == '-' || c == ' ') continue;
    out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return out;
}

// Edits that turn a into b: insert, delete, replace, and swap two neighbours (optimal string
// alignment, the restricted form of Damerau's distance).
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

std::optional<std::string_view> Nearest(std::string_view word,
                                        std::span<const std::string_view> candidates) {
  if (word.empty() || word.size() > kWordBytesMax) return std::nullopt;
  const std::string folded = Fold(word);
  std::optional<std::string_view> nearest;
  size_t best = folded.size() / 3 + 1;  // a third of the letters may be wrong, but not all of three
  if (folded.size() <= 3) best = 1;
  for (const std::string_view candidate : candidates) {
    const size_t distance = EditDistance(folded, Fold(candidate));
    if (distance < best || (distance == best && !nearest && distance < folded.size())) {
      best = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::string DidYouMean(std::string_view name) {
  return "did you mean '" + std::string(name) + "'?";
}

}  // namespace

const char* RuleKeyName(RuleKey key) { return kNames[static_cast<size_t>(key)].data(); }

std::optional<RuleKey> FindRuleKey(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<RuleKey>(found - kNames.begin());
}

bool BelongsTo(RuleKey key, RulePlace place) {
  return (kPlaces[static_cast<size_t>(key)] & Bit(place)) != 0;
}

const char* RulePlaceName(RulePlace place) {
  switch (place) {
    case RulePlace::kRoot:
      return "at the top of the file";
    case RulePlace::kDescriptor:
      return "in a descriptor";
    case RulePlace::kRateLimit:
      return "in rate_limit";
    case RulePlace::kReplaces:
      return "in replaces";
  }
  return "";
}

std::string RuleKeyPlaces(RuleKey key) {
  std::string out;
  for (const RulePlace place : kAllPlaces) {
    if (!BelongsTo(key, place)) continue;
    if (!out.empty()) out += " or ";
    out += RulePlaceName(place);
  }
  return out;
}

std::string SuggestRuleKey(std::string_view name) {
  const auto nearest = Nearest(name, kNames);
  return nearest ? DidYouMean(*nearest) : std::string();
}

std::string SuggestValue(std::string_view value, std::span<const std::string_view> accepted) {
  if (const auto nearest = Nearest(value, accepted)) return DidYouMean(*nearest);
  std::string out = "use one of ";
  for (size_t i = 0; i < accepted.size(); ++i) {
    if (i > 0) out += ", ";
    out += accepted[i];
  }
  return out;
}

}  // namespace weir
