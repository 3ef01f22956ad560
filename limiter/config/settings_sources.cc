#include "limiter/config/settings_sources.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/config/rule_node.h"
#include "limiter/config/settings_table.h"
#include "limiter/config/settings_value.h"

namespace weir {
namespace {

// " (did you mean --grpc-listen?)", or where to look.
std::string DidYouMean(std::string_view name, std::string_view prefix) {
  const Setting* const nearest = NearestSetting(name);
  if (nearest == nullptr) return " (weir serve --help lists all)";
  return " (did you mean " + std::string(prefix).append(nearest->name) + "?)";
}

template <typename Value>
Value& ValueOf(const Setting& setting, std::vector<Value>& values) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const Value& value) { return value.setting == &setting; });
  if (found != values.end()) return *found;
  values.emplace_back().setting = &setting;
  return values.back();
}

class FlagReader {
 public:
  explicit FlagReader(std::span<const std::string> arguments) : arguments_(arguments) {}

  FlagReading Read() {
    while (next_ < arguments_.size()) ReadOne(arguments_[next_++]);
    return std::move(reading_);
  }

 private:
  void ReadOne(const std::string& argument) {
    if (argument == "--help" || argument == "-h") {
      reading_.help = true;
      return;
    }
    if (argument == "--print-config") {
      reading_.print_config = true;
      return;
    }
    if (!argument.starts_with("--")) {
      // What follows an equals sign may be a password.
      const std::string shown = argument.substr(0, argument.find('='));
      reading_.errors.push_back("unexpected argument '" + shown +
                                "' (settings are written --NAME=VALUE)");
      return;
    }
    const size_t equals = std::min(argument.find('='), argument.size());
    const std::string name = argument.substr(2, equals - 2);
    const Setting* const setting = FindSetting(name);
    if (setting == nullptr) {
      reading_.errors.push_back("unknown flag --" + name + DidYouMean(name, "--"));
      SkipValue(equals == argument.size());
      return;
    }
    if (equals < argument.size()) return Set(*setting, argument.substr(equals + 1));
    if (setting->value.kind == ValueKind::kBool) return SetBool(*setting);
    if (next_ == arguments_.size() || arguments_[next_].starts_with("--")) {
      reading_.errors.push_back("flag --" + name + " needs a value: " + setting->value.form());
      return;
    }
    Set(*setting, arguments_[next_++]);
  }

  // What follows an unknown flag is taken for its value, so that one mistake makes one error.
  void SkipValue(bool value_follows) {
    if (!value_follows || next_ == arguments_.size()) return;
    if (!arguments_[next_].starts_with('-')) ++next_;
  }

  // The next argument belongs to a switch only if it can be nothing else.
  void SetBool(const Setting& setting) {
    bool ignored = false;
    const bool follows = next_ < arguments_.size() && ParseBool(arguments_[next_], ignored);
    Set(setting, follows ? arguments_[next_++] : "true");
  }

  void Set(const Setting& setting, std::string text) {
    FlagValue& value = ValueOf(setting, reading_.values);
    if (setting.value.kind != ValueKind::kList) value.texts.clear();
    value.texts.push_back(std::move(text));
  }

  const std::span<const std::string> arguments_;
  size_t next_ = 0;
  FlagReading reading_;
};

class FileReader {
 public:
  explicit FileReader(const std::string& path) : path_(path) {}

  FileReading Read(std::string_view content) {
    YamlDocument document;
    if (const std::optional<YamlError> error = document.Parse(content, {})) {
      AddError(error->line, error->message);
      return std::move(reading_);
    }
    const YamlNode& root = Resolve(document.root());
    if (root.kind == NodeKind::kNull) return std::move(reading_);
    if (root.kind != NodeKind::kMap) {
      AddError(root.line, "must be a map from settings to values");
      return std::move(reading_);
    }
    for (const YamlNode* key = root.first; key != nullptr; key = key->next->next) {
      ReadKey(Resolve(*key), Resolve(*key->next));
    }
    return std::move(reading_);
  }

 private:
  void AddError(int line, std::string_view text) {
    reading_.errors.push_back(path_ + ":" + std::to_string(line) + ": " + std::string(text));
  }

  void ReadKey(const YamlNode& key, const YamlNode& value) {
    if (key.kind != NodeKind::kScalar) return AddError(key.line, "a key must be a text");
    const Setting* const setting = FindSetting(key.text);
    if (setting == nullptr) {
      return AddError(key.line, "unknown key '" + key.text + "'" + DidYouMean(key.text, ""));
    }
    if (setting->name == "config") {
      return AddError(key.line, "'config' can be a flag or WEIR_CONFIG only");
    }
    FileValue& entry = ValueOf(*setting, reading_.values);
    if (!entry.texts.empty()) {
      return AddError(
          key.line, "'" + key.text + "' is set in line " + std::to_string(entry.line) + " already");
    }
    entry.line = key.line;
    if (!ReadValue(*setting, value, entry.texts)) {
      AddError(key.line, "'" + key.text + "' must be " + setting->value.form());
      reading_.values.pop_back();
    }
  }

  // False for what is no text and no list of texts.
  static bool ReadValue(const Setting& setting, const YamlNode& value,
                        std::vector<std::string>& texts) {
    if (value.kind == NodeKind::kScalar) {
      texts.push_back(TextOf(setting, value));
      return true;
    }
    if (value.kind != NodeKind::kList || setting.value.kind != ValueKind::kList) return false;
    for (const YamlNode* item = value.first; item != nullptr; item = item->next) {
      if (Resolve(*item).kind != NodeKind::kScalar) return false;
      texts.push_back(Resolve(*item).text);
    }
    if (texts.empty()) texts.emplace_back();
    return true;
  }

  // `yes` and `on` are booleans in YAML 1.1.
  static std::string TextOf(const Setting& setting, const YamlNode& node) {
    if (setting.value.kind != ValueKind::kBool) return node.text;
    const Scalar scalar = ResolveScalar(node);
    return scalar.type == ScalarType::kBool ? FormatBool(scalar.boolean) : node.text;
  }

  const std::string& path_;
  FileReading reading_;
};

}  // namespace

FlagReading ReadSettingsFlags(std::span<const std::string> arguments) {
  return FlagReader(arguments).Read();
}

FileReading ReadSettingsYaml(const std::string& path, std::string_view content) {
  return FileReader(path).Read(content);
}

}  // namespace weir
