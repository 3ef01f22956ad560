// Any sequence of operations on a limit: every answer is the slow oracle's, and the state never
// exceeds what the limit allows.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "algorithms/limit.h"
#include "tests/unit/algorithms/lockstep.h"
#include "tests/unit/algorithms/oracle.h"

namespace {

using weir::oracle::Kind;

// Reads numbers off the input; zeros after its end.
class Input {
 public:
  Input(const uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  bool empty() const { return at_ >= size_; }
  template <typename T>
  T Next() {
    T value = 0;
    const std::size_t bytes = at_ >= size_ ? 0 : std::min(sizeof(T), size_ - at_);
    std::memcpy(&value, data_ + at_, bytes);
    at_ += sizeof(T);
    return value;
  }

 private:
  const uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

template <typename Subject>
void Drive(const weir::LimitSpec& spec, Input& input) {
  Subject subject(spec);
  typename Subject::Oracle oracle(spec);
  int64_t now_ns = int64_t{1} << 60;
  for (int i = 0; i < 200 && !input.empty(); ++i) {
    const auto kind = static_cast<Kind>(input.Next<uint8_t>() % 4);
    now_ns += input.Next<int32_t>();
    const uint64_t hits =
        input.Next<uint8_t>() < 250 ? input.Next<uint8_t>() % 16 : input.Next<uint64_t>();
    if (!weir::lockstep::Same(subject.Peek(now_ns, hits), oracle.Peek(now_ns, hits))) std::abort();
    if (!weir::lockstep::Same(subject.Apply(kind, now_ns, hits),
                              oracle.Apply(kind, now_ns, hits))) {
      std::abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  Input input(data, size);
  weir::LimitSpec spec;
  spec.algorithm = static_cast<weir::Algorithm>(input.Next<uint8_t>() % 3);
  spec.hits = input.Next<uint8_t>() % 20;
  spec.burst = input.Next<uint8_t>() % 20;
  spec.precision = 1 + input.Next<uint8_t>() % 12;
  spec.window_ns = 1 + int64_t{input.Next<uint32_t>()};
  weir::Limit limit;
  if (!weir::MakeLimit(spec, &limit).empty()) return 0;
  if (spec.algorithm == weir::Algorithm::kTokenBucket) {
    Drive<weir::lockstep::TokenBucketSubject>(spec, input);
  } else if (spec.algorithm == weir::Algorithm::kFixedWindow) {
    Drive<weir::lockstep::FixedWindowSubject>(spec, input);
  } else {
    Drive<weir::lockstep::SlidingWindowSubject>(spec, input);
  }
  return 0;
}
