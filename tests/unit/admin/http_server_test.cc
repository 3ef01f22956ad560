#include "limiter/admin/http_server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "limiter/runtime/thread_executor.h"
#include "tests/unit/admin/raw_client.h"

namespace weir {
namespace {

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
  server->AddRoute("/big", {"GET"}, [](const HttpRequest&) {
    return HttpResponse{200, "text/plain", std::string(kBigBytes, 'b')};
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

TEST(HttpServer, SendsTheEndOfALongAnswerAtOnce) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("hello\n");
  int accepted = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    sockaddr_in own{}, peer{};
    socklen_t bytes = sizeof(own);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&own), &bytes) != 0) continue;
    if (ntohs(own.sin_port) != server->port()) continue;
    if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &(bytes = sizeof(peer))) != 0) continue;
    int no_delay = 0;
    getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &(bytes = sizeof(no_delay)));
    accepted += no_delay;
  }
  EXPECT_EQ(accepted, 1);
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

TEST(HttpServer, TakesAnyMethodWhereNoneIsNamed) {
  auto server = std::make_unique<HttpServer>(Options());
  server->AddRoute("/any", {}, [](const HttpRequest& request) {
    return HttpResponse{200, "text/plain",
                        std::string(request.method) + "<" + std::string(request.body) + ">"};
  });
  ASSERT_TRUE(server->Start().ok());
  Client client(server->port());
  for (const std::string method : {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    for (const std::string body : {"", "abc"}) {
      client.Forget();
      client.Send(method + " /any HTTP/1.1\r\nHost: h\r\n" +
                  (body.empty() ? "" : "Content-Length: 3\r\n") + "\r\n" + body);
      const std::string expected = method + "<" + body + ">";
      EXPECT_NE(client.ReadUntil(expected).find(expected), std::string::npos)
          << method << body << client.ReadUntil("");
    }
  }
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

TEST(HttpServer, AnswersRequestsThatComeTogether) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send(
      "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"
      "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab"
      "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  const std::string answers = client.ReadUntil("");
  const std::size_t first = answers.find("hello\n");
  const std::size_t second = answers.find("<ab>", first);
  EXPECT_NE(answers.find("hello\n", second), std::string::npos) << answers;
}

TEST(HttpServer, AsksForABodyThatWaitsForIt) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_NE(client.ReadUntil("\r\n\r\n").find("100 Continue"), std::string::npos);
  client.Send("ab");
  EXPECT_NE(client.ReadUntil("<ab>").find("<ab>"), std::string::npos);
  EXPECT_EQ(server->rejects().headers.load() + server->rejects().body.load(), 0U);
}

TEST(HttpServer, TellsNothingAboutItself) {
  const auto server = Started(Options());
  const std::string answer =
      Ask(server->port(), "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", "page\n");
  EXPECT_EQ(answer.find("Server:"), std::string::npos) << answer;
  EXPECT_EQ(answer.find("nowhere"), std::string::npos) << answer;
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

TEST(HttpServer, CutsOffAClientThatDripsItsBody) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  ASSERT_TRUE(client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n"));
  bool closed = false;
  for (int i = 0; i < 500 && !closed; ++i) {
    client.Send("x");
    closed = client.ClosedWithin(20);
  }
  EXPECT_TRUE(closed);
  EXPECT_EQ(server->rejects().time.load(), 1U);
}

TEST(HttpServer, CutsOffAClientThatDoesNotReadItsAnswer) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  client.Send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(Eventually([&] { return server->rejects().time.load() == 1; }));
  EXPECT_TRUE(Eventually([&] { return server->connections() == 0; }));
}

TEST(HttpServer, HoldsNoMoreAnswersThanAllowedForClientsThatDoNotRead) {
  HttpOptions options = Options();
  options.unread_bytes_max = kBigBytes + (1 << 20);
  const auto server = Started(options);
  const std::string request = "GET /big HTTP/1.1\r\nHost: h\r\n\r\n";
  std::vector<std::unique_ptr<Client>> slow;
  for (int i = 0; i < 4; ++i) {
    slow.push_back(std::make_unique<Client>(server->port()));
    slow.back()->Send(request);
  }
  EXPECT_TRUE(Eventually([&] { return server->rejects().unread.load() == 3; }));
  EXPECT_NE(Ask(server->port(), request, "\r\n").find(" 503 "), std::string::npos);
  EXPECT_NE(Ask(server->port(), "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "hello\n").find(" 200 "),
            std::string::npos);
  slow.clear();
  EXPECT_TRUE(Eventually(
      [&] { return Ask(server->port(), request, "\r\n").find(" 200 ") != std::string::npos; }));
}

TEST(HttpServer, AnIdleConnectionIsClosedButNotCountedAsRefused) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("hello\n");
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  EXPECT_EQ(server->rejects().time.load(), 0U);
}

TEST(HttpServer, TheTimeOfARequestBeginsWithItsFirstByte) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
  client.ReadUntil("hello\n");
  bool closed = false;
  for (int i = 0; i < 500 && !closed; ++i) {
    client.Send(i == 0 ? "GET /hello HTTP/1.1\r\nX-Drip: " : "x");
    closed = client.ClosedWithin(20);
  }
  EXPECT_TRUE(closed);
  EXPECT_EQ(server->rejects().time.load(), 1U);
}

TEST(HttpServer, HoldsLittleOfWhatIsSentWhileItAnswers) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_LT(client.Flood("GET /big HTTP/1.1\r\nHost: h\r\n\r\n", kFloodBytes), kFloodBytes);
}

TEST(HttpServer, HoldsLittleOfAChunkWhoseFirstLineDoesNotEnd) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_LT(client.Flood("1", kFloodBytes), kFloodBytes);
}

TEST(HttpServer, CutsOffAClientItReadsNoMoreFrom) {
  HttpOptions options = Options();
  options.request_time_max_ns = 300'000'000;
  const auto server = Started(options);
  Client client(server->port());
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.Flood("1", kFloodBytes);
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  EXPECT_TRUE(Eventually([&] { return server->connections() == 0; }));
  EXPECT_EQ(server->rejects().time.load(), 1U);
}

TEST(HttpServer, TakesAHeaderAndABodyAsLongAsAllowed) {
  HttpOptions options = Options();
  options.header_bytes_max = 1024;
  options.body_bytes_max = 200'000;
  const auto server = Started(options);
  const std::string body(options.body_bytes_max, 'x');
  const std::string head = "POST /echo HTTP/1.1\r\nHost: h\r\nX-Long: " + std::string(800, 'x');
  for (const std::string& rest :
       {"\r\nContent-Length: 200000\r\n\r\n" + body,
        "\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + body + "\r\n0\r\n\r\n"}) {
    Client client(server->port());
    ASSERT_TRUE(client.Send(head + rest));
    EXPECT_EQ(client.ReadUntil(">").size() - client.ReadUntil(">").find('<'), body.size() + 2);
  }
}

TEST(HttpServer, ABusyConnectionOutlivesTheTimeOfOneRequest) {
  HttpOptions options = Options();
  options.request_time_max_ns = 500'000'000;
  const auto server = Started(options);
  Client client(server->port());
  for (int i = 0; i < 60; ++i) {
    client.Forget();
    ASSERT_TRUE(client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n"));
    ASSERT_NE(client.ReadUntil("hello\n").find("200"), std::string::npos);
    ASSERT_FALSE(client.ClosedWithin(20));
  }
}

TEST(HttpServer, SurvivesClientsThatGoAwayWhileItAnswers) {
  const auto server = Started(Options());
  for (int i = 0; i < 50; ++i) {
    Client client(server->port());
    client.Send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    client.ReadUntil("b");
    client.Reset();
  }
  {
    // The server has stopped reading here, so that its next write meets the closed connection.
    Client client(server->port());
    client.Send("GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
    client.Flood("x", kFloodBytes);
    client.Reset();
  }
  EXPECT_NE(Ask(server->port(), "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "hello\n").find("200"),
            std::string::npos);
  EXPECT_TRUE(Eventually([&] { return server->connections() <= 1; }));
}

// Requests with bytes changed, cut out and repeated, in pieces: whatever comes, the next client is
// served.
TEST(HttpServer, SurvivesWhatIsNotHttp) {
  const std::string seeds[] = {
      "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n",
      "HEAD http://h/hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
      "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nabcd",
      "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX: y\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nExpect: more\r\nContent-Length: 1\r\n\r\nx",
      "CONNECT h:1 HTTP/1.1\r\n\r\n",
  };
  const auto server = Started(Options());
  std::mt19937 random(1);  // NOLINT(bugprone-random-generator-seed): every run is the same
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = seeds[below(std::size(seeds))] + seeds[below(std::size(seeds))];
    for (std::size_t changes = below(4); changes > 0; --changes) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, below(8) + 1);
          break;
        case 2:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(32)));
          break;
        default:
          bytes.insert(at, std::string(below(3) + 1, "\r\n: 09-"[below(7)]));
      }
      if (bytes.empty()) bytes = "\n";
    }
    Client client(server->port());
    const std::size_t half = below(bytes.size());
    client.Send(std::string_view(bytes).substr(0, half));
    if (below(4) == 0) client.ClosedWithin(1);
    client.Send(std::string_view(bytes).substr(half));
    if (below(4) == 0) client.ClosedWithin(1);
    if (below(4) == 0) client.Reset();
  }
  EXPECT_NE(Ask(server->port(), "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "hello\n").find("200"),
            std::string::npos);
  EXPECT_TRUE(Eventually([&] { return server->connections() <= 1; }));
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

// Answers wait in `asked` until the test wakes the server.
TEST(HttpServer, AnswersLateAndDropsAnAnswerWhoseClientIsGone) {
  HttpServer server(Options());
  std::vector<HttpServer::Respond> asked;  // of the server's thread
  std::atomic<std::size_t> count{0};
  server.AddLateRoute("/late", {"GET"},
                      [&](const HttpRequest&, const HttpServer::Respond& respond) {
                        asked.push_back(respond);
                        count = asked.size();
                      });
  server.SetOnWake([&] {
    for (const HttpServer::Respond& respond : asked) respond({200, "text/plain", "late\n"});
    asked.clear();
    count = 0;
  });
  ASSERT_TRUE(server.Start().ok());
  const char kGet[] = "GET /late HTTP/1.1\r\nHost: h\r\n\r\n";
  Client stays(server.port());
  stays.Send(kGet);
  auto goes = std::make_unique<Client>(server.port());
  goes->Send(kGet);
  while (count < 2) std::this_thread::yield();
  goes.reset();
  server.Wake();
  EXPECT_NE(stays.ReadUntil("late\n").find("200"), std::string::npos);
  // And once more on the same connection.
  stays.Forget();
  stays.Send(kGet);
  while (count < 1) std::this_thread::yield();
  server.Wake();
  EXPECT_NE(stays.ReadUntil("late\n").find("200"), std::string::npos);
  server.Stop();
}

TEST(HttpServer, AnswersOthersWhileASlowPageIsMade) {
  ThreadExecutor slow;
  HttpOptions options = Options();
  options.slow = &slow;
  HttpServer server(options);
  std::promise<void> made;
  std::shared_future<void> waited = made.get_future().share();
  server.AddSlowRoute("/slow", {"GET"}, [waited](const HttpRequest& request) {
    waited.wait();
    std::string text = "<";
    for (const std::string_view part :
         {request.method, request.path, request.query, request.accept}) {
      text += std::string(part) + " ";
    }
    return TextResponse(200, text + ">");
  });
  server.AddRoute("/hello", {"GET"}, [](const HttpRequest&) { return TextResponse(200, "hello"); });
  ASSERT_TRUE(server.Start().ok());
  Client waiting(server.port());
  waiting.Send("GET /slow?a=b HTTP/1.1\r\nHost: h\r\nAccept: text/x\r\n\r\n");
  Client gone(server.port());
  gone.Send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  gone.Reset();
  const std::string hello = Ask(server.port(), "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n", "hello");
  EXPECT_NE(hello.find("200"), std::string::npos);
  made.set_value();
  EXPECT_NE(waiting.ReadUntil(">").find("<GET /slow a=b text/x >"), std::string::npos);
  EXPECT_TRUE(Eventually([&] { return server.connections() <= 1; })) << server.connections();
  // As a process ends: what is being made is finished, and nobody is told.
  slow.Finish();
  Client late(server.port());
  late.Send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n");
  server.Stop();
  EXPECT_TRUE(late.ClosedWithin(kPatienceMs));
}

TEST(HttpServer, AnAnswerLaterThanTheTimeOfARequestIsDropped) {
  HttpOptions options = Options();
  options.request_time_max_ns = 100'000'000;
  HttpServer server(options);
  std::vector<HttpServer::Respond> asked;  // of the server's thread
  std::promise<void> answered;
  server.AddLateRoute(
      "/late", {"GET"},
      [&](const HttpRequest&, const HttpServer::Respond& respond) { asked.push_back(respond); });
  server.SetOnWake([&] {
    for (const HttpServer::Respond& respond : asked) respond({200, "text/plain", "late\n"});
    answered.set_value();
  });
  ASSERT_TRUE(server.Start().ok());
  Client client(server.port());
  client.Send("GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
  server.Wake();
  answered.get_future().wait();
  EXPECT_EQ(server.rejects().time.load(), 1U);
}

TEST(HttpServer, ABurstOfConnectionsDoesNotPassTheBound) {
  HttpOptions options = Options();
  options.connections_max = 4;
  HttpServer server(options);
  std::promise<void> entered;
  std::promise<void> release;
  server.AddRoute("/wait", {"GET"}, [&](const HttpRequest&) {
    entered.set_value();
    release.get_future().wait();
    return HttpResponse{200, "text/plain", "waited\n"};
  });
  std::atomic<std::size_t> most{0};
  server.AddRoute("/count", {"GET"}, [&](const HttpRequest&) {
    most = std::max(most.load(), server.connections());
    return HttpResponse{200, "text/plain", "counted\n"};
  });
  ASSERT_TRUE(server.Start().ok());
  Client first(server.port());
  first.Send("GET /wait HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  entered.get_future().wait();
  // All of these are in the kernel's queue when the server looks at it.
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<Client>(server.port()));
    clients.back()->Send("GET /count HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  }
  release.set_value();
  for (const auto& client : clients) {
    EXPECT_NE(client->ReadUntil("counted\n").find("200"), std::string::npos);
  }
  EXPECT_LE(most.load(), 4U);
  EXPECT_GE(server.rejects().connections.load(), 1U);
}

// Takes every descriptor that the process may have, until it goes.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 256;
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = dup(0); fd >= 0; fd = dup(0)) taken_.push_back(fd);
  }
  ~NoDescriptors() {
    for (const int fd : taken_) close(fd);
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
  std::vector<int> taken_;
};

TEST(HttpServer, WithoutDescriptorsItWaitsAndDoesNotSpin) {
  const auto server = Started(Options());
  // Its thread runs from here on: UBSan checks the type of what a new thread begins with through a
  // pipe, and reports what it cannot check.
  Ask(server->port(), "GET /hello HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "hello\n");
  ASSERT_TRUE(Eventually([&] { return server->connections() == 0; }));
  std::unique_ptr<Client> client;
  {
    auto socket_first = std::make_unique<Client>();
    const NoDescriptors none;
    ASSERT_TRUE(socket_first->Connect(server->port()));
    client = std::move(socket_first);
    client->Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    ASSERT_TRUE(Eventually([&] { return server->rejects().connections.load() >= 3; }));
    EXPECT_EQ(server->connections(), 0U);
  }
  EXPECT_NE(client->ReadUntil("hello\n").find("200"), std::string::npos);
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
  threads.reserve(8);
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&] {
      Client client(server->port());
      for (int i = 0; i < 200; ++i) {
        client.Forget();
        client.Send("GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
        if (client.ReadUntil("hello\n").find("200") != std::string::npos) answered.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered.load(), 1600);
}

TEST(HttpServer, StopsWithConnectionsOpen) {
  const auto server = Started(Options());
  Client idle(server->port());
  Client half(server->port());
  half.Send("GET /hel");
  server->Stop();
  EXPECT_TRUE(half.ClosedWithin(kPatienceMs));
}

TEST(HttpServer, StopsWithAConnectionItReadsNoMoreFrom) {
  const auto server = Started(Options());
  Client client(server->port());
  client.Send("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.Flood("1", kFloodBytes);
  server->Stop();  // AddressSanitizer's build tells whether all is freed
  EXPECT_TRUE(client.ClosedWithin(kPatienceMs));
}

TEST(HttpServer, StopsAtOnceAfterItsStart) {
  for (int i = 0; i < 200; ++i) {
    HttpServer server(Options());
    ASSERT_TRUE(server.Start().ok());
    server.Stop();
  }
}

// A connection that evhttp is done with may have an event waiting. It must not read from the file
// that gets the number of its descriptor next.
TEST(HttpServer, ReadsNothingFromTheFilesOfOthers) {
  const auto server = Started(Options());
  std::atomic<bool> stop{false};
  std::atomic<int> lost{0};
  std::thread other([&] {
    while (!stop) {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) break;
      char bytes[4];
      send(ends[0], "mine", sizeof(bytes), MSG_NOSIGNAL);
      send(ends[1], "mine", sizeof(bytes), MSG_NOSIGNAL);
      for (const int end : ends) {
        if (recv(end, bytes, sizeof(bytes), MSG_DONTWAIT) != sizeof(bytes)) lost.fetch_add(1);
      }
      for (const int end : ends) close(end);
    }
  });
  for (int i = 0; i < 200; ++i) {
    std::vector<std::unique_ptr<Client>> clients(16);
    for (auto& client : clients) {
      client = std::make_unique<Client>(server->port());
      // More than one read takes: the rest waits while the refusal is written.
      client->Send("nonsense\r\n\r\n" + std::string(32 << 10, 'x'));
    }
    for (const auto& client : clients) client->ClosedWithin(kPatienceMs);
  }
  stop = true;
  other.join();
  EXPECT_EQ(lost.load(), 0);
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

}  // namespace
}  // namespace weir
