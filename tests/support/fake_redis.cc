#include "tests/support/fake_redis.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <openssl/sha.h>
#include <signal.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {
namespace {

std::string Sha1(const std::string& text) {
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

}  // namespace

struct FakeRedis::Connection {
  FakeRedis& server;
  bufferevent* buffer = nullptr;
  redisReader* reader = redisReaderCreate();
  bool closing = false;

  explicit Connection(FakeRedis& s) : server(s) {}
  ~Connection() {
    redisReaderFree(reader);
    bufferevent_free(buffer);
  }
};

std::string Bulk(const std::string& text) {
  return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

std::string BulkArray(const std::vector<std::string>& texts) {
  std::string wire = "*" + std::to_string(texts.size()) + "\r\n";
  for (const std::string& text : texts) wire += Bulk(text);
  return wire;
}

FakeRedis::FakeRedis(event_base* base) : base_(base) {
  signal(SIGPIPE, SIG_IGN);  // of bufferevents
  ListenAgain();
}

FakeRedis::~FakeRedis() {
  StopListening();
  connections_.clear();
  // Bufferevents go in the loop.
  event_base_loop(base_, EVLOOP_NONBLOCK);
}

void FakeRedis::ListenAgain() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port_);
  listener_ = evconnlistener_new_bind(
      base_,
      [](evconnlistener*, evutil_socket_t fd, sockaddr*, int, void* self) {
        static_cast<FakeRedis*>(self)->Accept(fd);
      },
      this, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, 512,
      reinterpret_cast<sockaddr*>(&address), sizeof(address));
  socklen_t size = sizeof(address);
  getsockname(evconnlistener_get_fd(listener_), reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
}

void FakeRedis::StopListening() {
  if (listener_ != nullptr) evconnlistener_free(listener_);
  listener_ = nullptr;
}

void FakeRedis::CloseAll() { connections_.clear(); }

void FakeRedis::SayToAll(const std::string& bytes) {
  for (const auto& connection : connections_) {
    bufferevent_write(connection->buffer, bytes.data(), bytes.size());
  }
}

void FakeRedis::SetFrozen(bool frozen) {
  frozen_ = frozen;
  if (frozen) return;
  for (std::size_t i = 0; i < connections_.size(); ++i) Read(*connections_[i]);
}

std::size_t FakeRedis::CountCommands(const std::string& name) const {
  return static_cast<std::size_t>(
      std::count_if(commands_.begin(), commands_.end(),
                    [&](const Arguments& arguments) { return arguments[0] == name; }));
}

void FakeRedis::Accept(int fd) {
  ++accepted_;
  Connection& connection = *connections_.emplace_back(std::make_unique<Connection>(*this));
  connection.buffer = bufferevent_socket_new(base_, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(
      connection.buffer,
      [](bufferevent*, void* c) {
        auto* const asker = static_cast<Connection*>(c);
        if (!asker->server.frozen_) asker->server.Read(*asker);
      },
      [](bufferevent*, void* c) {
        auto* const asker = static_cast<Connection*>(c);
        if (asker->closing) asker->server.Drop(asker);
      },
      [](bufferevent*, short, void* c) {
        auto* const asker = static_cast<Connection*>(c);
        asker->server.Drop(asker);
      },
      &connection);
  bufferevent_enable(connection.buffer, EV_READ | EV_WRITE);
  if (greeting_.empty()) return;
  connection.closing = true;
  bufferevent_write(connection.buffer, greeting_.data(), greeting_.size());
}

void FakeRedis::Drop(Connection* connection) {
  std::erase_if(connections_, [&](const auto& c) { return c.get() == connection; });
}

void FakeRedis::Read(Connection& connection) {
  evbuffer* const input = bufferevent_get_input(connection.buffer);
  const std::size_t size = evbuffer_get_length(input);
  const auto* const bytes = reinterpret_cast<const char*>(evbuffer_pullup(input, -1));
  if (size > 0) redisReaderFeed(connection.reader, bytes, size);
  evbuffer_drain(input, size);
  void* decoded = nullptr;
  while (!connection.closing && redisReaderGetReply(connection.reader, &decoded) == REDIS_OK &&
         decoded != nullptr) {
    auto* const command = static_cast<redisReply*>(decoded);
    Arguments arguments;
    for (std::size_t i = 0; i < command->elements; ++i) {
      arguments.emplace_back(command->element[i]->str, command->element[i]->len);
    }
    freeReplyObject(command);
    commands_.push_back(arguments);
    std::optional<Answer> answer;
    if (handler_ != nullptr) answer = handler_(arguments);
    if (!answer.has_value()) answer = Usual(arguments);
    if (!answer->bytes.empty()) {
      bufferevent_write(connection.buffer, answer->bytes.data(), answer->bytes.size());
    }
    connection.closing = answer->close;
    if (answer->close && answer->bytes.empty()) {
      Drop(&connection);
      return;
    }
  }
}

Answer FakeRedis::Usual(const Arguments& arguments) {
  const std::string& name = arguments[0];
  if (name == "PING") return {"+PONG\r\n"};
  if (name == "AUTH") {
    if (password.empty()) {
      return {
          "-ERR AUTH <password> called without any password configured for the default user. "
          "Are you sure your configuration is correct?\r\n"};
    }
    if (arguments.back() == password) return {"+OK\r\n"};
    return {"-WRONGPASS invalid username-password pair or user is disabled.\r\n"};
  }
  if (name == "INFO" && arguments.size() > 1 && arguments[1] == "server") {
    return {Bulk("# Server\r\nredis_version:7.0.15\r\n")};
  }
  if (name == "INFO") {
    return {Bulk("# Replication\r\nrole:" + role + "\r\nmaster_replid:" + replication_id +
                 "\r\nmaster_replid2:0000\r\n")};
  }
  if (name == "SCRIPT") {
    const std::string digest = Sha1(arguments[2]);
    std::erase(scripts_forgotten, digest);
    return {Bulk(digest)};
  }
  if (name == "EVALSHA") {
    const auto& forgotten = scripts_forgotten;
    if (std::find(forgotten.begin(), forgotten.end(), arguments[1]) != forgotten.end()) {
      return {"-NOSCRIPT No matching script. Please use EVAL.\r\n"};
    }
    if (arguments.size() < 7) return {":1\r\n"};
    if (meta.empty()) meta = {arguments[4], arguments[5], arguments[6]};
    return {BulkArray(meta)};
  }
  return {"+OK\r\n"};
}

}  // namespace weir::test
