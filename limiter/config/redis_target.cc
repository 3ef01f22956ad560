#include "limiter/config/redis_target.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_value.h"

namespace weir {
namespace {

constexpr std::string_view kPlain = "redis://";
constexpr std::string_view kTls = "rediss://";
constexpr std::string_view kUnix = "unix:";
constexpr std::string_view kMasked = "(masked)";
constexpr std::string_view kDefaultAddress = "127.0.0.1:6379";
constexpr std::string_view kRedisPort = "6379";
constexpr std::string_view kSentinelPort = "26379";
constexpr std::streamsize kPasswordFileBytesMax = 64 << 10;

bool IsUnix(std::string_view text) { return text.starts_with('/') || text.starts_with(kUnix); }

std::string_view SchemeOf(std::string_view text) {
  for (const std::string_view scheme : {kPlain, kTls}) {
    if (text.starts_with(scheme)) return scheme;
  }
  return {};
}

int HexDigit(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const size_t value = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
  return value == std::string_view::npos ? -1 : static_cast<int>(value);
}

// False for a % that no two hexadecimal digits follow, and for control characters.
bool Unescape(std::string_view text, std::string& value) {
  value.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return false;
      const int high = HexDigit(text[i + 1]);
      const int low = HexDigit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    value += c;
  }
  return !HasControlCharacter(value);
}

bool ParseDb(std::string_view text, std::optional<int>& db) {
  if (text.empty()) return true;
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 0) return false;
  db = value;
  return true;
}

// A host of the list with its port, as in RedisTarget. As in Go, no host is this host.
bool ParseItem(std::string_view item, std::string_view default_port, std::string& address) {
  if (IsUnix(item)) {
    const std::string_view path = item.starts_with('/') ? item : item.substr(kUnix.size());
    // "//" begins a login in URLs of other programs, "unix://user:password@/path".
    const size_t slashes = std::min(path.find_first_not_of('/'), path.size());
    if (slashes == 0 || slashes == 2 || HasControlCharacter(path)) return false;
    return ParseAddress(std::string(kUnix).append(path), address);
  }
  std::string text(item);
  const bool has_port =
      item.starts_with('[') ? !item.ends_with(']') : item.find(':') != std::string_view::npos;
  if (!has_port) text.append(":").append(default_port);
  if (text.starts_with(':')) text.insert(0, "127.0.0.1");
  // Port 0 asks a listener for a free one; nobody can be reached there.
  if (text.find_last_not_of('0') == text.rfind(':')) return false;
  return ParseTcpAddress(text, address);
}

std::string Join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out.append(out.empty() ? "" : ", ").append(item);
  return out;
}

RedisTarget TargetOf(const RedisFields& fields) {
  RedisUrl url = RedisUrlOf(fields);
  RedisTarget target;
  target.type = fields.type;
  const bool sentinel = fields.type == RedisType::kSentinel;
  for (size_t i = 0; i < url.items.size(); ++i) {
    if (sentinel && i == 0) {
      target.master = url.items[i];
    } else {
      ParseItem(url.items[i], sentinel ? kSentinelPort : kRedisPort,
                target.addresses.emplace_back());
    }
  }
  target.user = url.user.empty() ? fields.user : url.user;
  target.password = url.password.empty() ? fields.password : url.password;
  target.password_file = fields.password_file;
  if (sentinel) {
    target.sentinel_user = fields.sentinel_user;
    target.sentinel_password = fields.sentinel_password;
    target.sentinel_password_file = fields.sentinel_password_file;
  }
  target.db = url.db.value_or(fields.db);
  target.tls = url.tls || fields.tls;
  return target;
}

}  // namespace

bool ParseRedisUrl(std::string_view text, RedisUrl& url) {
  RedisUrl parsed;
  const std::string_view scheme = SchemeOf(text);
  if (IsUnix(text)) {
    parsed.items.emplace_back(text);
  } else if (scheme.empty()) {
    parsed.items = SplitList(text);
  } else {
    parsed.tls = scheme == kTls;
    text.remove_prefix(scheme.size());
    if (const size_t at = text.rfind('@'); at != std::string_view::npos) {
      const std::string_view login = text.substr(0, at);
      if (login == kMasked) return false;  // printed by us, no longer a login
      const size_t colon = std::min(login.find(':'), login.size());
      if (!Unescape(login.substr(0, colon), parsed.user)) return false;
      if (colon < login.size() && !Unescape(login.substr(colon + 1), parsed.password)) return false;
      text.remove_prefix(at + 1);
    }
    const size_t slash = std::min(text.find('/'), text.size());
    if (slash < text.size() && !ParseDb(text.substr(slash + 1), parsed.db)) return false;
    parsed.items = SplitList(text.substr(0, slash));
  }
  std::string ignored;
  for (const std::string& item : parsed.items) {
    if (!scheme.empty() && IsUnix(item)) return false;
    if (!ParseItem(item, kRedisPort, ignored)) return false;
  }
  if (parsed.items.empty()) return false;
  url = std::move(parsed);
  return true;
}

std::string MaskRedisUrl(std::string_view text) {
  RedisUrl url;
  const std::string_view scheme = SchemeOf(text);
  const size_t at = text.rfind('@');
  if (ParseRedisUrl(text, url)) {
    if (at == std::string_view::npos || scheme.empty()) return std::string(text);
    return std::string(scheme).append(kMasked).append(text.substr(at));
  }
  const bool may_hold_a_login =
      at != std::string_view::npos || text.find("//") != std::string_view::npos;
  return may_hold_a_login ? std::string(scheme).append(kMasked) : std::string(text);
}

RedisFields MainRedisFields(const Settings& settings) {
  const Settings& s = settings;
  return {"redis-",
          s.redis_url,
          s.redis_type,
          s.redis_user,
          s.redis_password,
          s.redis_password_file,
          s.redis_sentinel_user,
          s.redis_sentinel_password,
          s.redis_sentinel_password_file,
          s.redis_db,
          s.redis_tls};
}

RedisFields PerSecondRedisFields(const Settings& settings) {
  const Settings& s = settings;
  return {"redis-per-second-",
          s.redis_per_second_url,
          s.redis_per_second_type,
          s.redis_per_second_user,
          s.redis_per_second_password,
          s.redis_per_second_password_file,
          s.redis_per_second_sentinel_user,
          s.redis_per_second_sentinel_password,
          s.redis_per_second_sentinel_password_file,
          s.redis_per_second_db,
          s.redis_per_second_tls};
}

RedisUrl RedisUrlOf(const RedisFields& fields) {
  RedisUrl url;
  ParseRedisUrl(fields.url.empty() ? kDefaultAddress : std::string_view(fields.url), url);
  return url;
}

std::string RedisUrlProblem(const RedisUrl& url, RedisType type) {
  const bool is_path = IsUnix(url.items.front());
  switch (type) {
    case RedisType::kSingle:
      return url.items.size() == 1 ? "" : "one Redis has one address, a list needs another type";
    case RedisType::kSentinel:
      if (is_path || url.items.size() < 2) {
        return "sentinels are written MASTER,HOST:PORT,…: the name of the master, then each of "
               "them";
      }
      // The characters that Sentinel itself allows a name, which are those of a host.
      if (url.items.front().find_first_of(":[") != std::string::npos) {
        return "the first of the list is the name of the master, without a port";
      }
      return "";
    case RedisType::kCluster:
      if (is_path) return "a cluster is reached by HOST:PORT,…, not by a Unix socket";
      return "";
  }
  return "";
}

RedisTarget MainRedisTarget(const Settings& settings) {
  return TargetOf(MainRedisFields(settings));
}

std::optional<RedisTarget> PerSecondRedisTarget(const Settings& settings) {
  if (!settings.redis_per_second) return std::nullopt;
  return TargetOf(PerSecondRedisFields(settings));
}

std::string RedisTargetText(const RedisTarget& target) {
  std::string text;
  switch (target.type) {
    case RedisType::kSingle:
      text = "single ";
      break;
    case RedisType::kSentinel:
      text = "sentinel " + target.master + " at ";
      break;
    case RedisType::kCluster:
      text = "cluster ";
      break;
  }
  text += Join(target.addresses);
  if (target.db != 0) text += ", database " + std::to_string(target.db);
  if (target.tls) text += ", TLS";
  return text;
}

absl::StatusOr<std::string> ReadPasswordFile(const std::string& path) {
  // A pipe would be waited for without end, at each connection to Redis.
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error)) {
    return absl::InvalidArgumentError("the password file " + path + " is not a regular file");
  }
  std::ifstream stream(path, std::ios::binary);
  std::string content(static_cast<size_t>(kPasswordFileBytesMax) + 1, '\0');
  stream.read(content.data(), kPasswordFileBytesMax + 1);
  if (!stream && !(stream.eof() && stream.is_open())) {
    return absl::NotFoundError("cannot read the password file " + path);
  }
  content.resize(static_cast<size_t>(stream.gcount()));
  content.resize(std::min(content.find('\n'), content.size()));
  if (content.ends_with('\r')) content.pop_back();
  if (content.empty() || content.size() > static_cast<size_t>(kPasswordFileBytesMax)) {
    return absl::InvalidArgumentError("the password file " + path +
                                      " has no first line, or one longer than 64 KiB");
  }
  return content;
}

}  // namespace weir
