#pragma once

// A request's descriptors as core reads them: views into the transport's message, which outlives
// the check.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "limiter/core/unit.h"

namespace weir {

struct Entry {
  std::string_view key;
  std::string_view value;
};

// A limit the caller brings along instead of the configured one; always a fixed window.
struct LimitOverride {
  uint32_t requests_per_unit = 0;
  Unit unit = Unit::kUnknown;  // REQUIRES: not kUnknown
};

// What one descriptor of a request asks for.
enum class Op : uint8_t {
  kTake,    // charge if it passes
  kPeek,    // the same verdict, nothing charged
  kReport,  // charge unconditionally
  kRefund,  // give back
  kReset,   // forget what was charged
};

struct Descriptor {
  std::span<const Entry> entries;
  std::optional<LimitOverride> limit;
  Op op = Op::kTake;
  uint64_t hits = 1;
};

}  // namespace weir
