#pragma once

// Addresses of sockets for the address of a server.
//
// Thread safety: no shared state.

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/store/redis/address.h"
#include "limiter/store/redis/stream.h"

namespace weir {

// Without asking anybody: for Unix sockets and IP addresses. Nullopt: it is a name.
std::optional<std::vector<SocketAddress>> ResolveNumeric(const RedisAddress& address);

// Asks the system's resolver, which may take many seconds: never on a loop's thread. At least one
// and at most `addresses_max`, in the order to try them; UNAVAILABLE with the resolver's reason.
absl::StatusOr<std::vector<SocketAddress>> ResolveName(const RedisAddress& address,
                                                       std::size_t addresses_max);

}  // namespace weir
