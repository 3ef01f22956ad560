#pragma once

// What the readers of one rule file share: where problems go, how much work is left, and how maps,
// keys and scalars are read. Private to the rule file readers.
//
// Thread safety: one thread.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/config/rule_file.h"
#include "limiter/config/rule_file_keys.h"
#include "limiter/config/rule_node.h"

namespace weir {

// Collects problems up to a number of each severity and counts the rest.
class ProblemList {
 public:
  explicit ProblemList(int problems_max) : problems_max_(problems_max) {}

  void Add(Problem problem);
  bool HasErrors() const { return counts_[Problem::kError] > 0; }
  // By file, line and column, then one entry per severity that says how many were left out.
  std::vector<Problem> Take();

 private:
  const int problems_max_;
  std::array<int64_t, 2> counts_{};
  std::vector<Problem> problems_;
};

// A map whose keys are a rule file's.
struct RuleMap {
  struct Field {
    const YamlNode* key = nullptr;
    const YamlNode* value = nullptr;  // never an alias
    bool merged = false;              // came through `<<`
  };
  const YamlNode* node = nullptr;
  std::array<Field, kRuleKeyCount> fields;

  const Field& At(RuleKey key) const { return fields[static_cast<size_t>(key)]; }
  // The value; null if the key is not written or its value is null, which means the same.
  const YamlNode* Find(RuleKey key) const {
    const YamlNode* value = At(key).value;
    return value == nullptr || value->kind == NodeKind::kNull ? nullptr : value;
  }
  bool Has(RuleKey key) const { return Find(key) != nullptr; }
  // For errors: where the value stands, or the map if there is none.
  const YamlNode& Where(RuleKey key) const { return Has(key) ? *Find(key) : *node; }
};

class RuleFileContext {
 public:
  RuleFileContext(std::string_view file, const RuleFileOptions& options, ProblemList* problems)
      : options_(options), file_(file), problems_(*problems), visits_left_(options.nodes_max) {}

  Position At(const YamlNode& node) const { return {file_, node.line, node.column}; }
  void Error(const YamlNode& node, std::string message, std::string remedy = "");
  void Warn(const YamlNode& node, std::string message, std::string remedy = "");

  // Counts a visit of `node` and follows an alias. Returns null, after one error, when the file's
  // nodes are used up: aliases that name aliases can stand for more of them than memory holds.
  const YamlNode* Visit(const YamlNode& node);
  // Whether that happened; problems are dropped from then on.
  bool exhausted() const { return exhausted_; }

  // Steps into a list or map; false, after one error, when that is too deep. Aliases can nest
  // deeper than the parser saw. Each true needs a Leave.
  bool Enter(const YamlNode& node);
  void Leave() { --depth_; }

  // Reads a map whose keys belong to `place`: reports unknown, misplaced and repeated keys, applies
  // `<<`. REQUIRES: `node` is a map and was entered.
  RuleMap ReadMap(const YamlNode& node, RulePlace place);

  // The text of a scalar as written, numbers and booleans included; "" if the key is missing.
  // nullopt after an error: a float, a list or a map.
  std::optional<std::string> Text(const RuleMap& map, RuleKey key);
  // A boolean; false if the key is missing, and after an error.
  bool Bool(const RuleMap& map, RuleKey key);
  // An integer from 0 to 2^32-1; nullopt if the key is missing, and after an error.
  std::optional<uint32_t> Count(const RuleMap& map, RuleKey key);

  // The items of a list of maps, resolved; empty if the key is missing. Reports, and leaves out,
  // items that are no maps; reports a value that is no list.
  std::vector<const YamlNode*> Maps(const RuleMap& map, RuleKey key);

  // Reports a value of another type than `expected`, such as "a map".
  void WrongType(RuleKey key, const YamlNode& value, std::string_view expected);

 private:
  void ReadEntries(const YamlNode& node, RulePlace place, bool merged, RuleMap* map);
  void ReadEntry(const YamlNode& key, const YamlNode& value, RulePlace place, bool merged,
                 RuleMap* map);
  void SetField(RuleKey key, RuleMap::Field field, RuleMap* map);
  void Merge(const YamlNode& value, RulePlace place, RuleMap* map);
  // The key's name, if it is one of a rule file's; else nullopt after an error.
  std::optional<RuleKey> ReadKey(const YamlNode& key);
  // Checks what has no effect, or the wrong type, as the reference does: unknown keys, floats and
  // lists of scalars are errors everywhere. True if there was none.
  bool CheckUnused(const YamlNode& value);
  bool CheckUnusedList(const YamlNode& list);
  bool CheckUnusedMap(const YamlNode& map);

  const RuleFileOptions& options_;
  const std::string file_;
  ProblemList& problems_;
  int64_t visits_left_;
  int depth_ = 0;
  bool exhausted_ = false;
  bool too_deep_ = false;
};

// The reference's spelling of a scalar or null in its errors: `true`, `16` for 0x10, `<nil>`; a
// list or map is shortened to `[…]` or `map[…]`.
std::string FormatValue(const YamlNode& node);

}  // namespace weir
