#pragma once

// The `rate_limit` map of a descriptor. Private to the rule file readers.

#include <optional>

#include "limiter/config/rule_file_context.h"
#include "limiter/config/rule_node.h"
#include "limiter/core/rule_spec.h"

namespace weir {

// The rule, with limit.window_ns = unit_multiplier * unit. After reported errors it may be partly
// filled; nullopt if `node` is no map. REQUIRES: `node` is no alias.
std::optional<RuleSpec> ReadRateLimit(const YamlNode& node, RuleFileContext* context);

}  // namespace weir
