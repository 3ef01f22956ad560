#pragma once

// The secret of the hash that makes keys (core/siphash.h), from the kernel.
//
// Thread safety: no shared state.

#include <sys/types.h>

#include <cstddef>

#include "absl/status/statusor.h"
#include "limiter/core/siphash.h"

namespace weir {

// As getrandom(2): fills `bytes`, returns how many it filled, or -1 with errno set.
using RandomSource = ssize_t (*)(void* bytes, std::size_t size, unsigned flags);

// All of it random, or UNAVAILABLE with the kernel's reason: with a secret that can be guessed,
// callers could make keys collide. Waits where the kernel has not gathered enough yet.
absl::StatusOr<Secret> RandomSecret();
absl::StatusOr<Secret> RandomSecret(RandomSource source);

}  // namespace weir
