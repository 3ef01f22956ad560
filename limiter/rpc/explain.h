#pragma once

// The words of an explanation.

#include <string_view>

#include "limiter/core/engine.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

// Fills everything but the decision.
void FillExplanation(const Explanation& explanation, std::string_view domain,
                     const Descriptor& descriptor, v1::ExplainResponse* response);

}  // namespace weir
