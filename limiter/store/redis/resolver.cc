#include "limiter/store/redis/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

// 0 or getaddrinfo's error.
int Lookup(const RedisAddress& address, int flags, std::size_t addresses_max,
           std::vector<SocketAddress>& found) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | flags;
  addrinfo* list = nullptr;
  const std::string port = absl::StrCat(address.port);
  const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &list);
  if (error != 0) return error;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(list, freeaddrinfo);
  for (const addrinfo* a = list; a != nullptr && found.size() < addresses_max; a = a->ai_next) {
    SocketAddress& socket = found.emplace_back();
    std::memcpy(&socket.storage, a->ai_addr, a->ai_addrlen);
    socket.bytes = a->ai_addrlen;
    std::array<char, NI_MAXHOST> host{};
    getnameinfo(a->ai_addr, a->ai_addrlen, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST);
    socket.text = RedisAddressText({host.data(), address.port, {}});
  }
  return 0;
}

}  // namespace

std::optional<std::vector<SocketAddress>> ResolveNumeric(const RedisAddress& address) {
  std::vector<SocketAddress> found;
  if (!address.unix_path.empty()) {
    absl::StatusOr<SocketAddress> socket = UnixSocketAddress(address.unix_path);
    if (socket.ok()) found.push_back(*std::move(socket));
    return found;
  }
  if (Lookup(address, AI_NUMERICHOST, 1, found) != 0) return std::nullopt;
  return found;
}

absl::StatusOr<std::vector<SocketAddress>> ResolveName(const RedisAddress& address,
                                                       std::size_t addresses_max) {
  std::vector<SocketAddress> found;
  const int error = Lookup(address, 0, addresses_max, found);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  if (found.empty()) return absl::UnavailableError("the name has no address");
  return found;
}

}  // namespace weir
