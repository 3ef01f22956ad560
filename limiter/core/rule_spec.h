#pragma once

// A configuration as data: what the rule files say, checked but not yet compiled. The config
// folder produces it, RuleTable::Build compiles it. Plain values, no behaviour.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "algorithms/limit.h"
#include "limiter/core/metadata.h"
#include "limiter/core/policy.h"
#include "limiter/core/unit.h"

namespace weir {

// Where something stands in the rule files: `file` is the path below the rules folder joined by
// dots; line and column count from 1, 0 means unknown.
struct Position {
  std::string file;
  int line = 0;
  int column = 0;
};

// A `rate_limit` map.
struct RuleSpec {
  LimitSpec limit;             // window_ns = unit_multiplier * unit; unset when unlimited
  Unit unit = Unit::kUnknown;  // kUnknown when unlimited
  uint32_t unit_multiplier = 1;
  bool unlimited = false;
  std::string name;
  std::vector<std::string> replaces;
  std::optional<Consistency> consistency;  // unset: the setting's default
  std::optional<OnStoreFailure> on_store_failure;
};

// A node of the descriptor tree.
struct DescriptorSpec {
  std::string key;
  std::string value;  // empty: any value
  std::optional<RuleSpec> rate_limit;
  bool shadow_mode = false;
  bool quota_mode = false;
  bool detailed_metric = false;
  bool value_to_metric = false;
  bool share_threshold = false;
  MetadataMap metadata;
  std::vector<DescriptorSpec> descriptors;  // in file order: it decides between wildcards
  Position position;
};

struct DomainSpec {
  std::string domain;
  std::vector<DescriptorSpec> descriptors;
  Position position;
};

}  // namespace weir
