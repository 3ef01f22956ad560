#pragma once

// Rule files named on a command line.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/config/rule_file.h"

namespace weir {

// Reads files and folders. Fails, naming the path, for one that cannot be read.
absl::StatusOr<std::vector<RuleFile>> ReadRulePaths(const std::vector<std::string>& paths);

}  // namespace weir
