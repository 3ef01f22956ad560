#pragma once

// The free `metadata` map of a descriptor. Private to the rule file readers.

#include "limiter/config/rule_file_context.h"
#include "limiter/config/rule_node.h"
#include "limiter/core/metadata.h"

namespace weir {

// Any tree of maps, lists and scalars that fits a google.protobuf.Struct: integers and floats are
// numbers (doubles), dates text, keys that are scalars their text. Reports, and leaves out, what
// does not fit: NaN, the infinities, lists and maps as keys. REQUIRES: `node` is no alias.
MetadataMap ReadMetadata(const YamlNode& node, RuleFileContext* context);

}  // namespace weir
