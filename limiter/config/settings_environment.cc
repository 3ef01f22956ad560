#include "limiter/config/settings_environment.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/config/settings.h"
#include "limiter/config/settings_environment_redis.h"
#include "limiter/config/settings_table.h"
#include "limiter/config/settings_value.h"

namespace weir {
namespace {

std::string Quoted(std::string_view text) { return "'" + std::string(text) + "'"; }

// "environment variable A is" or "environment variables A, B are".
std::string Subject(const std::vector<std::string>& names, std::string_view singular,
                    std::string_view plural) {
  std::string out = names.size() == 1 ? "environment variable " : "environment variables ";
  for (size_t i = 0; i < names.size(); ++i) out.append(i > 0 ? ", " : "").append(names[i]);
  return out.append(" ").append(names.size() == 1 ? singular : plural);
}

class Reader {
 public:
  Reader(const Environment& environment, const Settings& defaults, const EnvironmentScope& scope)
      : environment_(environment), defaults_(defaults), scope_(scope) {}

  EnvironmentReading Read() {
    for (const ReferenceVariable& variable : AllReferenceVariables()) {
      const bool is_redis = variable.name.starts_with("REDIS_");
      if (!is_redis || scope_.redis) ReadVariable(variable);
    }
    ReadAddresses();
    CheckTls();
    ReadRulesFolder();
    ReadChargeDenied();
    ReadPrometheus();
    ReadStore();
    if (scope_.redis) ReadRedisEnvironment(environment_, reading_);
    ReadNative();
    WarnOfMisspelt();
    for (const auto& [reason, names] : ignored_) {
      reading_.warnings.push_back(Subject(names, "is ignored: ", "are ignored: ") + reason);
    }
    for (const auto& [condition, names] : inactive_) {
      reading_.warnings.push_back(
          Subject(names, "has no effect without ", "have no effect without ") + condition);
    }
    return std::move(reading_);
  }

 private:
  static constexpr std::string_view kUseTls = "GRPC_SERVER_USE_TLS";

  // By reason, so that variables ignored for one reason make one warning.
  using Names = std::map<std::string, std::vector<std::string>>;

  const std::string* Find(std::string_view name) const {
    const auto found = environment_.find(std::string(name));
    return found == environment_.end() ? nullptr : &found->second;
  }

  void Error(std::string_view name, std::string_view text) {
    reading_.errors.push_back("environment variable " + std::string(name) + ": " +
                              std::string(text));
  }

  // The value of a boolean variable; none if it is unset or empty, or bad, which is an
  // error.
  std::optional<bool> Flag(std::string_view name) {
    const std::string* const text = Find(name);
    if (text == nullptr || text->empty()) return std::nullopt;
    bool value = false;
    if (ParseBool(*text, value)) return value;
    Error(name, Quoted(*text) + " is not accepted, it must be true or false");
    return std::nullopt;
  }

  void Set(std::string_view setting, std::string text, const std::string& variables) {
    EnvironmentValue& value = reading_.values.emplace_back();
    value.setting = FindSetting(setting);
    value.texts.push_back(std::move(text));
    value.variables = variables;
  }

  // Names that are set to something and that the row stands for.
  std::vector<std::string> NamesOf(const ReferenceVariable& variable) const {
    std::vector<std::string> names;
    std::string_view prefix = variable.name;
    const bool is_prefix = prefix.ends_with('*');
    if (is_prefix) prefix.remove_suffix(1);
    for (auto it = environment_.lower_bound(std::string(prefix)); it != environment_.end(); ++it) {
      if (is_prefix ? !it->first.starts_with(prefix) : it->first != prefix) break;
      if (!it->second.empty()) names.push_back(it->first);
    }
    return names;
  }

  void Add(Names& by_reason, const ReferenceVariable& variable, std::string_view reason) {
    for (std::string& name : NamesOf(variable)) {
      by_reason[std::string(reason)].push_back(std::move(name));
    }
  }

  void ReadVariable(const ReferenceVariable& variable) {
    switch (variable.treatment) {
      case Treatment::kSets:
        if (const std::string* const text = Find(variable.name)) {
          Set(variable.setting, *text, std::string(variable.name));
        }
        return;
      case Treatment::kIgnored:
        return Add(ignored_, variable, variable.reason);
      case Treatment::kIgnoredWhenFalse:
        if (Flag(variable.name) == false) Add(ignored_, variable, variable.reason);
        return;
      case Treatment::kRefusedWhenTrue:
        if (Flag(variable.name) == true) Error(variable.name, variable.reason);
        return;
      case Treatment::kConfigType:
        return ReadConfigType(variable);
      case Treatment::kNeedsTls:
        return ReadTls(variable);
      case Treatment::kNeedsXds:
        if (!IsXds()) Add(inactive_, variable, "CONFIG_TYPE=GRPC_XDS_SOTW");
        return;
      case Treatment::kMaps:
      case Treatment::kNoEffect:
        return;
    }
  }

  bool IsTrue(std::string_view name) const {
    bool value = false;
    const std::string* const text = Find(name);
    return text != nullptr && ParseBool(*text, value) && value;
  }

  bool IsXds() const {
    const std::string* const type = Find("CONFIG_TYPE");
    return type != nullptr && *type == "GRPC_XDS_SOTW";
  }

  void ReadConfigType(const ReferenceVariable& variable) {
    const std::string* const type = Find(variable.name);
    if (type == nullptr || type->empty() || *type == "FILE") return;
    if (IsXds()) {
      return Error(variable.name, std::string(variable.reason) +
                                      "; with CONFIG_TYPE=FILE they are read from --rules-dir");
    }
    Error(variable.name, Quoted(*type) + " is not accepted, it must be FILE");
  }

  void ReadAddresses() {
    const std::string* const socket = Find("GRPC_UDS");
    if (socket != nullptr && !socket->empty()) {
      Set("grpc-listen", "unix:" + *socket, "GRPC_UDS");
    } else {
      ReadAddress("grpc-listen", "GRPC_HOST", "GRPC_PORT", defaults_.grpc_listen.front());
    }
    ReadAddress("http-listen", "HOST", "PORT", defaults_.http_listen);
    ReadAddress("admin-listen", "DEBUG_HOST", "DEBUG_PORT", defaults_.admin_listen);
  }

  // REQUIRES: `address` is a TCP address.
  void ReadAddress(std::string_view setting, const std::string& host_name,
                   const std::string& port_name, const std::string& address) {
    const std::string* host = Find(host_name);
    const std::string* port = Find(port_name);
    if (host == nullptr && port == nullptr) return;
    const size_t colon = address.rfind(':');
    const std::string default_host = address.substr(0, colon);
    const std::string default_port = address.substr(colon + 1);
    std::string parsed;
    if (port != nullptr && !ParseTcpAddress("localhost:" + *port, parsed)) {
      // Kubernetes sets NAME_PORT in every pod beside a Service of that name.
      const bool by_kubernetes = port->starts_with("tcp://");
      return Error(port_name, Quoted(*port) +
                                  " is not accepted, it must be a port from 0 to 65535" +
                                  (by_kubernetes ? " (Kubernetes sets this one; the pod's "
                                                   "enableServiceLinks: false stops that)"
                                                 : ""));
    }
    if (host != nullptr && !ParseTcpAddress(JoinHostPort(*host, "0"), parsed)) {
      return Error(host_name,
                   Quoted(*host) + " is not accepted, it must be a host name or an IP address");
    }
    const std::string variables = host == nullptr   ? port_name
                                  : port == nullptr ? host_name
                                                    : host_name + ", " + port_name;
    Set(setting, JoinHostPort(host ? *host : default_host, port ? *port : default_port), variables);
  }

  void ReadTls(const ReferenceVariable& variable) {
    if (!IsTrue(kUseTls)) return Add(inactive_, variable, "GRPC_SERVER_USE_TLS=true");
    const std::string* const text = Find(variable.name);
    if (text == nullptr || text->empty()) return;
    Set(variable.setting, *text, std::string(variable.name));
  }

  void CheckTls() {
    if (Flag(kUseTls) != true) return;
    for (const std::string_view name : {"GRPC_SERVER_TLS_CERT", "WEIR_GRPC_TLS_CERT"}) {
      const std::string* const certificate = Find(name);
      if (certificate != nullptr && !certificate->empty()) return;
    }
    Error(kUseTls, "true needs GRPC_SERVER_TLS_CERT, the file with the certificate");
  }

  // The reference joins the three and leaves out empty ones.
  void ReadRulesFolder() {
    constexpr std::pair<std::string_view, std::string_view> kParts[] = {
        {"RUNTIME_ROOT", "/srv/runtime_data/current"},
        {"RUNTIME_SUBDIRECTORY", ""},
        {"RUNTIME_APPDIRECTORY", "config"}};
    std::string path;
    std::string variables;
    for (const auto& [name, default_part] : kParts) {
      const std::string* const value = Find(name);
      if (value != nullptr) variables.append(variables.empty() ? "" : ", ").append(name);
      std::string_view part = value != nullptr ? std::string_view(*value) : default_part;
      while (!path.empty() && part.starts_with('/')) part.remove_prefix(1);
      if (part.empty()) continue;
      if (!path.empty() && !path.ends_with('/')) path += '/';
      path += part;
    }
    if (!variables.empty()) Set("rules-dir", path, variables);
  }

  void ReadChargeDenied() {
    constexpr const char* kName = "STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT";
    if (Flag(kName) == true) Set("charge-denied", "over-only", kName);
  }

  void ReadPrometheus() {
    const std::optional<bool> used = Flag("USE_PROMETHEUS");
    const std::string* const address = Find("PROMETHEUS_ADDR");
    const bool has_address = address != nullptr && !address->empty();
    if (used == true) {
      Set("prometheus-listen", has_address ? *address : ":9090",
          has_address ? "USE_PROMETHEUS, PROMETHEUS_ADDR" : "USE_PROMETHEUS");
    } else if (has_address) {
      inactive_["USE_PROMETHEUS=true"].emplace_back("PROMETHEUS_ADDR");
    }
    if (used == false) Set("prometheus-listen", "", "USE_PROMETHEUS");
  }

  void ReadStore() {
    const std::string* const backend = Find("BACKEND_TYPE");
    if (backend != nullptr && !backend->empty()) Set("store", *backend, "BACKEND_TYPE");
    constexpr const char* kJitter = "EXPIRATION_JITTER_MAX_SECONDS";
    const std::string* const seconds = Find(kJitter);
    if (seconds == nullptr || seconds->empty()) return;
    if (!scope_.shared_keys) {
      ignored_["Weir's own keys are kept exactly as long as their limit needs them"].emplace_back(
          kJitter);
      return;
    }
    uint64_t value = 0;
    if (ParseCount(*seconds, value)) return Set("expiration-jitter-max", *seconds + "s", kJitter);
    Error(kJitter, Quoted(*seconds) + " is not accepted, it must be a number of seconds");
  }

  // Weir's own variables win over the reference's.
  void ReadNative() {
    std::vector<EnvironmentValue>& values = reading_.values;
    for (const Setting& setting : AllSettings()) {
      const std::string name = NativeVariable(setting.name);
      const std::string* const text = Find(name);
      if (text == nullptr) continue;
      const auto other = std::find_if(values.begin(), values.end(),
                                      [&](const auto& value) { return value.setting == &setting; });
      if (other != values.end()) {
        reading_.warnings.push_back(other->variables + ": no effect, because " + name + " is set");
        values.erase(other);
      }
      Set(setting.name, *text, name);
    }
  }

  // Not an error: Kubernetes sets WEIR_PORT and others beside a Service named weir, and
  // WEIR_REDIS_PORT=tcp://… beside one named weir-redis.
  void WarnOfMisspelt() {
    constexpr std::string_view kPrefix = "WEIR_";
    for (auto it = environment_.lower_bound(std::string(kPrefix)); it != environment_.end(); ++it) {
      const std::string& name = it->first;
      if (!name.starts_with(kPrefix)) break;
      if (it->second.starts_with("tcp://") || it->second.starts_with("udp://")) continue;
      std::string setting = name.substr(kPrefix.size());
      std::transform(setting.begin(), setting.end(), setting.begin(), [](unsigned char c) {
        return c == '_' ? '-' : static_cast<char>(std::tolower(c));
      });
      if (FindSetting(setting) != nullptr) continue;
      const Setting* const nearest = NearestSetting(setting);
      if (nearest == nullptr) continue;
      reading_.warnings.push_back("environment variable " + name +
                                  " is not a setting (did you mean " +
                                  NativeVariable(nearest->name) + "?)");
    }
  }

  const Environment& environment_;
  const Settings& defaults_;
  const EnvironmentScope scope_;
  EnvironmentReading reading_;
  Names ignored_;
  Names inactive_;  // by what they would need
};

}  // namespace

Environment ReadEnvironment(const char* const* entries) {
  Environment environment;
  for (; *entries != nullptr; ++entries) {
    const std::string_view entry(*entries);
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) continue;
    environment.emplace(entry.substr(0, equals), entry.substr(equals + 1));
  }
  return environment;
}

EnvironmentReading ReadSettingsEnvironment(const Environment& environment, const Settings& defaults,
                                           const EnvironmentScope& scope) {
  return Reader(environment, defaults, scope).Read();
}

}  // namespace weir
