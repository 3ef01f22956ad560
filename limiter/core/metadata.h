#pragma once

// The free `metadata` map of a rule: a small JSON-like tree, so that core needs neither YAML nor
// protobuf to hold it. Key order is the file's.

#include <string>
#include <variant>
#include <vector>

namespace weir {

struct MetadataValue;
struct MetadataField;
using MetadataMap = std::vector<MetadataField>;
using MetadataList = std::vector<MetadataValue>;

struct MetadataValue {
  std::variant<std::monostate, bool, double, std::string, MetadataList, MetadataMap> value;
};

struct MetadataField {
  std::string name;
  MetadataValue value;
};

}  // namespace weir
