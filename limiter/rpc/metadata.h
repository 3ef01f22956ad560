#pragma once

// `dynamic_metadata` of a RateLimitResponse: what was asked, and the metadata of the rules passed.

#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "google/protobuf/struct.pb.h"
#include "limiter/core/engine.h"

namespace weir {

// {domain, descriptors: [{entries: ["k=v"], limit?, hitsAddend?}], hitsAddend?, metadata?}.
// `metadata` merges the maps of all descriptors that passed, shadowed included and unlimited not:
// the first value of a name wins, nested maps merge.
void FillDynamicMetadata(const envoy::service::ratelimit::v3::RateLimitRequest& request,
                         const Check& check, google::protobuf::Struct* metadata);

}  // namespace weir
