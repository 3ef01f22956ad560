#pragma once

// Rules for tests without a rule file:
//
//   On("user", "*").Fixed(5, Unit::kMinute).Named("users")
//   On("tenant").Child(On("op", "write").TokenBucket(10, Unit::kSecond, 20))

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/rule_spec.h"
#include "tests/support/fake_clock.h"

namespace weir::test {

// Builds one DescriptorSpec, to which it converts.
class On {
 public:
  explicit On(std::string key, std::string value = "") {
    spec_.key = std::move(key);
    spec_.value = std::move(value);
  }

  On& Fixed(uint32_t hits, Unit unit, uint32_t unit_multiplier = 1) {
    return Limit({.hits = hits}, unit, unit_multiplier);
  }
  On& Sliding(uint32_t hits, Unit unit, uint32_t precision = kPrecisionDefault) {
    return Limit({.algorithm = Algorithm::kSlidingWindow, .hits = hits, .precision = precision},
                 unit, 1);
  }
  // A burst of 0 means `hits`.
  On& TokenBucket(uint32_t hits, Unit unit, uint32_t burst = 0) {
    return Limit({.algorithm = Algorithm::kTokenBucket, .hits = hits, .burst = burst}, unit, 1);
  }
  On& Unlimited() {
    spec_.rate_limit.emplace().unlimited = true;
    return *this;
  }

  // REQUIRES for the next two: a limit was set before.
  On& Named(std::string name) {
    spec_.rate_limit->name = std::move(name);
    return *this;
  }
  On& Replaces(std::vector<std::string> names) {
    spec_.rate_limit->replaces = std::move(names);
    return *this;
  }

  On& Shadow() {
    spec_.shadow_mode = true;
    return *this;
  }
  On& Quota() {
    spec_.quota_mode = true;
    return *this;
  }
  On& DetailedMetric() {
    spec_.detailed_metric = true;
    return *this;
  }
  On& ValueToMetric() {
    spec_.value_to_metric = true;
    return *this;
  }
  On& ShareThreshold() {
    spec_.share_threshold = true;
    return *this;
  }
  On& Child(DescriptorSpec child) {
    spec_.descriptors.push_back(std::move(child));
    return *this;
  }

  operator DescriptorSpec() const { return spec_; }  // NOLINT: a list of rules reads like data

 private:
  On& Limit(LimitSpec limit, Unit unit, uint32_t unit_multiplier) {
    RuleSpec& rule = spec_.rate_limit.emplace();
    limit.window_ns = UnitSeconds(unit) * unit_multiplier * kSecondNs;
    rule.limit = limit;
    rule.unit = unit;
    rule.unit_multiplier = unit_multiplier;
    return *this;
  }

  DescriptorSpec spec_;
};

inline std::vector<DomainSpec> Domain(std::string name, std::vector<DescriptorSpec> descriptors) {
  DomainSpec domain;
  domain.domain = std::move(name);
  domain.descriptors = std::move(descriptors);
  return {domain};
}

}  // namespace weir::test
