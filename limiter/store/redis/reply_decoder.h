#pragma once

// Bytes from Redis become replies (RESP 2), within a bound: what one reply may hold is limited in
// bytes and in array elements, so that neither a broken server nor something that is none can make
// this process allocate without end.
//
// Thread safety: one thread.

#include <hiredis/hiredis.h>

#include <cstddef>
#include <memory>
#include <string_view>

namespace weir {

struct FreeReply {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};
using Reply = std::unique_ptr<redisReply, FreeReply>;

class ReplyDecoder {
 public:
  enum class State {
    kReply,
    kMore,      // the next reply is not complete
    kProtocol,  // these bytes are not RESP; see error
    kOversized,
  };

  explicit ReplyDecoder(std::size_t reply_bytes_max) : reply_bytes_max_(reply_bytes_max) {}
  ~ReplyDecoder();
  ReplyDecoder(const ReplyDecoder&) = delete;
  ReplyDecoder& operator=(const ReplyDecoder&) = delete;

  // Forgets everything, for a new connection.
  void Reset();

  // Appends `bytes`. REQUIRES: Next was called until it said kMore, and never said an error.
  void Feed(std::string_view bytes);
  // The next complete reply.
  State Next(Reply& reply);

  std::string_view error() const;

 private:
  const std::size_t reply_bytes_max_;
  redisReader* reader_ = nullptr;
  std::size_t bytes_ = 0;     // since the last complete reply
  std::size_t elements_ = 0;  // that the arrays of this reply may still announce
};

}  // namespace weir
