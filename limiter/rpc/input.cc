#include "limiter/rpc/input.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace weir {
namespace {

using envoy::extensions::common::ratelimit::v3::RateLimitDescriptor;
using envoy::service::ratelimit::v3::RateLimitRequest;

absl::Status Refuse(WorkerCounters& counters, InputReject reason, const std::string& message) {
  counters.input_rejected[static_cast<std::size_t>(reason)].Add(1);
  return absl::InvalidArgumentError(message);
}

std::string Field(int descriptor) { return absl::StrCat("descriptors[", descriptor, "]"); }

// Entries of both APIs have key() and value().
template <typename Entries>
absl::Status ReadEntries(const Entries& source, int descriptor, const InputBounds& bounds,
                         WorkerCounters& counters, EntryStorage& storage) {
  if (static_cast<std::size_t>(source.size()) > bounds.entries_max) {
    return Refuse(
        counters, InputReject::kEntries,
        absl::StrCat(Field(descriptor), ".entries has ", source.size(), " entries, more than the ",
                     bounds.entries_max, " of --entries-max"));
  }
  for (int i = 0; i < source.size(); ++i) {
    const std::string_view key = source[i].key();
    const std::string_view value = source[i].value();
    if (key.size() > bounds.key_bytes_max) {
      return Refuse(
          counters, InputReject::kKeyLen,
          absl::StrCat(Field(descriptor), ".entries[", i, "].key has ", key.size(),
                       " bytes, more than the ", bounds.key_bytes_max, " of --key-bytes-max"));
    }
    if (value.size() > bounds.value_bytes_max) {
      return Refuse(
          counters, InputReject::kValueLen,
          absl::StrCat(Field(descriptor), ".entries[", i, "].value has ", value.size(),
                       " bytes, more than the ", bounds.value_bytes_max, " of --value-bytes-max"));
    }
    storage.Push({key, value});
  }
  return absl::OkStatus();
}

template <typename Descriptors>
absl::Status CheckCount(const Descriptors& descriptors, const InputBounds& bounds,
                        WorkerCounters& counters, EntryStorage& entries) {
  if (static_cast<std::size_t>(descriptors.size()) > bounds.descriptors_max) {
    return Refuse(counters, InputReject::kDescriptors,
                  absl::StrCat("descriptors has ", descriptors.size(), " items, more than the ",
                               bounds.descriptors_max, " of --descriptors-max"));
  }
  std::size_t total = 0;
  for (const auto& descriptor : descriptors) {
    total += std::min(static_cast<std::size_t>(descriptor.entries_size()), bounds.entries_max);
  }
  entries.Restart(total);
  return absl::OkStatus();
}

absl::Status CheckHits(uint64_t hits, int descriptor, const InputBounds& bounds,
                       WorkerCounters& counters) {
  if (hits <= bounds.hits_max) return absl::OkStatus();
  return Refuse(counters, InputReject::kHits,
                absl::StrCat("the hits of ", Field(descriptor), " are ", hits, ", more than the ",
                             bounds.hits_max, " of --hits-max"));
}

absl::Status ReadOverride(const RateLimitDescriptor& source, int index, WorkerCounters& counters,
                          Descriptor& descriptor) {
  if (!source.has_limit()) return absl::OkStatus();
  const int unit = static_cast<int>(source.limit().unit());
  if (unit <= 0 || unit > static_cast<int>(Unit::kWeek)) {
    return Refuse(counters, InputReject::kOverride,
                  absl::StrCat(Field(index), ".limit.unit is ", unit,
                               ", which is no unit: use 1 (second) to 6 (year), or 7 (week)"));
  }
  descriptor.limit = LimitOverride{source.limit().requests_per_unit(), static_cast<Unit>(unit)};
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadEnvoyRequest(const RateLimitRequest& request, const RpcOptions& options,
                              WorkerCounters& counters, EntryStorage& entries, Check& check) {
  absl::Status status = CheckCount(request.descriptors(), options.bounds, counters, entries);
  if (!status.ok()) return status;
  check.domain = request.domain();
  check.descriptors.clear();
  for (int i = 0; i < request.descriptors_size(); ++i) {
    const RateLimitDescriptor& source = request.descriptors(i);
    status = ReadEntries(source.entries(), i, options.bounds, counters, entries);
    if (!status.ok()) return status;
    Descriptor& descriptor = check.descriptors.emplace_back();
    descriptor.entries = entries.Last(static_cast<std::size_t>(source.entries_size()));
    descriptor.hits = source.has_hits_addend() ? source.hits_addend().value()
                                               : std::max<uint64_t>(1, request.hits_addend());
    if (source.is_negative_hits()) {
      if (!options.negative_hits) {
        return absl::UnimplementedError("is_negative_hits is turned off by --negative-hits=false");
      }
      descriptor.op = Op::kRefund;
    }
    status = CheckHits(descriptor.hits, i, options.bounds, counters);
    if (status.ok()) status = ReadOverride(source, i, counters, descriptor);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ReadCheckRequest(std::string_view domain,
                              const google::protobuf::RepeatedPtrField<v1::Descriptor>& descriptors,
                              uint64_t default_hits, Op op, const RpcOptions& options,
                              WorkerCounters& counters, EntryStorage& entries, Check& check) {
  if (domain.empty()) return absl::InvalidArgumentError("domain is empty: name a domain of rules");
  if (descriptors.empty()) {
    return absl::InvalidArgumentError("descriptors is empty: send at least one descriptor");
  }
  absl::Status status = CheckCount(descriptors, options.bounds, counters, entries);
  if (!status.ok()) return status;
  check.domain = domain;
  check.descriptors.clear();
  for (int i = 0; i < descriptors.size(); ++i) {
    const v1::Descriptor& source = descriptors[i];
    if (source.entries().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(Field(i), ".entries is empty: send at least one entry"));
    }
    status = ReadEntries(source.entries(), i, options.bounds, counters, entries);
    if (!status.ok()) return status;
    Descriptor& descriptor = check.descriptors.emplace_back();
    descriptor.entries = entries.Last(static_cast<std::size_t>(source.entries_size()));
    descriptor.hits = source.has_hits() ? source.hits() : default_hits;
    descriptor.op = op;
    if (descriptor.hits == 0 && (op == Op::kTake || op == Op::kPeek)) {
      // A check of nothing asks for one hit: checking first and charging later must not admit one
      // hit more than the limit.
      descriptor.hits = 1;
      descriptor.op = Op::kPeek;
    }
    status = CheckHits(descriptor.hits, i, options.bounds, counters);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace weir
