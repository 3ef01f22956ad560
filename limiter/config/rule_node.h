#pragma once

// A YAML file as a tree of nodes that know their line and column: the border to yaml-cpp, whose
// exceptions end here. Built from yaml-cpp's parse events instead of its Node type, which costs
// more memory and looks keys up one by one, and types nothing either way.
//
// Thread safety: a document is written by Parse only; reading it is free for all.
//
// Invariants:
//  1. A tree is at most `depth_max` deep and has at most `nodes_max` nodes, an alias counting as
//     one. It is not bounded after aliases are followed (ten lines can name a billion nodes): who
//     walks it counts each visit.
//  2. No node contains itself, so every walk ends.
//  3. All text is UTF-8 without control characters, unless the file wrote one as an escape.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

enum class NodeKind : uint8_t { kNull, kScalar, kList, kMap, kAlias };

struct YamlNode {
  NodeKind kind = NodeKind::kNull;
  bool plain = false;  // a scalar whose type follows from its text: not quoted, not tagged `!!str`
  int line = 0;        // from 1
  int column = 0;      // from 1, in bytes
  std::string text;    // of a scalar
  const YamlNode* first = nullptr;   // a list's items; a map's key, value, key, value, …
  const YamlNode* next = nullptr;    // the next of the same list or map
  const YamlNode* target = nullptr;  // an alias's node, never itself an alias
};

struct YamlBounds {
  int depth_max = 32;           // nested lists and maps
  int64_t nodes_max = 3000000;  // scalars, lists, maps and aliases; 100,000 rules are 1.1 million
};

struct YamlError {
  std::string message;
  int line = 0;
  int column = 0;
};

class YamlDocument {
 public:
  // Reads the first document of `content`; a file without one gives a null node. Fails for text
  // that is not UTF-8 or not YAML, for a broken bound, for an anchor inside itself, and for a tag
  // other than the core ones (`!!str`, `!!int`, …). Call once.
  std::optional<YamlError> Parse(std::string_view content, const YamlBounds& bounds);

  // REQUIRES: Parse succeeded. Valid as long as the document.
  const YamlNode& root() const { return *root_; }

 private:
  friend class YamlBuilder;

  std::deque<YamlNode> nodes_;  // a deque, because nodes point to one another
  const YamlNode* root_ = nullptr;
};

// The node itself, or what an alias stands for.
inline const YamlNode& Resolve(const YamlNode& node) {
  return node.kind == NodeKind::kAlias ? *node.target : node;
}

enum class ScalarType : uint8_t { kNull, kText, kBool, kInt, kFloat };

struct Scalar {
  ScalarType type = ScalarType::kNull;
  bool boolean = false;
  int64_t integer = 0;
  double number = 0;  // of a kFloat, which integers outside int64 are too
};

// The type of a scalar or null node by the rules of YAML 1.1 as the reference's parser reads them:
// `yes` and `on` are booleans; 0x10, 010, 0o10, 0b10 and 1_000 are integers; 1e3, 09 and .5 are
// floats; dates, and everything quoted, are text.
Scalar ResolveScalar(const YamlNode& node);

}  // namespace weir
