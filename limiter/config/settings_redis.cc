#include "limiter/config/settings_redis.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/config/redis_target.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_table.h"
#include "limiter/core/rule_spec.h"

namespace weir {
namespace {

class Completer {
 public:
  explicit Completer(LoadedSettings& loaded) : loaded_(loaded), settings_(loaded.settings) {}

  std::vector<std::string> Complete() {
    ChooseStore();
    if (settings_.store == StoreKind::kMemory) {
      WarnOfUnused();
      return {};
    }
    Check(MainRedisFields(settings_));
    CheckPerSecond();
    CheckTls();
    CompleteBackoff();
    CompleteKeyFormat();
    return std::move(errors_);
  }

 private:
  Origin& OriginOf(std::string_view name) { return loaded_.origins.find(name)->second; }
  bool IsGiven(std::string_view name) { return OriginOf(name).kind != Origin::kDefault; }
  std::string Place(std::string_view name) { return PlaceOf(name, OriginOf(name)); }

  void Error(std::string_view name, std::string_view text) {
    errors_.push_back(Place(name).append(": ").append(text));
  }
  void Warn(std::string_view name, std::string_view text) {
    loaded_.warnings.push_back(Place(name).append(": ").append(text));
  }

  // As in the reference, a Redis address without a choice of the store is a choice of Redis.
  void ChooseStore() {
    Origin& origin = OriginOf("store");
    if (origin.kind != Origin::kDefault || settings_.redis_url.empty()) return;
    settings_.store = StoreKind::kRedis;
    origin.detail = "because redis-url is set";
  }

  // Who sets any of these and forgets the address wants Redis. Who chose the memory store does not.
  void WarnOfUnused() {
    if (IsGiven("store")) return;
    const std::string names = GivenOf({SettingGroup::kRedis, SettingGroup::kRedisPerSecond});
    if (names.empty()) return;
    loaded_.warnings.push_back(
        names + ": no effect, because limits hold in this process only: there is no redis-url");
  }

  // The places where settings of these groups were set, each once.
  std::string GivenOf(const std::vector<SettingGroup>& groups) {
    std::vector<std::string> places;
    for (const Setting& setting : AllSettings()) {
      if (std::find(groups.begin(), groups.end(), setting.group) == groups.end()) continue;
      // A URL that is set to nothing is the same as none.
      if (setting.name.ends_with("-url") && setting.value.print(settings_).front().empty())
        continue;
      if (!IsGiven(setting.name)) continue;
      std::string place = Place(setting.name);
      if (std::find(places.begin(), places.end(), place) == places.end()) {
        places.push_back(std::move(place));
      }
    }
    std::string out;
    for (const std::string& place : places) out.append(out.empty() ? "" : ", ").append(place);
    return out;
  }

  void Check(const RedisFields& fields) {
    const std::string prefix(fields.prefix);
    const RedisUrl url = RedisUrlOf(fields);
    const std::string problem = RedisUrlProblem(url, fields.type);
    if (!problem.empty()) Error(prefix + (fields.url.empty() ? "type" : "url"), problem);
    CheckLogin(fields, url);
    CheckSentinelLogin(fields);
    if (url.db && IsGiven(prefix + "db") && *url.db != fields.db) {
      Error(prefix + "db", "another database than in " + Place(prefix + "url") + "; keep one");
    }
    if (fields.type == RedisType::kCluster && url.db.value_or(fields.db) != 0) {
      Error(prefix + (url.db ? "url" : "db"), "a cluster has the database 0 only");
    }
    const bool is_path = url.items.front().find('/') != std::string::npos;
    if (is_path && fields.tls) {
      Error(prefix + "tls", "Redis offers no TLS on the Unix socket of " + Place(prefix + "url"));
    }
  }

  void CheckLogin(const RedisFields& fields, const RedisUrl& url) {
    const std::string prefix(fields.prefix);
    const std::string in_url = Place(prefix + "url");
    if (!url.user.empty() && !fields.user.empty() && url.user != fields.user) {
      Error(prefix + "user", "another user than in " + in_url + "; keep one");
    }
    if (!url.password.empty() && !fields.password.empty() && url.password != fields.password) {
      Error(prefix + "password", "another password than in " + in_url + "; keep one");
    }
    if (!url.password.empty() && !fields.password_file.empty()) {
      Error(prefix + "password-file", "a password is in " + in_url + " too; keep one");
    }
    CheckFile(prefix, fields.password, fields.password_file);
    if (!url.password.empty() || !fields.password.empty() || !fields.password_file.empty()) return;
    if (!url.user.empty()) Error(prefix + "url", kNoPassword);
    if (!fields.user.empty()) Error(prefix + "user", kNoPassword);
  }

  void CheckSentinelLogin(const RedisFields& fields) {
    const std::string prefix = std::string(fields.prefix) + "sentinel-";
    const bool has_password =
        !fields.sentinel_password.empty() || !fields.sentinel_password_file.empty();
    if (fields.type != RedisType::kSentinel) {
      for (const char* const end : {"user", "password", "password-file"}) {
        if (IsGiven(prefix + end)) Warn(prefix + end, "no effect without sentinels");
      }
      return;
    }
    CheckFile(prefix, fields.sentinel_password, fields.sentinel_password_file);
    if (!has_password && !fields.sentinel_user.empty()) Error(prefix + "user", kNoPassword);
  }

  void CheckFile(const std::string& prefix, const std::string& password, const std::string& file) {
    if (password.empty() || file.empty()) return;
    Error(prefix + "password-file",
          "a password is in " + Place(prefix + "password") + " too; keep one");
  }

  void CheckPerSecond() {
    if (!settings_.redis_per_second) {
      const bool given = IsGiven("redis-per-second");
      const std::string names = given ? "" : GivenOf({SettingGroup::kRedisPerSecond});
      if (!names.empty()) {
        loaded_.warnings.push_back(names + ": no effect without redis-per-second");
      }
      return;
    }
    if (settings_.redis_per_second_url.empty()) {
      return Error("redis-per-second", "it needs redis-per-second-url, which is not set");
    }
    Check(PerSecondRedisFields(settings_));
  }

  bool HasTls() {
    if (MainRedisTarget(settings_).tls) return true;
    const std::optional<RedisTarget> per_second = PerSecondRedisTarget(settings_);
    return per_second && per_second->tls;
  }

  void CheckTls() {
    if (!settings_.redis_tls_key.empty() && settings_.redis_tls_cert.empty()) {
      Error("redis-tls-key", "it needs redis-tls-cert, the certificate that the key is for");
    }
    const bool tls = HasTls();
    for (const char* const name : {"redis-tls-ca", "redis-tls-cert", "redis-tls-key",
                                   "redis-tls-server-name", "redis-tls-min-version"}) {
      if (!tls && IsGiven(name) && !FindSetting(name)->value.print(settings_).front().empty()) {
        Warn(name, "no effect, connections to Redis are not TLS: neither redis-tls nor rediss://");
      }
    }
    if (tls && settings_.redis_tls_skip_hostname_verification) {
      Warn("redis-tls-skip-hostname-verification",
           "whoever holds any certificate of the authority can pose as Redis");
    }
  }

  // Who sets one bound means it, whatever the default of the other.
  void CompleteBackoff() {
    int64_t& min_ns = settings_.redis_backoff_min_ns;
    int64_t& max_ns = settings_.redis_backoff_max_ns;
    if (min_ns <= max_ns) return;
    if (!IsGiven("redis-backoff-max")) {
      max_ns = min_ns;
      OriginOf("redis-backoff-max").detail = "because redis-backoff-min is longer";
    } else if (!IsGiven("redis-backoff-min")) {
      min_ns = max_ns;
      OriginOf("redis-backoff-min").detail = "because redis-backoff-max is shorter";
    } else {
      Error("redis-backoff-min",
            "longer than redis-backoff-max (" + Place("redis-backoff-max") + ")");
    }
  }

  // Hits that the other program does not know of cannot be leased. Nodes do not hear of each other
  // either: that needs keys and scripts of Weir's own.
  void CompleteKeyFormat() {
    if (settings_.redis_key_format != RedisKeyFormat::kRatelimit) return;
    if (settings_.replicas == 0 && settings_.store_failure_default == OnStoreFailure::kLocalShare) {
      Warn("redis-key-format",
           "while Redis is out of reach nothing passes, because a share of unknown many is nothing;"
           " set replicas, or another store-failure-default");
    }
    if (settings_.consistency_default == Consistency::kExact) return;
    if (IsGiven("consistency-default")) {
      return Error("consistency-default",
                   "it must be exact, because redis-key-format is ratelimit");
    }
    settings_.consistency_default = Consistency::kExact;
    OriginOf("consistency-default").detail = "because redis-key-format is ratelimit";
  }

  static constexpr std::string_view kNoPassword = "a user without a password";

  LoadedSettings& loaded_;
  Settings& settings_;
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> CompleteRedisSettings(LoadedSettings& loaded) {
  return Completer(loaded).Complete();
}

}  // namespace weir
