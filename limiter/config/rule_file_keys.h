#pragma once

// The keys a rule file may have, where each belongs, and what was meant by one that is none.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace weir {

// The reference's 16 keys, then Weir's own.
enum class RuleKey : uint8_t {
  kDomain,
  kDescriptors,
  kKey,
  kValue,
  kRateLimit,
  kUnit,
  kRequestsPerUnit,
  kUnlimited,
  kName,
  kReplaces,
  kShadowMode,
  kQuotaMode,
  kDetailedMetric,
  kValueToMetric,
  kShareThreshold,
  kMetadata,
  kAlgorithm,
  kBurst,
  kUnitMultiplier,
  kPrecision,
  kConsistency,
  kOnStoreFailure,
};
inline constexpr int kRuleKeyCount = 22;

// A map of a rule file, by what may stand in it.
enum class RulePlace : uint8_t { kRoot, kDescriptor, kRateLimit, kReplaces };

// Whether envoyproxy/ratelimit refuses a file with it.
inline bool IsExtension(RuleKey key) { return key >= RuleKey::kAlgorithm; }

const char* RuleKeyName(RuleKey key);
std::optional<RuleKey> FindRuleKey(std::string_view name);
bool BelongsTo(RuleKey key, RulePlace place);

// "at the top of the file", "in a descriptor", "in rate_limit", "in replaces".
const char* RulePlaceName(RulePlace place);
// The places of a key, for a text such as "it belongs in a descriptor".
std::string RuleKeyPlaces(RuleKey key);

// "did you mean 'rate_limit'?" for a misspelt key, case, hyphens and a transposition included;
// empty if no key is near.
std::string SuggestRuleKey(std::string_view name);
// The same for a value out of `accepted`; if none is near, lists them: "use one of a, b, c".
std::string SuggestValue(std::string_view value, std::span<const std::string_view> accepted);

}  // namespace weir
