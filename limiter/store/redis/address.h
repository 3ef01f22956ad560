#pragma once

// Where a Redis server listens, and as whom to log in.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace weir {

struct RedisAddress {
  std::string host;  // a name or an IP address, without brackets
  uint16_t port = 6379;
  std::string unix_path;  // when not empty, host and port mean nothing

  bool operator==(const RedisAddress&) const = default;
};

// "host:port", "host", "[::1]:6379", "unix:/path" or "/path". INVALID_ARGUMENT says what is wrong
// and shows a form that works.
absl::StatusOr<RedisAddress> ParseRedisAddress(std::string_view text);

// "127.0.0.1:6379", "[::1]:6379", "unix:/path".
std::string RedisAddressText(const RedisAddress& address);

// What one server says of where another is. Nullopt: that is no host and no port.
std::optional<RedisAddress> HostAndPort(std::string_view host, std::string_view port);

// No password: no AUTH. No user: the form of AUTH with a password only, which is the default user.
struct RedisLogin {
  std::string user;
  std::string password;
};

}  // namespace weir
