#pragma once

#include <string>

#include "absl/status/status.h"

namespace weir {

// Refuses what grpc++ would accept in silence: a Unix socket that another process listens on (the
// file would be replaced under it). Everything else is left to the bind.
absl::Status CheckListenAddress(const std::string& address);

}  // namespace weir
