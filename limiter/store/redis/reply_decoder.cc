#include "limiter/store/redis/reply_decoder.h"

#include <hiredis/hiredis.h>

#include <cstddef>
#include <string_view>

namespace weir {
namespace {

// The shortest element of an array on the wire is ":0\r\n".
constexpr std::size_t kElementBytesMin = 4;

// hiredis allocates an array as soon as its length is read: this looks first.
void* CreateArray(const redisReadTask* task, int elements);

struct Functions {
  redisReplyObjectFunctions bounded{};
  decltype(redisReplyObjectFunctions::createArray) create_array = nullptr;

  Functions() {
    redisReader* const reader = redisReaderCreate();
    bounded = *reader->fn;
    redisReaderFree(reader);
    create_array = bounded.createArray;
    bounded.createArray = CreateArray;
  }
};

Functions& ReplyFunctions() {
  static Functions functions;
  return functions;
}

void* CreateArray(const redisReadTask* task, int elements) {
  auto& budget = *static_cast<std::size_t*>(task->privdata);
  const std::size_t asked = elements < 0 ? 0 : static_cast<std::size_t>(elements);
  if (asked > budget) {
    budget = 0;
    return nullptr;  // to the reader this is out of memory
  }
  budget -= asked;
  return ReplyFunctions().create_array(task, elements);
}

}  // namespace

ReplyDecoder::~ReplyDecoder() {
  if (reader_ != nullptr) redisReaderFree(reader_);
}

void ReplyDecoder::Reset() {
  if (reader_ != nullptr) redisReaderFree(reader_);
  reader_ = redisReaderCreateWithFunctions(&ReplyFunctions().bounded);
  reader_->privdata = &elements_;
  bytes_ = 0;
  elements_ = reply_bytes_max_ / kElementBytesMin;
}

void ReplyDecoder::Feed(std::string_view bytes) {
  if (reader_ == nullptr) Reset();
  bytes_ += bytes.size();
  redisReaderFeed(reader_, bytes.data(), bytes.size());
}

ReplyDecoder::State ReplyDecoder::Next(Reply& reply) {
  if (reader_ == nullptr) Reset();
  void* decoded = nullptr;
  if (redisReaderGetReply(reader_, &decoded) != REDIS_OK) {
    return reader_->err == REDIS_ERR_OOM ? State::kOversized : State::kProtocol;
  }
  if (decoded != nullptr) {
    reply.reset(static_cast<redisReply*>(decoded));
    bytes_ = reader_->len - reader_->pos;
    elements_ = reply_bytes_max_ / kElementBytesMin;
    return State::kReply;
  }
  return bytes_ > reply_bytes_max_ ? State::kOversized : State::kMore;
}

std::string_view ReplyDecoder::error() const {
  return reader_ == nullptr ? std::string_view() : std::string_view(reader_->errstr);
}

}  // namespace weir
