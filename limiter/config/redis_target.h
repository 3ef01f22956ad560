#pragma once

// Which Redis to ask, where it is and as whom: what the settings of the Redis store come down to,
// for the main store and for the one of one-second rules.
//
// Thread safety: plain values and functions without shared state.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/config/settings.h"

namespace weir {

// What --redis-url holds, its %-escapes decoded.
struct RedisUrl {
  bool tls = false;  // rediss://
  std::string user;
  std::string password;
  // At least one. "host:port" as written, a port or a host may be missing; "unix:/path" alone; the
  // first of a sentinel's list is the name of the master.
  std::vector<std::string> items;
  std::optional<int> db;
};

// "host:6379", "[::1]:6379", "/path", "unix:/path", lists of hosts between commas, and
// "redis://user:password@host:6379/0" or "rediss://…" around hosts. False for anything else. A
// user and a password reach up to the last @, so that only % must be escaped in them.
bool ParseRedisUrl(std::string_view text, RedisUrl& url);

// The text without user and password: "redis://(masked)@host:6379". What cannot be parsed and may
// hold a password is masked as a whole.
std::string MaskRedisUrl(std::string_view text);

struct RedisTarget {
  RedisType type = RedisType::kSingle;
  // "host:port", "[::1]:port" or "unix:/path": the Redis, the sentinels, or seeds of the cluster.
  std::vector<std::string> addresses;
  std::string master;  // its name, with sentinels
  std::string user;
  std::string password;
  std::string password_file;  // read at each connect; not beside a password
  std::string sentinel_user;
  std::string sentinel_password;
  std::string sentinel_password_file;
  int db = 0;
  bool tls = false;
};

// REQUIRES: settings from LoadSettings, with the Redis store.
RedisTarget MainRedisTarget(const Settings& settings);
// None without --redis-per-second.
std::optional<RedisTarget> PerSecondRedisTarget(const Settings& settings);

// "single 127.0.0.1:6379", "sentinel mymaster at a:26379, b:26379, TLS", "cluster a:1, b:1": for
// people, without secrets.
std::string RedisTargetText(const RedisTarget& target);

// The first line of the file, at most 64 KiB. Errors, which name the file and never its content:
// NOT_FOUND, INVALID_ARGUMENT where there is none.
absl::StatusOr<std::string> ReadPasswordFile(const std::string& path);

// The settings of one of the two stores under one set of names.
struct RedisFields {
  std::string_view prefix;  // of their names: "redis-" or "redis-per-second-"
  const std::string& url;
  RedisType type;
  const std::string& user;
  const std::string& password;
  const std::string& password_file;
  const std::string& sentinel_user;
  const std::string& sentinel_password;
  const std::string& sentinel_password_file;
  int db;
  bool tls;
};

// They refer to `settings`.
RedisFields MainRedisFields(const Settings& settings);
RedisFields PerSecondRedisFields(const Settings& settings);

// What is wrong with the URL of such a store; "" for nothing.
std::string RedisUrlProblem(const RedisUrl& url, RedisType type);

// An empty URL is that of a Redis beside this program. REQUIRES: it parses.
RedisUrl RedisUrlOf(const RedisFields& fields);

}  // namespace weir
