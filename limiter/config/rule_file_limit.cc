#include "limiter/config/rule_file_limit.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "algorithms/limit.h"
#include "limiter/config/rule_file_keys.h"
#include "limiter/core/unit.h"

namespace weir {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

constexpr std::array<std::string_view, 7> kUnits = {"second", "minute", "hour", "day",
                                                    "week",   "month",  "year"};
// Each list in the order of its enum.
constexpr std::array<std::string_view, 3> kAlgorithms = {"fixed_window", "sliding_window",
                                                         "token_bucket"};
constexpr std::array<std::string_view, 2> kConsistencies = {"exact", "leased"};
constexpr std::array<std::string_view, 4> kOnStoreFailures = {"local_share", "allow", "deny",
                                                              "error"};
// What Weir adds to a rule, none of it meant for a rule without a limit.
constexpr std::array<RuleKey, 6> kExtensions = {RuleKey::kAlgorithm,      RuleKey::kBurst,
                                                RuleKey::kUnitMultiplier, RuleKey::kPrecision,
                                                RuleKey::kConsistency,    RuleKey::kOnStoreFailure};

bool EqualsAnyCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

class RateLimitReader {
 public:
  RateLimitReader(const RuleMap& map, RuleFileContext* context) : map_(map), context_(*context) {}

  RuleSpec Read() {
    rule_.unlimited = context_.Bool(map_, RuleKey::kUnlimited);
    rule_.name = context_.Text(map_, RuleKey::kName).value_or("");
    const std::optional<uint32_t> hits = context_.Count(map_, RuleKey::kRequestsPerUnit);
    const std::optional<std::string> unit = context_.Text(map_, RuleKey::kUnit);
    ReadReplaces();
    if (rule_.unlimited) {
      CheckUnlimited(unit);
      return std::move(rule_);
    }
    rule_.limit.hits = hits.value_or(0);
    if (unit) ReadUnit(*unit);
    ReadAlgorithm();
    ReadPolicies();
    CheckHits();
    CheckLimit();
    return std::move(rule_);
  }

 private:
  // Where to point at for a key: its value, or the whole map.
  const YamlNode& At(RuleKey key) const { return map_.Where(key); }

  void ReadReplaces() {
    for (const YamlNode* item : context_.Maps(map_, RuleKey::kReplaces)) {
      if (!context_.Enter(*item)) return;
      const RuleMap replaces = context_.ReadMap(*item, RulePlace::kReplaces);
      context_.Leave();
      const std::optional<std::string> name = context_.Text(replaces, RuleKey::kName);
      if (!name) continue;
      const YamlNode& where = replaces.Where(RuleKey::kName);
      if (name->empty()) {
        context_.Error(where, "should not have an empty replaces entry");
      } else if (*name == rule_.name) {
        context_.Error(where, "replaces should not contain name of same descriptor");
      } else {
        rule_.replaces.push_back(*name);
      }
    }
  }

  void CheckUnlimited(const std::optional<std::string>& unit) {
    if (unit && ParseUnit(*unit)) {
      context_.Error(At(RuleKey::kUnit), "should not specify rate limit unit when unlimited");
    } else if (unit && !unit->empty()) {
      context_.Warn(At(RuleKey::kUnit),
                    "invalid rate limit unit '" + *unit + "' is ignored because of unlimited");
    }
    for (const RuleKey key : kExtensions) {
      if (!map_.Has(key)) continue;
      context_.Error(*map_.At(key).key,
                     std::string("should not specify '") + RuleKeyName(key) + "' when unlimited");
    }
  }

  void ReadUnit(const std::string& text) {
    const std::optional<Unit> unit = ParseUnit(text);
    if (!unit) {
      context_.Error(At(RuleKey::kUnit), "invalid rate limit unit '" + text + "'",
                     SuggestValue(text, kUnits));
      return;
    }
    rule_.unit = *unit;
  }

  // The position of the value of `key` in `names`, any case; nullopt if it is missing, and after
  // an error.
  std::optional<size_t> ReadName(RuleKey key, std::span<const std::string_view> names) {
    if (!map_.Has(key)) return std::nullopt;
    const std::optional<std::string> text = context_.Text(map_, key);
    if (!text) return std::nullopt;
    for (size_t i = 0; i < names.size(); ++i) {
      if (EqualsAnyCase(*text, names[i])) return i;
    }
    context_.Error(At(key),
                   std::string("invalid rate limit ") + RuleKeyName(key) + " '" + *text + "'",
                   SuggestValue(*text, names));
    return std::nullopt;
  }

  void ReadAlgorithm() {
    const std::optional<size_t> algorithm = ReadName(RuleKey::kAlgorithm, kAlgorithms);
    if (algorithm) rule_.limit.algorithm = static_cast<Algorithm>(*algorithm);
    algorithm_known_ = algorithm.has_value() || !map_.Has(RuleKey::kAlgorithm);

    if (CanUse(RuleKey::kBurst, Algorithm::kTokenBucket)) {
      const std::optional<uint32_t> burst = NotZero(RuleKey::kBurst);
      rule_.limit.burst = burst.value_or(0);
    }
    if (CanUse(RuleKey::kPrecision, Algorithm::kSlidingWindow)) {
      const uint32_t precision =
          context_.Count(map_, RuleKey::kPrecision).value_or(kPrecisionDefault);
      if (precision >= 1 && precision <= kPrecisionMax) {
        rule_.limit.precision = precision;
      } else {
        context_.Error(At(RuleKey::kPrecision), "precision should be between 1 and " +
                                                    std::to_string(kPrecisionMax) + ", but found " +
                                                    std::to_string(precision));
      }
    }
    rule_.unit_multiplier = NotZero(RuleKey::kUnitMultiplier).value_or(1);
  }

  // Whether `key` is written and the algorithm has a use for it; reports one that has none.
  bool CanUse(RuleKey key, Algorithm user) {
    if (!map_.Has(key) || !algorithm_known_) return false;
    if (rule_.limit.algorithm == user) return true;
    context_.Error(*map_.At(key).key, std::string(RuleKeyName(key)) +
                                          " can only be used with algorithm '" +
                                          AlgorithmName(user) + "', but found algorithm '" +
                                          AlgorithmName(rule_.limit.algorithm) + "'");
    return false;
  }

  std::optional<uint32_t> NotZero(RuleKey key) {
    const std::optional<uint32_t> count = context_.Count(map_, key);
    if (!count || *count > 0) return count;
    context_.Error(At(key), std::string(RuleKeyName(key)) + " should not be zero");
    return std::nullopt;
  }

  void ReadPolicies() {
    if (const auto i = ReadName(RuleKey::kConsistency, kConsistencies)) {
      rule_.consistency = static_cast<Consistency>(*i);
    }
    if (const auto i = ReadName(RuleKey::kOnStoreFailure, kOnStoreFailures)) {
      rule_.on_store_failure = static_cast<OnStoreFailure>(*i);
    }
  }

  void CheckHits() {
    if (map_.Has(RuleKey::kRequestsPerUnit)) return;
    if (rule_.limit.algorithm != Algorithm::kFixedWindow) {
      context_.Error(*map_.node, std::string("algorithm '") + AlgorithmName(rule_.limit.algorithm) +
                                     "' needs requests_per_unit");
    } else {
      context_.Warn(*map_.node,
                    "requests_per_unit is missing: 0 is assumed, which denies every request",
                    "write requests_per_unit: 0 if this is meant");
    }
  }

  void CheckLimit() {
    if (rule_.unit == Unit::kUnknown) return;  // reported
    const int64_t seconds = UnitSeconds(rule_.unit) * static_cast<int64_t>(rule_.unit_multiplier);
    constexpr int64_t kSecondsMax = kWindowMaxNs / kNanosPerSecond;
    if (seconds > kSecondsMax) {
      context_.Error(At(RuleKey::kUnitMultiplier),
                     "rate limit window is too long: " + std::to_string(seconds) +
                         " seconds (maximum " + std::to_string(kSecondsMax) + ")");
      return;
    }
    rule_.limit.window_ns = seconds * kNanosPerSecond;
    Limit limit;
    for (std::string& problem : MakeLimit(rule_.limit, &limit)) {
      context_.Error(*map_.node, std::move(problem));
    }
  }

  const RuleMap& map_;
  RuleFileContext& context_;
  RuleSpec rule_;
  bool algorithm_known_ = true;
};

}  // namespace

std::optional<RuleSpec> ReadRateLimit(const YamlNode& node, RuleFileContext* context) {
  if (node.kind != NodeKind::kMap) {
    context->WrongType(RuleKey::kRateLimit, node, "a map");
    return std::nullopt;
  }
  if (!context->Enter(node)) return std::nullopt;
  const RuleMap map = context->ReadMap(node, RulePlace::kRateLimit);
  RuleSpec rule = RateLimitReader(map, context).Read();
  context->Leave();
  return rule;
}

}  // namespace weir
