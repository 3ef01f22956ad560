#include "limiter/admin/http_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

constexpr int kPatienceMs = 10'000;

// A raw connection to the server.
class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }
  bool Send(std::string_view bytes) const {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // What the server sends until `text` has come, the connection ends or patience does.
  std::string ReadUntil(std::string_view text) {
    while (received_.find(text) == std::string::npos && ReadSome(kPatienceMs)) {
    }
    return received_;
  }
  // True once the server has closed the connection.
  bool ClosedWithin(int patience_ms) {
    while (ReadSome(patience_ms)) {
    }
    return closed_;
  }
  void Forget() { received_.clear(); }

 private:
  bool ReadSome(int patience_ms) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, patience_ms) <= 0) return false;
    char bytes[4096];
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  int fd_;
  bool connected_ = false;
  bool closed_ = false;
  std::string received_;
};

HttpOptions Options() {
  HttpOptions options;
  options.name = "http-listen";
  options.listen = "127.0.0.1:0";
  return options;
}

std::unique_ptr<HttpServer> Started(const HttpOptions& options) {
  auto server = std::make_unique<HttpServer>(options);
  server->AddRoute("/hello", {"GET"}, [](const HttpRequest&) {
    return HttpResponse{200, "text/plain", "hello\n"};
  });
  server->AddRoute("/echo", {"POST"}, [](const HttpRequest& request) {
    return HttpResponse{200, "text/plain", "<" + std::string(request.body) + ">"};
  });
  const absl::Status status = server->Start();
  EXPECT_TRUE(status.ok()) << status;
  return server;
}

std::string Ask(int port, const std::string& request, std::string_view until) {
  Client client(port);
  client.Send(request);
  return client.ReadUntil(until);
}

TEST(HttpServer, AnswersARoute) {
  const auto server = Started(Options());
  const std::string answer =
      Ask(server->port(), "GET /hello?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", "hello\n");
  EXPECT_NE(answer.find("200"), std::string::npos);
  EXPECT_NE(answer.find("Content-Length: 6"), std::string::npos);
  EXPECT_NE(answer.find("X-Content-Type-Options: nosniff"), std::string::npos);
}

TEST(HttpServer, PassesTheBodyOn) {
  const auto server = Started(Options());
  const std::string answer = Ask(
      server->port(), "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "<abc>");
  EXPECT_NE(answer.find("<abc>"), std::string::npos);
}

TEST(HttpServer, AnswersHeadWithoutABody) {
  const auto server = Started(Options());
  const std::string answer =
      Ask(server->port(), "HEAD /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "hello");
  EXPECT_NE(answer.find("200"), std::string::npos);
  EXPECT_NE(answer.find("Content-Length: 6"), std::string::npos);
  EXPECT_EQ(answer.find("hello"), std::string::npos);
}

TEST(HttpServer, KnowsNoOtherPathsAndMethods) {
  const auto server = Started(Options());
  EXPECT_NE(Ask(server->port(), "GET /../etc HTTP/1.1\r\nHost: h\r\n\r\n", "page").find("404"),
            std::string::npos);
  const std::string answer =
      Ask(server->port(), "DELETE /hello HTTP/1.1\r\nHost: h\r\n\r\n", "takes GET\n");
  EXPECT_NE(answer.find("405"), std::string::npos);
  EXPECT_NE(answer.find("Allow: GET"), std::string::npos);
}

TEST(HttpServer, KeepsAConnectionForTheNextRequest) {
  const auto server = Started(Options());
  Client client(server->port());
  for (int i = 0; i < 3; ++i) {
    client.Forget();
    ASSERT_TRUE(client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
    EXPECT_NE(client.ReadUntil("hello\n").find("200"), std::string::npos);
  }
}

TEST(HttpServer, RefusesAHeaderThatIsTooLong) {
  HttpOptions options = Options();
  options.header_bytes_max = 1024;
  const auto server = Started(options);
  Client client(server->port());
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\nX-Long: " + std::string(4096, 'x') + "\r\n\r\n");
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  const std::string answer = client.ReadUntil("hello\n");
  EXPECT_EQ(answer.find("hello\n"), std::string::npos);
  EXPECT_NE(answer.find("400"), std::string::npos) << answer;
  EXPECT_EQ(server->rejects().headers.load(), 1U);
}

TEST(HttpServer, RefusesABodyThatIsTooLong) {
  HttpOptions options = Options();
  options.body_bytes_max = 1024;
  const auto server = Started(options);
  for (const char* how : {"Content-Length: 2048", "Transfer-Encoding: chunked"}) {
    Client client(server->port());
    client.Send("POST /echo HTTP/1.1\r\nHost: h\r\n" + std::string(how) + "\r\n\r\n");
    for (int i = 0; i < 4; ++i) client.Send("200\r\n" + std::string(512, 'x') + "\r\n");
    EXPECT_NE(client.ReadUntil("413").find("413"), std::string::npos) << how;
  }
  EXPECT_EQ(server->rejects().body.load(), 2U);
}

TEST(HttpServer, RefusesWhatIsNotHttp) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send("this is not http\r\n\r\n");
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  EXPECT_EQ(server->rejects().headers.load(), 1U);
}

TEST(HttpServer, CutsOffAClientThatDripsItsRequest) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  ASSERT_TRUE(client.Send("GET /hello HTTP/1.1\r\nX-Drip: "));
  // A byte every 20 ms keeps any idle timeout away.
  bool closed = false;
  for (int i = 0; i < 500 && !closed; ++i) {
    client.Send("x");
    closed = client.ClosedWithin(20);
  }
  EXPECT_TRUE(closed);
  EXPECT_EQ(server->rejects().time.load(), 1U);
}

TEST(HttpServer, ServesNoMoreConnectionsThanAllowedAndTheNextOnceOneLeaves) {
  HttpOptions options = Options();
  options.connections_max = 2;
  const auto server = Started(options);
  auto first = std::make_unique<Client>(server->port());
  Client second(server->port());
  for (Client* client : {first.get(), &second}) {
    client->Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    client->ReadUntil("hello\n");
  }
  Client third(server->port());
  ASSERT_TRUE(third.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
  EXPECT_FALSE(third.ClosedWithin(200));
  EXPECT_EQ(third.ReadUntil("").find("hello"), std::string::npos);
  EXPECT_EQ(server->connections(), 2U);
  first.reset();
  EXPECT_NE(third.ReadUntil("hello\n").find("200"), std::string::npos);
  EXPECT_GE(server->rejects().connections.load(), 1U);
}

std::size_t OpenDescriptors() {
  std::size_t count = 0;
  DIR* folder = opendir("/proc/self/fd");
  while (readdir(folder) != nullptr) ++count;
  closedir(folder);
  return count;
}

TEST(HttpServer, ManyConnectionsLeaveNothingBehind) {
  const auto server = Started(Options());
  const auto once = [&] {
    return Ask(server->port(), "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
               "hello\n");
  };
  once();
  const std::size_t before = OpenDescriptors();
  for (int i = 0; i < 2000; ++i) ASSERT_NE(once().find("200"), std::string::npos) << i;
  EXPECT_LE(OpenDescriptors(), before + 4);
}

TEST(HttpServer, AnswersManyClientsAtOnce) {
  const auto server = Started(Options());
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      Client client(server->port());
      for (int i = 0; i < 100; ++i) {
        client.Forget();
        client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        if (client.ReadUntil("hello\n").find("200") != std::string::npos) answered.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered.load(), 800);
}

TEST(HttpServer, StopsWithConnectionsOpen) {
  const auto server = Started(Options());
  Client idle(server->port());
  Client half(server->port());
  half.Send("GET /hel");
  server->Stop();
  EXPECT_TRUE(half.ClosedWithin(kPatienceMs));
}

TEST(HttpServer, APortInUseIsAnErrorThatNamesTheSetting) {
  const auto server = Started(Options());
  HttpOptions options = Options();
  options.listen = "127.0.0.1:" + std::to_string(server->port());
  HttpServer second(options);
  const absl::Status status = second.Start();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(std::string(status.message()).find("--http-listen"), std::string::npos) << status;
}

TEST(HttpServer, AnAddressThatIsNoneIsAnErrorThatShowsTheForm) {
  HttpOptions options = Options();
  options.listen = "nowhere";
  HttpServer server(options);
  const absl::Status status = server.Start();
  EXPECT_NE(std::string(status.message()).find("127.0.0.1:8080"), std::string::npos) << status;
}

TEST(EscapeHtml, ReplacesWhatMeansSomethingToHtml) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}

}  // namespace
}  // namespace weir
