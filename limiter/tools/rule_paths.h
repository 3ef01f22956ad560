#pragma once

// Rule files named on a command line.

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/config/rule_file.h"
#include "limiter/config/rule_folder.h"

namespace weir {

// Reads files and folders. The name of a file is the one a server would give it, or its path where
// several files would share a name. Fails, naming the path, for one that cannot be read.
absl::StatusOr<std::vector<RuleFile>> ReadRulePaths(const std::vector<std::string>& paths,
                                                    const RuleFolderOptions& options = {});

}  // namespace weir
