// Any bytes as what Redis answers: never a crash, the same replies however the bytes are cut into
// reads, and no reader of replies takes more from one than it holds.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "algorithms/limit.h"
#include "limiter/store/redis/cluster_map.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/failure.h"
#include "limiter/store/redis/meta.h"
#include "limiter/store/redis/reply_decoder.h"
#include "limiter/store/redis/script_call.h"
#include "limiter/store/redis/server_info.h"

namespace {

constexpr std::size_t kReplyBytesMax = 4096;

const weir::RedisAddress kAsked{"10.0.0.1", 6379, ""};

void Require(bool holds) {
  if (!holds) std::abort();
}

void ReadAsScripts(const std::vector<int64_t>& numbers) {
  for (const weir::Algorithm algorithm :
       {weir::Algorithm::kFixedWindow, weir::Algorithm::kSlidingWindow,
        weir::Algorithm::kTokenBucket}) {
    weir::Limit limit;
    Require(
        weir::MakeLimit({.algorithm = algorithm, .hits = 10, .window_ns = 60'000'000'000}, &limit)
            .empty());
    for (const weir::Op op :
         {weir::Op::kTake, weir::Op::kPeek, weir::Op::kReport, weir::Op::kRefund}) {
      const weir::ScriptCall call{.limit = limit, .op = op, .hits = 3, .drain = false, .lease = {}};
      const auto reply = weir::ReadReply(call, numbers);
      if (reply.ok()) Require(reply->decision.remaining <= limit.capacity);
    }
  }
  (void)weir::ReadNodes(numbers);
}

void Read(const redisReply& reply) {
  const std::string_view text = weir::TextOf(reply);
  if (reply.type == REDIS_REPLY_ERROR) {
    (void)weir::ClassifyError(text);
    const auto moved = weir::ReadRedirection(text, kAsked);
    if (moved.ok()) Require(moved->slot < weir::kSlots && moved->primary.port > 0);
  }
  (void)weir::InfoValue(text, "role");
  const auto map = weir::ReadClusterSlots(reply, kAsked);
  if (map.ok()) {
    for (const weir::SlotRange& range : *map) {
      Require(range.first <= range.last && range.last < weir::kSlots);
    }
  }
  (void)weir::DecodeMeta(reply);
  if (reply.type != REDIS_REPLY_ARRAY) return;
  std::vector<int64_t> numbers;
  for (std::size_t i = 0; i < reply.elements; ++i) {
    if (reply.element[i]->type == REDIS_REPLY_INTEGER) {
      numbers.push_back(reply.element[i]->integer);
    }
  }
  ReadAsScripts(numbers);
}

struct Outcome {
  std::size_t replies = 0;
  weir::ReplyDecoder::State end = weir::ReplyDecoder::State::kMore;
  bool operator==(const Outcome&) const = default;
};

Outcome Decode(std::string_view bytes, std::size_t piece) {
  weir::ReplyDecoder decoder(kReplyBytesMax);
  Outcome outcome;
  while (!bytes.empty()) {
    decoder.Feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    weir::Reply reply;
    while (true) {
      outcome.end = decoder.Next(reply);
      if (outcome.end != weir::ReplyDecoder::State::kReply) break;
      ++outcome.replies;
      Read(*reply);
    }
    if (outcome.end != weir::ReplyDecoder::State::kMore) break;
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = std::size_t{data[0]} + 1;
  const Outcome whole = Decode(bytes, bytes.size());
  const Outcome pieces = Decode(bytes, piece);
  // What is too large is noticed at whichever end of a read comes first after it; what came before
  // is the same.
  if (whole.end == weir::ReplyDecoder::State::kMore && pieces.end == whole.end) {
    Require(whole == pieces);
  }
  return 0;
}
