#include "limiter/config/rule_file_level.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "limiter/core/rule_spec.h"
#include "limiter/core/rule_table.h"

namespace weir {
namespace {

std::string LineOf(const Position& position, const Position& other) {
  std::string out = "line " + std::to_string(other.line);
  return position.file == other.file ? out : out + " of " + other.file;
}

class LevelChecker {
 public:
  LevelChecker(int64_t* checks_left, ProblemList* problems)
      : checks_left_(*checks_left), problems_(*problems) {}

  void Check(const std::vector<DescriptorSpec>& level, const std::string& path) {
    std::vector<Node> nodes;
    nodes.reserve(level.size());
    std::unordered_set<std::string_view> composites;
    for (const DescriptorSpec& descriptor : level) {
      nodes.push_back({&descriptor, CompositeKey(descriptor)});  // reserved: the views stay valid
      const std::string& composite = nodes.back().composite;
      if (descriptor.key.empty()) {
        nodes.pop_back();  // reported
      } else if (!composites.insert(composite).second) {
        problems_.Add({Problem::kError, descriptor.position,
                       "duplicate descriptor composite key '" + path + "." + composite + "'", ""});
        nodes.pop_back();
      }
    }
    CheckWildcards(nodes, path);
    CheckKeys(nodes);
    for (const Node& node : nodes) {
      const std::vector<DescriptorSpec>& children = node.descriptor->descriptors;
      if (!children.empty()) Check(children, path + "." + node.composite);
    }
  }

  void CollectNames(const std::vector<DescriptorSpec>& level) {
    for (const DescriptorSpec& descriptor : level) {
      if (descriptor.rate_limit) names_.insert(descriptor.rate_limit->name);
      CollectNames(descriptor.descriptors);
    }
  }

  void CheckReplaces(const std::vector<DescriptorSpec>& level) {
    for (const DescriptorSpec& descriptor : level) {
      if (descriptor.rate_limit) {
        for (const std::string& name : descriptor.rate_limit->replaces) {
          if (names_.contains(name)) continue;
          Warn(descriptor,
               "replaces names '" + name + "', but no rule of the domain has this name");
        }
      }
      CheckReplaces(descriptor.descriptors);
    }
  }

 private:
  struct Node {
    const DescriptorSpec* descriptor = nullptr;
    std::string composite;
  };

  void Warn(const DescriptorSpec& descriptor, std::string message, std::string remedy = "") {
    problems_.Add({Problem::kWarning, descriptor.position, std::move(message), std::move(remedy)});
  }

  // A wildcard hides later ones that it covers; a bare key is tried after all wildcards.
  void CheckWildcards(const std::vector<Node>& nodes, const std::string& path) {
    std::vector<const Node*> wildcards;
    for (const Node& node : nodes) {
      if (node.composite.find('*') == std::string::npos) continue;
      if (node.descriptor->key.find('*') != std::string::npos) {
        Warn(*node.descriptor,
             "'*' in key '" + node.descriptor->key + "' is a wildcard, as it is in a value");
      }
      if (const Node* hides = FirstCovering(wildcards, node.composite)) {
        WarnUnreachable(node, *hides, path);
      }
      wildcards.push_back(&node);
    }
    if (wildcards.empty()) return;
    for (const Node& node : nodes) {
      const bool bare =
          node.descriptor->value.empty() && node.descriptor->key.find('*') == std::string::npos;
      if (!bare) continue;
      if (const Node* hides = FirstCovering(wildcards, node.composite + "_*")) {
        WarnUnreachable(node, *hides, path);
      }
    }
  }

  const Node* FirstCovering(const std::vector<const Node*>& wildcards, std::string_view pattern) {
    for (const Node* wildcard : wildcards) {
      if (checks_left_ <= 0) return nullptr;
      --checks_left_;
      // A pattern matches a pattern's text exactly if it covers it: `*` is never literal, so a `*`
      // in the text can only fall to a `*`.
      if (WildcardMatches(wildcard->composite, pattern)) return wildcard;
    }
    return nullptr;
  }

  void WarnUnreachable(const Node& node, const Node& hides, const std::string& path) {
    Warn(*node.descriptor, "descriptor '" + path + "." + node.composite + "' is unreachable: '" +
                               hides.composite + "' (" +
                               LineOf(node.descriptor->position, hides.descriptor->position) +
                               ") matches first");
  }

  // Key and value are joined by '_' unescaped, so key `foo_bar` also matches an entry foo=bar.
  // That only matters where key `foo` is meant to.
  void CheckKeys(const std::vector<Node>& nodes) {
    std::unordered_map<std::string_view, const DescriptorSpec*> keys;
    for (const Node& node : nodes) keys.try_emplace(node.descriptor->key, node.descriptor);
    if (keys.size() < 2) return;
    for (const Node& node : nodes) {
      const std::string_view key = node.descriptor->key;
      if (keys.at(key) != node.descriptor) continue;  // once per key
      for (size_t i = key.find('_'); i != std::string_view::npos; i = key.find('_', i + 1)) {
        const auto other = keys.find(key.substr(0, i));
        if (other == keys.end()) continue;
        const std::string shorter(other->first);
        Warn(*node.descriptor,
             "key '" + std::string(key) + "' is ambiguous with key '" + shorter + "' (" +
                 LineOf(node.descriptor->position, other->second->position) + ")",
             "a request entry '" + shorter + "' whose value begins with '" +
                 std::string(key.substr(i + 1)) + "' can match it too");
      }
    }
  }

  int64_t& checks_left_;
  ProblemList& problems_;
  std::unordered_set<std::string_view> names_;
};

}  // namespace

void CheckDomain(const DomainSpec& domain, int64_t* checks_left, ProblemList* problems) {
  LevelChecker checker(checks_left, problems);
  checker.Check(domain.descriptors, domain.domain);
  checker.CollectNames(domain.descriptors);
  checker.CheckReplaces(domain.descriptors);
}

}  // namespace weir
