#include "limiter/config/rule_file_context.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace weir {
namespace {

// A text of the file that a message quotes may be as long as the file; logs and pages hold many.
constexpr std::size_t kMessageBytesMax = 1024;

// "text 'x'", "5", "a list": what a value of the wrong type is.
std::string Describe(const YamlNode& value) {
  if (value.kind == NodeKind::kList) return "a list";
  if (value.kind == NodeKind::kMap) return "a map";
  const bool is_text = ResolveScalar(value).type == ScalarType::kText;
  return is_text ? "text '" + value.text + "'" : FormatValue(value);
}

// The type a quoted scalar would have without its quotes.
ScalarType UnquotedType(const YamlNode& value) {
  YamlNode unquoted;
  unquoted.kind = value.kind;
  unquoted.plain = true;
  unquoted.text = value.text;
  return ResolveScalar(unquoted).type;
}

std::string FormatNumber(double number) {
  std::array<char, 40> buffer{};
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  return std::string(buffer.data(), result.ptr);
}

}  // namespace

void ProblemList::Add(Problem problem) {
  if (++counts_[problem.severity] > problems_max_) return;
  if (problem.message.size() > kMessageBytesMax) {
    std::size_t end = kMessageBytesMax;
    while ((static_cast<unsigned char>(problem.message[end]) & 0xC0) == 0x80) --end;
    problem.message.replace(end, std::string::npos, "…");
  }
  problems_.push_back(std::move(problem));
}

std::vector<Problem> ProblemList::Take() {
  std::stable_sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.position.file, a.position.line, a.position.column) <
           std::tie(b.position.file, b.position.line, b.position.column);
  });
  for (const Problem::Severity severity : {Problem::kError, Problem::kWarning}) {
    const int64_t left_out = counts_[severity] - problems_max_;
    if (left_out <= 0) continue;
    const char* noun = severity == Problem::kError ? " more errors" : " more warnings";
    problems_.push_back({severity, {}, std::to_string(left_out) + noun, ""});
  }
  return std::move(problems_);
}

std::string FormatValue(const YamlNode& node) {
  if (node.kind == NodeKind::kList) return "[…]";
  if (node.kind == NodeKind::kMap) return "map[…]";
  const Scalar scalar = ResolveScalar(node);
  switch (scalar.type) {
    case ScalarType::kNull:
      return "<nil>";
    case ScalarType::kBool:
      return scalar.boolean ? "true" : "false";
    case ScalarType::kInt:
      return std::to_string(scalar.integer);
    case ScalarType::kFloat:
      return FormatNumber(scalar.number);
    case ScalarType::kText:
      break;
  }
  return node.text;
}

void RuleFileContext::Error(const YamlNode& node, std::string message, std::string remedy) {
  if (exhausted_) return;  // what follows is cut off, not wrong
  problems_.Add({Problem::kError, At(node), std::move(message), std::move(remedy)});
}

void RuleFileContext::Warn(const YamlNode& node, std::string message, std::string remedy) {
  if (exhausted_) return;
  problems_.Add({Problem::kWarning, At(node), std::move(message), std::move(remedy)});
}

const YamlNode* RuleFileContext::Visit(const YamlNode& node) {
  if (visits_left_ > 0) {
    --visits_left_;
    return &Resolve(node);
  }
  if (!exhausted_) {
    Error(node,
          "error loading config file: the file has more than " +
              std::to_string(options_.nodes_max) + " nodes",
          "an alias counts as all it stands for");
  }
  exhausted_ = true;
  return nullptr;
}

bool RuleFileContext::Enter(const YamlNode& node) {
  if (depth_ < options_.depth_max) {
    ++depth_;
    return true;
  }
  if (!too_deep_) {
    Error(node,
          "error loading config file: the file is nested more than " +
              std::to_string(options_.depth_max) + " deep",
          "an alias counts as all it stands for");
  }
  too_deep_ = true;
  return false;
}

RuleMap RuleFileContext::ReadMap(const YamlNode& node, RulePlace place) {
  RuleMap map;
  map.node = &node;
  ReadEntries(node, place, /*merged=*/false, &map);
  return map;
}

void RuleFileContext::ReadEntries(const YamlNode& node, RulePlace place, bool merged,
                                  RuleMap* map) {
  const YamlNode* key = node.first;
  while (key != nullptr) {
    const YamlNode* value = key->next;
    const YamlNode* visited_key = Visit(*key);
    const YamlNode* visited_value = Visit(*value);
    if (visited_key == nullptr || visited_value == nullptr) return;
    if (key->kind == NodeKind::kScalar && key->plain && key->text == "<<") {
      Merge(*visited_value, place, map);
    } else {
      ReadEntry(*visited_key, *visited_value, place, merged, map);
    }
    key = value->next;
  }
}

void RuleFileContext::ReadEntry(const YamlNode& key, const YamlNode& value, RulePlace place,
                                bool merged, RuleMap* map) {
  const std::optional<RuleKey> name = ReadKey(key);
  if (!name) {
    CheckUnused(value);
    return;
  }
  if (BelongsTo(*name, place)) {
    SetField(*name, {&key, &value, merged}, map);
    return;
  }
  std::string message = "key '" + key.text + "' has no effect " + RulePlaceName(place);
  std::string remedy = "it belongs " + RuleKeyPlaces(*name);
  if (options_.strict) {
    Error(key, std::move(message), std::move(remedy));
  } else {
    Warn(key, std::move(message), std::move(remedy));
  }
  if (*name != RuleKey::kMetadata) CheckUnused(value);
}

// As in the reference, values are taken in the order of the file: a `<<` after a key overrides it,
// which is not what YAML's own text says, hence the warning.
void RuleFileContext::SetField(RuleKey key, RuleMap::Field field, RuleMap* map) {
  RuleMap::Field& old = map->fields[static_cast<size_t>(key)];
  if (old.key != nullptr && !old.merged && !field.merged) {
    Warn(*field.key, std::string("key '") + RuleKeyName(key) + "' is repeated: the last one counts",
         "the first is in line " + std::to_string(old.key->line));
  } else if (old.key != nullptr && !old.merged) {
    Warn(*old.key, std::string("key '") + RuleKeyName(key) + "' is overridden by the '<<' below it",
         "write '<<' first");
  }
  old = field;
}

void RuleFileContext::Merge(const YamlNode& value, RulePlace place, RuleMap* map) {
  std::vector<const YamlNode*> maps;
  if (value.kind == NodeKind::kList) {
    for (const YamlNode* item = value.first; item != nullptr; item = item->next) {
      const YamlNode* visited = Visit(*item);
      if (visited == nullptr) return;
      maps.push_back(visited);
    }
  } else {
    maps.push_back(&value);
  }
  // Backwards, because the first of several has precedence.
  for (auto it = maps.rbegin(); it != maps.rend(); ++it) {
    if ((*it)->kind != NodeKind::kMap) {
      Error(**it, "error loading config file: '<<' needs a map or a list of maps");
    } else if (Enter(**it)) {
      ReadEntries(**it, place, /*merged=*/true, map);
      Leave();
    }
  }
}

std::optional<RuleKey> RuleFileContext::ReadKey(const YamlNode& key) {
  if (key.kind == NodeKind::kList || key.kind == NodeKind::kMap) {
    Error(key, "error loading config file: invalid map key: " + FormatValue(key));
    return std::nullopt;
  }
  if (ResolveScalar(key).type != ScalarType::kText) {
    Error(key, "config error, key is not of type string: " + FormatValue(key));
    return std::nullopt;
  }
  const std::optional<RuleKey> name = FindRuleKey(key.text);
  if (!name) {
    Error(key, "config error, unknown key '" + key.text + "'", SuggestRuleKey(key.text));
  } else if (!options_.extensions && IsExtension(*name)) {
    Error(key,
          "key '" + key.text +
              "' is not one of envoyproxy/ratelimit, which counts these limits too "
              "(redis-key-format is ratelimit)",
          "remove it until only Weir counts, then set redis-key-format to weir");
  }
  return name;
}

bool RuleFileContext::CheckUnused(const YamlNode& value) {
  switch (value.kind) {
    case NodeKind::kList:
    case NodeKind::kMap: {
      if (!Enter(value)) return false;
      const bool clean =
          value.kind == NodeKind::kList ? CheckUnusedList(value) : CheckUnusedMap(value);
      Leave();
      return clean;
    }
    case NodeKind::kScalar:
      if (ResolveScalar(value).type != ScalarType::kFloat) return true;
      Error(value, "error checking config",
            "'" + value.text + "' is not an integer of 64 bits; quote it if it is text");
      return false;
    case NodeKind::kNull:
    case NodeKind::kAlias:
      break;
  }
  return true;
}

bool RuleFileContext::CheckUnusedList(const YamlNode& list) {
  bool clean = true;
  for (const YamlNode* item = list.first; item != nullptr; item = item->next) {
    const YamlNode* visited = Visit(*item);
    if (visited == nullptr) return false;
    if (visited->kind == NodeKind::kMap) {
      clean = CheckUnused(*visited) && clean;
      continue;
    }
    clean = false;
    Error(*visited,
          "config error, yaml file contains list of type other than map: " + FormatValue(*visited));
  }
  return clean;
}

bool RuleFileContext::CheckUnusedMap(const YamlNode& map) {
  bool clean = true;
  const YamlNode* key = map.first;
  while (key != nullptr) {
    const YamlNode* value = key->next;
    const YamlNode* visited_key = Visit(*key);
    const YamlNode* visited_value = Visit(*value);
    if (visited_key == nullptr || visited_value == nullptr) return false;
    const bool merge = key->kind == NodeKind::kScalar && key->plain && key->text == "<<";
    if (merge || ReadKey(*visited_key) != RuleKey::kMetadata) {
      clean = CheckUnused(*visited_value) && clean;
    }
    key = value->next;
  }
  return clean;
}

void RuleFileContext::WrongType(RuleKey key, const YamlNode& value, std::string_view expected) {
  if (!CheckUnused(value)) return;
  Error(value, std::string("error loading config file: ") + RuleKeyName(key) + " should be " +
                   std::string(expected) + ", but found " + Describe(value));
}

std::optional<std::string> RuleFileContext::Text(const RuleMap& map, RuleKey key) {
  const YamlNode* value = map.Find(key);
  if (value == nullptr) return "";
  if (value->kind != NodeKind::kScalar) {
    WrongType(key, *value, "text");
    return std::nullopt;
  }
  if (!CheckUnused(*value)) return std::nullopt;
  return value->text;
}

bool RuleFileContext::Bool(const RuleMap& map, RuleKey key) {
  const YamlNode* value = map.Find(key);
  if (value == nullptr) return false;
  const Scalar scalar = ResolveScalar(*value);
  if (value->kind == NodeKind::kScalar && scalar.type == ScalarType::kBool) return scalar.boolean;
  if (value->kind == NodeKind::kScalar && UnquotedType(*value) == ScalarType::kBool) {
    Error(*value,
          std::string("error loading config file: ") + RuleKeyName(key) +
              " should be true or false, but found " + Describe(*value),
          "remove the quotes");
  } else {
    WrongType(key, *value, "true or false");
  }
  return false;
}

std::optional<uint32_t> RuleFileContext::Count(const RuleMap& map, RuleKey key) {
  const YamlNode* value = map.Find(key);
  if (value == nullptr) return std::nullopt;
  constexpr std::string_view kExpected = "an integer from 0 to 4294967295";
  const Scalar scalar = ResolveScalar(*value);
  if (value->kind == NodeKind::kScalar && scalar.type == ScalarType::kInt && scalar.integer >= 0 &&
      scalar.integer <= std::numeric_limits<uint32_t>::max()) {
    return static_cast<uint32_t>(scalar.integer);
  }
  const bool is_scalar = value->kind == NodeKind::kScalar;
  const bool is_float = is_scalar && scalar.type == ScalarType::kFloat;
  const bool quoted =
      is_scalar && scalar.type == ScalarType::kText && UnquotedType(*value) == ScalarType::kInt;
  if (is_float && key == RuleKey::kRequestsPerUnit) {
    // The reference refuses a float before it looks at the key; of the numbers it knows only this.
    Error(*value, "error checking config",
          std::string(RuleKeyName(key)) + " should be " + std::string(kExpected));
  } else if (is_float || quoted) {
    Error(*value,
          std::string("error loading config file: ") + RuleKeyName(key) + " should be " +
              std::string(kExpected) + ", but found " + Describe(*value),
          quoted ? "remove the quotes" : "");
  } else {
    WrongType(key, *value, kExpected);
  }
  return std::nullopt;
}

std::vector<const YamlNode*> RuleFileContext::Maps(const RuleMap& map, RuleKey key) {
  std::vector<const YamlNode*> maps;
  const YamlNode* list = map.Find(key);
  if (list == nullptr) return maps;
  if (list->kind != NodeKind::kList) {
    WrongType(key, *list, "a list of maps");
    return maps;
  }
  for (const YamlNode* item = list->first; item != nullptr; item = item->next) {
    const YamlNode* visited = Visit(*item);
    if (visited == nullptr) break;
    if (visited->kind == NodeKind::kMap) {
      maps.push_back(visited);
    } else {
      Error(*visited, "config error, yaml file contains list of type other than map: " +
                          FormatValue(*visited));
    }
  }
  return maps;
}

}  // namespace weir
