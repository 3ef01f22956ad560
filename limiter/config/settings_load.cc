#include "limiter/config/settings_load.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_environment.h"
#include "limiter/config/settings_redis.h"
#include "limiter/config/settings_sources.h"
#include "limiter/config/settings_table.h"
#include "limiter/config/settings_tls.h"

namespace weir {
namespace {

// The file has one line per setting.
constexpr std::streamsize kFileBytesMax = 1 << 20;

template <typename Value>
const Value* Find(const std::vector<Value>& values, std::string_view name) {
  const auto found = std::find_if(values.begin(), values.end(), [name](const Value& value) {
    return value.setting->name == name;
  });
  return found == values.end() ? nullptr : &*found;
}

std::string Join(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += separator;
    out += items[i];
  }
  return out;
}

class Loader {
 public:
  Loader(std::string_view program_name, const Environment& environment)
      : program_name_(program_name), environment_(environment) {}

  absl::StatusOr<LoadedSettings> Load(std::span<const std::string> arguments,
                                      const FileContent& read_file) {
    flags_ = ReadSettingsFlags(arguments);
    loaded_.help = flags_.help;
    loaded_.print_config = flags_.print_config;
    if (flags_.help) return std::move(loaded_);
    Append(flags_.errors);
    ReadFile(read_file);
    loaded_.settings = DefaultSettings(EffectiveCompat());
    const EnvironmentReading variables =
        ReadSettingsEnvironment(environment_, DefaultSettings(loaded_.settings.compat), Scope());
    Append(variables.errors);
    for (const Setting& setting : AllSettings()) {
      loaded_.origins.emplace(setting.name, Origin());
    }
    for (const FileValue& value : file_.values) {
      const std::string place = path_ + ":" + std::to_string(value.line);
      Apply(*value.setting, value.texts, {Origin::kFile, place});
    }
    for (const EnvironmentValue& value : variables.values) {
      Apply(*value.setting, value.texts, {Origin::kEnvironment, value.variables});
    }
    for (const FlagValue& value : flags_.values) {
      Apply(*value.setting, value.texts, {Origin::kFlag, {}});
    }
    loaded_.warnings = variables.warnings;
    // What settings are together can be judged only where each is good.
    if (errors_.empty()) {
      Append(CompleteRedisSettings(loaded_));
      Append(CheckTlsSettings(loaded_));
    }
    if (!errors_.empty()) return absl::InvalidArgumentError(Join(errors_, "\n"));
    return std::move(loaded_);
  }

 private:
  void Append(const std::vector<std::string>& errors) {
    errors_.insert(errors_.end(), errors.begin(), errors.end());
  }

  void ReadFile(const FileContent& read_file) {
    const std::string variable = NativeVariable("config");
    Origin origin{Origin::kFlag, {}};
    if (const FlagValue* const flag = Find(flags_.values, "config")) {
      path_ = flag->texts.back();
    } else if (const auto found = environment_.find(variable); found != environment_.end()) {
      path_ = found->second;
      origin = {Origin::kEnvironment, variable};
    }
    if (path_.empty()) return;
    const absl::StatusOr<std::string> content = read_file(path_);
    if (!content.ok()) {
      const std::string reason(content.status().message());
      errors_.push_back(PlaceOf("config", origin) + ": " + reason);
      return;
    }
    file_ = ReadSettingsYaml(path_, *content);
    Append(file_.errors);
  }

  // Decided before all other settings, because their defaults depend on it.
  Compat EffectiveCompat() const {
    Settings settings;
    if (Choose("compat", "", settings)) return settings.compat;
    const std::string_view name = program_name_.substr(program_name_.rfind('/') + 1);
    return name == "ratelimit" ? Compat::kRatelimit : Compat::kNone;
  }

  EnvironmentScope Scope() const {
    EnvironmentScope scope;
    Settings settings;
    if (Choose("store", "BACKEND_TYPE", settings)) {
      scope.redis = settings.store == StoreKind::kRedis;
    }
    if (Choose("redis-key-format", "", settings)) {
      scope.shared_keys = scope.redis && settings.redis_key_format == RedisKeyFormat::kRatelimit;
    }
    return scope;
  }

  // Assigns the value of the first source that has a good one; false if none has. A bad value
  // counts as none here; it is reported when it is applied.
  bool Choose(std::string_view name, const std::string& reference_variable,
              Settings& settings) const {
    const Setting& setting = *FindSetting(name);
    if (const FlagValue* const flag = Find(flags_.values, name)) {
      if (setting.value.assign(flag->texts, settings)) return true;
    }
    for (const std::string& variable : {NativeVariable(name), reference_variable}) {
      const auto found = environment_.find(variable);
      if (found == environment_.end()) continue;
      if (setting.value.assign({&found->second, 1}, settings)) return true;
    }
    const FileValue* const value = Find(file_.values, name);
    return value != nullptr && setting.value.assign(value->texts, settings);
  }

  // A value that a later source overrides must be good all the same.
  void Apply(const Setting& setting, const std::vector<std::string>& texts, Origin origin) {
    if (!setting.value.assign(texts, loaded_.settings)) {
      errors_.push_back(PlaceOf(setting.name, origin) + ": '" + Displayed(setting, texts) +
                        "' is not accepted, it must be " + setting.value.form());
    }
    loaded_.origins.find(setting.name)->second = std::move(origin);
  }

  const std::string_view program_name_;
  const Environment& environment_;
  FlagReading flags_;
  std::string path_;  // of the server file; empty: none
  FileReading file_;
  LoadedSettings loaded_;
  std::vector<std::string> errors_;
};

}  // namespace

std::string PlaceOf(std::string_view name, const Origin& origin) {
  switch (origin.kind) {
    case Origin::kFlag:
      return "flag --" + std::string(name);
    case Origin::kEnvironment:
      return "environment variable " + origin.detail;
    case Origin::kFile:
      return origin.detail + ": " + std::string(name);
    case Origin::kDefault:
      break;
  }
  return std::string(name);
}

std::string FormatOrigin(const Origin& origin) {
  constexpr std::array<std::string_view, 4> kNames = {"default", "file", "environment", "flag"};
  std::string out(kNames[origin.kind]);
  if (!origin.detail.empty()) out.append(" ").append(origin.detail);
  return out;
}

absl::StatusOr<LoadedSettings> LoadSettings(std::string_view program_name,
                                            std::span<const std::string> arguments,
                                            const Environment& environment,
                                            const FileContent& read_file) {
  return Loader(program_name, environment).Load(arguments, read_file);
}

absl::StatusOr<std::string> ReadServerFile(const std::string& path) {
  errno = 0;
  std::ifstream stream(path, std::ios::binary);
  std::string content(kFileBytesMax + 1, '\0');
  stream.read(content.data(), kFileBytesMax + 1);
  if (!stream && !(stream.eof() && stream.is_open())) {
    const std::string reason = errno == 0 ? "it is no file" : std::strerror(errno);
    return absl::NotFoundError("cannot read the server file " + path + ": " + reason);
  }
  if (stream.gcount() > kFileBytesMax) {
    return absl::ResourceExhaustedError("the server file " + path + " is longer than 1 MiB");
  }
  content.resize(static_cast<size_t>(stream.gcount()));
  return content;
}

}  // namespace weir
