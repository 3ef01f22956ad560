#pragma once

// One connection to a redis-server: bytes of commands out, decoded replies in. Blocking.
//
// Thread safety: one thread at a time.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tests/support/lua_store.h"

namespace weir::test {

// RESP bytes of one command.
std::string EncodeCommand(std::span<const std::string> arguments);

class RedisClient {
 public:
  // Null if nobody listens at the Unix socket.
  static std::unique_ptr<RedisClient> Connect(const std::string& unix_path);
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  // Both end with an error reply "CLOSED" or false when the connection does.
  bool Send(std::string_view wire);
  StoreReply Receive();

  StoreReply Command(std::span<const std::string> arguments);

 private:
  explicit RedisClient(int fd) : fd_(fd) {}
  bool More();
  std::optional<std::string> Line();

  const int fd_;
  std::string received_;
  std::size_t read_ = 0;  // of received_
};

}  // namespace weir::test
