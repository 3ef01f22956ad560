#include "limiter/config/rule_file_metadata.h"

#include <cmath>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "limiter/config/rule_file_keys.h"

namespace weir {
namespace {

MetadataValue ReadValue(const YamlNode& node, RuleFileContext* context);

// A map with an index, because a hostile file may repeat a million keys.
class MapBuilder {
 public:
  explicit MapBuilder(RuleFileContext* context) : context_(*context) {}

  // As for the other maps, values are taken in the order of the file and the last one counts.
  void ReadEntries(const YamlNode& node) {
    for (const YamlNode* key = node.first; key != nullptr; key = key->next->next) {
      const YamlNode* visited_key = context_.Visit(*key);
      const YamlNode* value = context_.Visit(*key->next);
      if (visited_key == nullptr || value == nullptr) return;
      if (key->kind == NodeKind::kScalar && key->plain && key->text == "<<") {
        Merge(*value);
      } else if (visited_key->kind == NodeKind::kList || visited_key->kind == NodeKind::kMap) {
        context_.Error(*visited_key,
                       "error parsing metadata: invalid map key: " + FormatValue(*visited_key));
      } else {
        const bool is_null = visited_key->kind == NodeKind::kNull;
        Set(is_null ? "null" : visited_key->text, ReadValue(*value, &context_));
      }
    }
  }

  MetadataMap Take() { return std::move(map_); }

 private:
  void Merge(const YamlNode& value) {
    if (value.kind == NodeKind::kMap && context_.Enter(value)) {
      ReadEntries(value);
      context_.Leave();
    } else if (value.kind != NodeKind::kMap) {
      context_.Error(value, "error parsing metadata: '<<' needs a map");
    }
  }

  void Set(const std::string& key, MetadataValue value) {
    const auto [it, inserted] = index_.try_emplace(key, map_.size());
    if (inserted) {
      map_.push_back({key, std::move(value)});
    } else {
      map_[it->second].value = std::move(value);
    }
  }

  RuleFileContext& context_;
  MetadataMap map_;
  std::unordered_map<std::string, size_t> index_;
};

MetadataValue ReadScalar(const YamlNode& node, RuleFileContext* context) {
  const Scalar scalar = ResolveScalar(node);
  switch (scalar.type) {
    case ScalarType::kNull:
      return {std::monostate{}};
    case ScalarType::kBool:
      return {scalar.boolean};
    case ScalarType::kInt:
      return {static_cast<double>(scalar.integer)};
    case ScalarType::kFloat:
      if (std::isfinite(scalar.number)) return {scalar.number};
      context->Error(node, "error parsing metadata: " + node.text + " is not a JSON number",
                     "quote it if it is text");
      return {std::monostate{}};
    case ScalarType::kText:
      break;
  }
  return {node.text};
}

MetadataValue ReadValue(const YamlNode& node, RuleFileContext* context) {
  if (node.kind == NodeKind::kMap) return {ReadMetadata(node, context)};
  if (node.kind != NodeKind::kList) return ReadScalar(node, context);
  MetadataList list;
  if (!context->Enter(node)) return {std::move(list)};
  for (const YamlNode* item = node.first; item != nullptr; item = item->next) {
    const YamlNode* visited = context->Visit(*item);
    if (visited == nullptr) break;
    list.push_back(ReadValue(*visited, context));
  }
  context->Leave();
  return {std::move(list)};
}

}  // namespace

MetadataMap ReadMetadata(const YamlNode& node, RuleFileContext* context) {
  if (node.kind != NodeKind::kMap) {
    context->Error(node, "error parsing metadata: it should be a map");
    return {};
  }
  if (!context->Enter(node)) return {};
  MapBuilder builder(context);
  builder.ReadEntries(node);
  context->Leave();
  return builder.Take();
}

}  // namespace weir
