#pragma once

// How concentrated the hits of each rule are, without naming a key.

#include "limiter/core/engine.h"
#include "limiter/metrics/families.h"

namespace weir {

// Adds weir_topk_hits and weir_topk_share for as many rules as what is left of the series budget
// allows.
void AddTopKeyFamilies(Families& families, const Engine& engine);

}  // namespace weir
