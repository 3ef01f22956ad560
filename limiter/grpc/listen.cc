#include "limiter/grpc/listen.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace weir {

absl::Status CheckListenAddress(const std::string& address) {
  constexpr std::string_view kUnix = "unix:";
  if (!address.starts_with(kUnix)) return absl::OkStatus();
  const std::string path = address.substr(kUnix.size());
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("cannot listen on ", address,
                                                   ": the path must have 1 to ",
                                                   sizeof(name.sun_path) - 1, " bytes"));
  }
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  // Not blocking: a listener whose queue is full (EAGAIN) may never take the next connection.
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::OkStatus();
  const bool taken =
      connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0 || errno == EAGAIN;
  close(fd);
  if (!taken) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot listen on ", address,
                                             ": another process listens there; stop it or choose "
                                             "another path with --grpc-listen"));
}

absl::Status OpenSocketTo(const std::string& address, unsigned mode) {
  const std::string path = address.substr(address.find(':') + 1);
  if (chmod(path.c_str(), mode) == 0) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot change who may connect to ", address, ": ", std::strerror(errno)));
}

}  // namespace weir
