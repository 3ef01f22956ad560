#pragma once

// What only shows when descriptors stand beside one another: clashes, ambiguous keys, wildcards
// that hide others. Works on the whole domain, merged files included. Private to the rule file
// readers.

#include <cstdint>

#include "limiter/config/rule_file_context.h"
#include "limiter/core/rule_spec.h"

namespace weir {

// Reports duplicate composite keys (errors) and, as warnings: `*` in a key, keys that other keys
// can be taken for, descriptors no request can reach, and `replaces` of a name no rule has.
// `checks_left` bounds the comparisons of wildcards over all domains; beyond it that one check is
// left out, because it grows with the square of the wildcards of a level.
void CheckDomain(const DomainSpec& domain, int64_t* checks_left, ProblemList* problems);

}  // namespace weir
