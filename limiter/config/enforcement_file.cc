#include "limiter/config/enforcement_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>

#include "limiter/config/rule_file_keys.h"
#include "limiter/config/rule_node.h"

namespace weir {
namespace {

constexpr std::string_view kAll = "shadow";
constexpr std::string_view kDomains = "shadow_domains";
constexpr std::array<std::string_view, 2> kKeys = {kAll, kDomains};

// A list of domains is flat, and so many of them are a mistake.
constexpr YamlBounds kBounds{.depth_max = 8, .nodes_max = 100'000};

class Reader {
 public:
  Reader(const std::string& name, EnforcementFile* file) : name_(name), file_(*file) {}

  void Read(const YamlNode& root) {
    if (root.kind == NodeKind::kNull) return;  // an empty file
    if (root.kind != NodeKind::kMap) {
      Error(root,
            "the file must be a map of " + std::string(kAll) + " and " + std::string(kDomains));
      return;
    }
    std::set<std::string_view> seen;
    for (const YamlNode* key = root.first; key != nullptr; key = key->next->next) {
      ReadEntry(Resolve(*key), Resolve(*key->next), seen);
    }
    std::vector<std::string>& domains = file_.off.domains;
    std::sort(domains.begin(), domains.end());
    domains.erase(std::unique(domains.begin(), domains.end()), domains.end());
  }

 private:
  void Error(const YamlNode& node, std::string message, std::string remedy = "") {
    file_.problems.push_back({.severity = Problem::kError,
                              .position = {name_, node.line, node.column},
                              .message = std::move(message),
                              .remedy = std::move(remedy)});
  }

  void ReadEntry(const YamlNode& key, const YamlNode& value, std::set<std::string_view>& seen) {
    if (key.kind != NodeKind::kScalar) {
      Error(key, "a key must be text");
    } else if (!seen.insert(key.text).second) {
      Error(key, "key '" + key.text + "' stands twice");
    } else if (key.text == kAll) {
      ReadAll(value);
    } else if (key.text == kDomains) {
      ReadDomains(value);
    } else {
      Error(key, "unknown key '" + key.text + "'", SuggestValue(key.text, kKeys));
    }
  }

  void ReadAll(const YamlNode& value) {
    if (value.kind == NodeKind::kNull) return;
    if (value.kind == NodeKind::kScalar) {
      const Scalar scalar = ResolveScalar(value);
      if (scalar.type == ScalarType::kBool) {
        file_.off.all = scalar.boolean;
        return;
      }
    }
    Error(value, "shadow must be true or false");
  }

  void ReadDomains(const YamlNode& value) {
    if (value.kind == NodeKind::kNull) return;
    if (value.kind != NodeKind::kList) {
      Error(value, "shadow_domains must be a list", "write [name] for one domain");
      return;
    }
    for (const YamlNode* item = value.first; item != nullptr; item = item->next) {
      const YamlNode& domain = Resolve(*item);
      if (domain.kind != NodeKind::kScalar || domain.text.empty()) {
        Error(*item, "a domain of shadow_domains must be text");
      } else {
        file_.off.domains.push_back(domain.text);
      }
    }
  }

  const std::string& name_;
  EnforcementFile& file_;
};

}  // namespace

EnforcementFile ParseEnforcementFile(std::string_view content, const std::string& name) {
  EnforcementFile file;
  YamlDocument document;
  if (const std::optional<YamlError> error = document.Parse(content, kBounds)) {
    file.problems.push_back({.severity = Problem::kError,
                             .position = {name, error->line, error->column},
                             .message = error->message,
                             .remedy = ""});
    return file;
  }
  Reader(name, &file).Read(document.root());
  return file;
}

}  // namespace weir
