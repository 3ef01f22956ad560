#include "tests/differential/redis_client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace weir::test {

std::string EncodeCommand(std::span<const std::string> arguments) {
  std::string wire = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    wire += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return wire;
}

std::unique_ptr<RedisClient> RedisClient::Connect(const std::string& unix_path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (unix_path.size() >= sizeof(address.sun_path)) return nullptr;
  std::memcpy(address.sun_path, unix_path.c_str(), unix_path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) {
    return std::unique_ptr<RedisClient>(new RedisClient(fd));
  }
  close(fd);
  return nullptr;
}

RedisClient::~RedisClient() { close(fd_); }

bool RedisClient::Send(std::string_view wire) {
  while (!wire.empty()) {
    const ssize_t sent = send(fd_, wire.data(), wire.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    wire.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool RedisClient::More() {
  received_.erase(0, read_);
  read_ = 0;
  std::array<char, 65536> buffer;
  const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
  if (size > 0) received_.append(buffer.data(), static_cast<std::size_t>(size));
  return size > 0;
}

std::optional<std::string> RedisClient::Line() {
  std::size_t end = 0;
  while ((end = received_.find("\r\n", read_)) == std::string::npos) {
    if (!More()) return std::nullopt;
  }
  std::string line = received_.substr(read_, end - read_);
  read_ = end + 2;
  return line;
}

StoreReply RedisClient::Receive() {
  using Kind = StoreReply::Kind;
  StoreReply reply;
  const std::optional<std::string> line = Line();
  if (!line.has_value() || line->empty()) {
    reply.kind = Kind::kError;
    reply.text = "CLOSED";
    return reply;
  }
  const std::string rest = line->substr(1);
  const int64_t number = std::strtoll(rest.c_str(), nullptr, 10);
  switch ((*line)[0]) {
    case ':':
      reply.kind = Kind::kInteger;
      reply.integer = number;
      break;
    case '+':
      reply.kind = Kind::kStatus;
      reply.text = rest;
      break;
    case '$': {
      if (number < 0) break;
      const std::size_t size = static_cast<std::size_t>(number);
      while (received_.size() - read_ < size + 2) {
        if (!More()) return reply;
      }
      reply.kind = Kind::kString;
      reply.text = received_.substr(read_, size);
      read_ += size + 2;
      break;
    }
    case '*':
      if (number < 0) break;
      reply.kind = Kind::kArray;
      for (int64_t i = 0; i < number; ++i) reply.items.push_back(Receive());
      break;
    default:
      reply.kind = Kind::kError;
      reply.text = rest;
      break;
  }
  return reply;
}

StoreReply RedisClient::Command(std::span<const std::string> arguments) {
  Send(EncodeCommand(arguments));
  return Receive();
}

}  // namespace weir::test
