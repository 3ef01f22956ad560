#include "limiter/config/settings_environment_redis.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "limiter/config/redis_target.h"
#include "limiter/config/settings_table.h"
#include "limiter/config/settings_value.h"

namespace weir {
namespace {

// Envoy gives up after 20 ms; a second is long for a network that carries such calls.
constexpr int64_t kLongTimeoutNs = 1'000'000'000;

class RedisReader {
 public:
  RedisReader(const Environment& environment, EnvironmentReading& reading)
      : environment_(environment), reading_(reading) {}

  void Read() {
    ReadStore("REDIS_", "redis-");
    ReadStore("REDIS_PERSECOND_", "redis-per-second-");
    ReadTimeouts();
  }

 private:
  // The value of a variable that is set to something; nullptr otherwise.
  const std::string* Find(const std::string& name) const {
    const auto found = environment_.find(name);
    return found == environment_.end() || found->second.empty() ? nullptr : &found->second;
  }

  bool IsTrue(const std::string& name) const {
    bool value = false;
    const std::string* const text = Find(name);
    return text != nullptr && ParseBool(*text, value) && value;
  }

  void Refuse(const std::string& name, const std::string& shown, const std::string& form) {
    reading_.errors.push_back("environment variable " + name + ": '" + shown +
                              "' is not accepted, it must be " + form);
  }

  void Set(const std::string& setting, std::string text, const std::string& variables) {
    EnvironmentValue& value = reading_.values.emplace_back();
    value.setting = FindSetting(setting);
    value.texts.push_back(std::move(text));
    value.variables = variables;
  }

  void ReadStore(const std::string& prefix, const std::string& settings) {
    const bool single = ReadType(prefix + "TYPE", settings + "type");
    ReadUrl(prefix, settings + "url", single);
    ReadLogin(prefix + "AUTH", settings);
    ReadLogin(prefix + "SENTINEL_AUTH", settings + "sentinel-");
  }

  // Whether it is a single Redis as far as this variable says.
  bool ReadType(const std::string& name, const std::string& setting) {
    const std::string* const text = Find(name);
    if (text == nullptr) return true;
    std::string type = *text;
    std::transform(type.begin(), type.end(), type.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (type != "single" && type != "sentinel" && type != "cluster") {
      Refuse(name, *text, "SINGLE, SENTINEL or CLUSTER");
      return false;
    }
    Set(setting, type, name);
    return type == "single";
  }

  // In the reference the socket type is unix unless set, and no Redis behind a host is reached
  // then. Here an unset one goes by the URL, so that what works there works the same here.
  void ReadUrl(const std::string& prefix, const std::string& setting, bool single) {
    const std::string socket_name = prefix + "SOCKET_TYPE";
    const std::string* const socket = Find(socket_name);
    if (socket != nullptr && *socket != "tcp" && *socket != "unix") {
      return Refuse(socket_name, *socket, "tcp or unix");
    }
    const std::string name = prefix + "URL";
    const std::string* const url = Find(name);
    if (url == nullptr) return;
    if (socket != nullptr && single) {
      const bool is_path = url->starts_with('/') || url->starts_with("unix:");
      if (is_path && *socket == "tcp") {
        return Refuse(name, MaskRedisUrl(*url),
                      "HOST:PORT or redis://…, because " + socket_name + " is tcp");
      }
      if (!is_path && *socket == "unix") {
        return Refuse(
            name, MaskRedisUrl(*url),
            "the path of a Unix socket that begins with /, because " + socket_name + " is unix");
      }
    }
    Set(setting, *url, name);
  }

  // "PASSWORD" or "USER:PASSWORD".
  void ReadLogin(const std::string& name, const std::string& settings) {
    const std::string* const text = Find(name);
    if (text == nullptr) return;
    const size_t colon = text->find(':');
    if (colon != std::string::npos) Set(settings + "user", text->substr(0, colon), name);
    Set(settings + "password", colon == std::string::npos ? *text : text->substr(colon + 1), name);
  }

  // Both stores connect within one timeout.
  void ReadTimeouts() {
    constexpr const char* kMain = "REDIS_TIMEOUT";
    constexpr const char* kPerSecond = "REDIS_PERSECOND_TIMEOUT";
    const std::string* longest = nullptr;
    std::string longest_name;
    int64_t longest_ns = -1;
    for (const std::string name : {kMain, kPerSecond}) {
      const std::string* const text = Find(name);
      if (text == nullptr) continue;
      int64_t timeout_ns = 0;
      if (!ParseDuration(*text, timeout_ns)) {
        Refuse(name, *text, FindSetting("redis-connect-timeout")->value.form());
        continue;
      }
      if (name == kPerSecond && !IsTrue("REDIS_PERSECOND")) {
        reading_.warnings.push_back("environment variable " + name +
                                    " has no effect without REDIS_PERSECOND=true");
        continue;
      }
      if (timeout_ns > kLongTimeoutNs) {
        reading_.warnings.push_back(
            "environment variable " + name + ": " + *text +
            " to connect is long, Redis is not used until a connection that hangs is given up");
      }
      if (timeout_ns <= longest_ns) continue;
      longest_ns = timeout_ns;
      longest = text;
      longest_name = name;
    }
    if (longest != nullptr) Set("redis-connect-timeout", *longest, longest_name);
  }

  const Environment& environment_;
  EnvironmentReading& reading_;
};

}  // namespace

void ReadRedisEnvironment(const Environment& environment, EnvironmentReading& reading) {
  RedisReader(environment, reading).Read();
}

}  // namespace weir
