#pragma once

#include <string>

#include "absl/status/status.h"

namespace weir {

// Refuses what grpc++ would accept in silence: a Unix socket that another process listens on (the
// file would be replaced under it). Everything else is left to the bind.
absl::Status CheckListenAddress(const std::string& address);

// Gives the socket of "unix:PATH", which a process listens on, this mode. grpc++ leaves it to the
// umask, which lets nobody but the owner connect.
absl::Status OpenSocketTo(const std::string& address, unsigned mode);

}  // namespace weir
