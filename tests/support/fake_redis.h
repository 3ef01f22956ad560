#pragma once

// A Redis server that says what a test wants, on the event loop of the test: it speaks RESP,
// answers the handshake of a primary, and lets the test answer anything else, also with what no
// Redis says.
//
// Thread safety: the loop's thread only.

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct evconnlistener;
struct bufferevent;

namespace weir::test {

using Arguments = std::vector<std::string>;

// What a server does with one command.
struct Answer {
  std::string bytes;   // written as they are; empty: nothing is said
  bool close = false;  // after they are written
};

class FakeRedis {
 public:
  // Nullopt: the usual answer.
  using Handler = std::function<std::optional<Answer>(const Arguments& arguments)>;

  // Listens on a free port of 127.0.0.1.
  explicit FakeRedis(event_base* base);
  ~FakeRedis();
  FakeRedis(const FakeRedis&) = delete;
  FakeRedis& operator=(const FakeRedis&) = delete;

  uint16_t port() const { return port_; }
  void SetHandler(Handler handler) { handler_ = std::move(handler); }

  void StopListening();  // connecting is refused from now on
  void ListenAgain();    // on the same port
  void CloseAll();       // all connections
  void SayToAll(const std::string& bytes);
  // Says this to each new connection before anything was asked, and closes it.
  void set_greeting(std::string greeting) { greeting_ = std::move(greeting); }
  // While set, nothing is answered; what was asked meanwhile is answered when it ends.
  void SetFrozen(bool frozen);

  std::size_t accepted() const { return accepted_; }
  std::size_t connections() const { return connections_.size(); }
  const std::vector<Arguments>& commands() const { return commands_; }  // all ever received
  std::size_t CountCommands(const std::string& name) const;

  // What the usual answers say.
  std::string role = "master";
  std::string replication_id = "0123456789abcdef0123456789abcdef01234567";
  std::string password;                        // empty: none is set
  std::vector<std::string> meta;               // held; empty: the first proposal is
  std::vector<std::string> scripts_forgotten;  // digests answered with NOSCRIPT until loaded again

 private:
  struct Connection;

  void Accept(int fd);
  void Read(Connection& connection);
  Answer Usual(const Arguments& arguments);
  void Drop(Connection* connection);

  event_base* const base_;
  evconnlistener* listener_ = nullptr;
  uint16_t port_ = 0;
  Handler handler_;
  std::string greeting_;
  bool frozen_ = false;
  std::size_t accepted_ = 0;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Arguments> commands_;
};

// "$3\r\nfoo\r\n", and an array of such.
std::string Bulk(const std::string& text);
std::string BulkArray(const std::vector<std::string>& texts);

}  // namespace weir::test
