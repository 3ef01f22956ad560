#pragma once

namespace weir {

// Sends what gRPC itself has to say, such as why a handshake failed, to the log of the process, at
// most one line per second. After StartLogging and before the first use of gRPC.
void TakeGrpcLog();

}  // namespace weir
