#include "limiter/runtime/random_secret.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/status/status.h"

namespace weir {

absl::StatusOr<Secret> RandomSecret() { return RandomSecret(getrandom); }

absl::StatusOr<Secret> RandomSecret(RandomSource source) {
  Secret secret;
  ssize_t filled = -1;
  do {
    errno = 0;
    filled = source(&secret, sizeof(secret), 0);
  } while (filled < 0 && errno == EINTR);
  if (filled == static_cast<ssize_t>(sizeof(secret))) return secret;
  const std::string reason = filled < 0 ? std::strerror(errno) : "it gave too few bytes";
  return absl::UnavailableError("the kernel gives no random bytes for the secret of keys: " +
                                reason + "; allow the system call getrandom");
}

}  // namespace weir
