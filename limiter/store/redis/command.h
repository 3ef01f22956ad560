#pragma once

// One command on its way to Redis, and who is told how it ended.

#include <hiredis/hiredis.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "limiter/store/redis/address.h"
#include "limiter/store/redis/failure.h"

namespace weir {

// Told once how its command ended: exactly one of both functions is called, on the loop's thread.
// It must live until then, also when its owner waits no more. It may send commands from within, but
// not destroy what it sent with.
class CommandSink {
 public:
  virtual void OnReply(const redisReply& reply) = 0;  // valid during the call
  // An error reply, or the connection ended before any: then it is unknown whether it ran.
  virtual void OnFailure(Failure failure, std::string_view text) = 0;

 protected:
  virtual ~CommandSink() = default;
};

// Appends the command in RESP, every argument a bulk string.
void AppendCommand(std::string& wire, std::initializer_list<std::string_view> arguments);

// Appends AUTH, in the form that the login takes; nothing without a password.
void AppendLogin(std::string& wire, const RedisLogin& login);

inline std::string_view TextOf(const redisReply& reply) {
  return reply.str == nullptr ? std::string_view() : std::string_view(reply.str, reply.len);
}

}  // namespace weir
