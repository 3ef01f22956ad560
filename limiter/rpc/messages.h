#pragma once

// From core's outcomes to weir.v1 messages.

#include "limiter/core/engine.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

void FillCheckResponse(const Check& check, v1::CheckResponse* response);
void FillLimit(const Limit& limit, v1::Limit* message);
void FillDuration(int64_t ns, google::protobuf::Duration* message);

}  // namespace weir
