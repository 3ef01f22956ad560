#pragma once

// A constant label that an operator puts on every series (EXTRA_TAGS).

#include <span>
#include <string>

#include "absl/status/status.h"

namespace weir {

struct Tag {
  std::string name;
  std::string value;
};

// OK, or INVALID_ARGUMENT with one sentence per problem: a name that is no Prometheus label name
// ([a-zA-Z_][a-zA-Z0-9_]*, not starting with "__"), a name that one of Weir's own labels has, a
// name given twice, a value that is not UTF-8 (Prometheus would refuse the whole scrape).
absl::Status CheckTags(std::span<const Tag> tags);

}  // namespace weir
