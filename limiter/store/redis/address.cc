#include "limiter/store/redis/address.h"

#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr std::string_view kUnix = "unix:";
constexpr std::size_t kHostBytesMax = 255;
constexpr std::size_t kUnixPathMax = sizeof(sockaddr_un::sun_path) - 1;

absl::Status Wrong(std::string_view text, std::string_view why) {
  std::string message = "the Redis address \"";
  message.append(text).append("\" ").append(why);
  message += "; write host:6379, [::1]:6379 or unix:/path/of/socket";
  return absl::InvalidArgumentError(message);
}

absl::StatusOr<RedisAddress> ParseUnix(std::string_view text, std::string_view path) {
  if (path.empty() || path[0] != '/') return Wrong(text, "has no absolute path");
  if (path.size() > kUnixPathMax) {
    return Wrong(text, "has a path longer than the system allows a socket");
  }
  RedisAddress address;
  address.unix_path = path;
  return address;
}

bool IsHostCharacter(char c) {
  return static_cast<unsigned char>(c) > ' ' && c != '/' && c != '@' && c != ',' && c != '[' &&
         c != ']' && c != '\x7f';
}

}  // namespace

std::optional<RedisAddress> HostAndPort(std::string_view host, std::string_view port) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
  RedisAddress address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (host.empty() || host.size() > kHostBytesMax ||
      !std::all_of(host.begin(), host.end(), printable) || error != std::errc() ||
      end != port.data() + port.size() || address.port == 0) {
    return std::nullopt;
  }
  address.host = host;
  return address;
}

absl::StatusOr<RedisAddress> ParseRedisAddress(std::string_view text) {
  if (text.starts_with(kUnix)) return ParseUnix(text, text.substr(kUnix.size()));
  if (text.starts_with('/')) return ParseUnix(text, text);
  std::string_view host = text;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return Wrong(text, "has a [ without its ]");
    host = text.substr(1, end - 1);
    port = text.substr(end + 1);
    has_port = !port.empty();
    if (has_port && port[0] != ':') return Wrong(text, "has something after ] that is no port");
    if (has_port) port.remove_prefix(1);
  } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (text.find(':', colon + 1) != std::string_view::npos) {
      return Wrong(text, "has several colons; an IPv6 address stands in brackets");
    }
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    has_port = true;
  }
  if (host.empty()) return Wrong(text, "names no host");
  for (const char c : host) {
    if (!IsHostCharacter(c)) return Wrong(text, "has a character that no host name has");
  }
  RedisAddress address;
  address.host = host;
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
      return Wrong(text, "has a port that is not a number from 1 to 65535");
    }
  }
  return address;
}

std::string RedisAddressText(const RedisAddress& address) {
  if (!address.unix_path.empty()) return absl::StrCat("unix:", address.unix_path);
  const bool v6 = address.host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]:" : ":", address.port);
}

}  // namespace weir
