#include "limiter/grpc/listener_probe.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace weir {
namespace {

// A listener that takes connections only when it is told to.
class Listener {
 public:
  Listener() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in name{};
    name.sin_family = AF_INET;
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(name);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&name), size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&name), &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(name.sin_port));
  }
  explicit Listener(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
    unlink(path.c_str());
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
    address_ = "unix:" + path;
  }
  ~Listener() { close(fd_); }

  // Takes the oldest connection; says `bytes` to it, or hangs up if there are none.
  void Take(const std::string& bytes) {
    const int connection = accept(fd_, nullptr, nullptr);
    ASSERT_GE(connection, 0);
    char preface[33];
    EXPECT_EQ(recv(connection, preface, sizeof(preface), MSG_WAITALL), 33);
    EXPECT_EQ(std::memcmp(preface, "PRI * HTTP/2.0", 14), 0);
    if (!bytes.empty()) {
      EXPECT_EQ(send(connection, bytes.data(), bytes.size(), 0),
                static_cast<ssize_t>(bytes.size()));
    }
    close(connection);
  }
  const std::string& address() const { return address_; }

 private:
  const int fd_;
  std::string address_;
};

void ExpectNoticed(Listener& listener) {
  ListenerProbe probe(listener.address(), Http2Opening());
  probe.Turn();
  for (const char* const bytes : {"settings", ""}) {
    listener.Take(bytes);
    probe.Turn();
    EXPECT_TRUE(probe.answers());
  }
  probe.Turn();
  probe.Turn();
  EXPECT_TRUE(probe.answers()) << "a pause is not the end";
  probe.Turn();
  EXPECT_FALSE(probe.answers()) << "nobody took three connections";
  for (int i = 0; i < 4; ++i) listener.Take("");  // the others have left
  probe.Turn();
  EXPECT_TRUE(probe.answers());
}

TEST(ListenerProbe, NoticesThatNobodyTakesConnections) {
  Listener listener;
  ExpectNoticed(listener);
}

TEST(ListenerProbe, NoticesItOnAUnixSocketToo) {
  const std::string path = ::testing::TempDir() + "probe" + std::to_string(getpid());
  Listener listener(path);
  ExpectNoticed(listener);
  unlink(path.c_str());
}

TEST(ListenerProbe, ARefusedConnectionIsAMiss) {
  std::string address;
  {
    const Listener gone;
    address = gone.address();
  }
  ListenerProbe probe(address, Http2Opening());
  for (int i = 0; i < 3; ++i) {
    probe.Turn();
    EXPECT_TRUE(probe.answers());
  }
  probe.Turn();
  EXPECT_FALSE(probe.answers());
}

}  // namespace
}  // namespace weir
