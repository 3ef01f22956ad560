#pragma once

// From messages to core's descriptors, refusing what exceeds the bounds of input. Errors name the
// field and the setting that bounds it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "envoy/service/ratelimit/v3/rls.pb.h"
#include "limiter/core/counters.h"
#include "limiter/core/engine.h"
#include "limiter/rpc/call.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

// The entries of a request's descriptors; the check's descriptors are views into it and into the
// message. Reused between requests.
class EntryStorage {
 public:
  // Forgets all entries and makes room: views of Last stay valid while no more than `entries` are
  // pushed.
  void Restart(std::size_t entries) {
    entries_.clear();
    entries_.reserve(entries);
  }
  void Push(const Entry& entry) { entries_.push_back(entry); }
  // The last `count` entries pushed.
  std::span<const Entry> Last(std::size_t count) const {
    return {entries_.data() + entries_.size() - count, count};
  }

 private:
  std::vector<Entry> entries_;
};

// Fill check.domain and check.descriptors from the message, which outlives the check.
absl::Status ReadEnvoyRequest(const envoy::service::ratelimit::v3::RateLimitRequest& request,
                              const RpcOptions& options, WorkerCounters& counters,
                              EntryStorage& entries, Check& check);

// `op` is what every descriptor asks for. Hits of 0 become a question for one hit.
absl::Status ReadCheckRequest(std::string_view domain,
                              const google::protobuf::RepeatedPtrField<v1::Descriptor>& descriptors,
                              uint64_t default_hits, Op op, const RpcOptions& options,
                              WorkerCounters& counters, EntryStorage& entries, Check& check);

}  // namespace weir
