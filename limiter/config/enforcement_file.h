#pragma once

// The enforcement file: a small YAML file that switches enforcement off while the program runs.
//
//   shadow: false               # true: every domain
//   shadow_domains: [a, b]      # these domains
//
// An empty file switches nothing off. What is not understood is an error and never ignored, so
// that a misspelt key cannot leave a limit off that was meant to be on, or the other way round.
//
// Thread safety: functions without shared state.

#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/core/enforcement.h"

namespace weir {

struct EnforcementFile {
  EnforcementOff off;             // complete only if there are no problems
  std::vector<Problem> problems;  // all of them errors, in the order of the file
};

// `name` is the file's, for problems. Cannot fail otherwise.
EnforcementFile ParseEnforcementFile(std::string_view content, const std::string& name);

}  // namespace weir
