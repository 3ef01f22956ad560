#include "limiter/grpc_log.h"

#include <grpc/support/log.h>
#include <spdlog/spdlog.h>

#include <string>

#include "limiter/core/mutex.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/store/redis/note_limit.h"

namespace weir {
namespace {

void Write(gpr_log_func_args* arguments) {
  static Mutex mutex;
  static NoteLimit limit(1);
  const std::string text = OneLine(arguments->message);
  {
    MutexLock lock(mutex);
    if (!limit.Allow(0, text, SystemClock().Now().mono_ns)) return;
  }
  // Of what gRPC calls errors, nearly all are connections that a peer broke.
  spdlog::warn("grpc: {}", text);
}

}  // namespace

void TakeGrpcLog() { gpr_set_log_function(&Write); }

}  // namespace weir
