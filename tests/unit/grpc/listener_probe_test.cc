#include "limiter/grpc/listener_probe.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdint>
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

// A probe whose turns come when a connection has had its time.
class Turns {
 public:
  explicit Turns(const std::string& address) : probe_(address, Http2Opening()) {}
  bool Turn(int64_t after_ns = ListenerProbe::kPatienceNs) {
    now_ns_ += after_ns;
    probe_.Turn(now_ns_);
    return probe_.answers();
  }

 private:
  ListenerProbe probe_;
  int64_t now_ns_ = 0;
};

void ExpectNoticed(Listener& listener) {
  Turns turns(listener.address());
  turns.Turn();
  for (const char* const bytes : {"settings", ""}) {
    listener.Take(bytes);
    EXPECT_TRUE(turns.Turn());
  }
  turns.Turn();
  EXPECT_TRUE(turns.Turn()) << "a pause is not the end";
  EXPECT_FALSE(turns.Turn()) << "nobody took three connections";
  for (int i = 0; i < 4; ++i) listener.Take("");  // the others have left
  EXPECT_TRUE(turns.Turn());
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
  Turns turns(address);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(turns.Turn());
  EXPECT_FALSE(turns.Turn());
}

TEST(ListenerProbe, AConnectionHasItsTimeHoweverOftenItIsLookedAt) {
  Listener listener;
  Turns turns(listener.address());
  turns.Turn();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(turns.Turn(ListenerProbe::kPatienceNs / 21));
  listener.Take("");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(turns.Turn()) << "the first was answered in time";
  EXPECT_FALSE(turns.Turn());
}

TEST(ListenerProbe, ANameThatIsNotFoundIsNeverJudged) {
  Turns turns("no such host.invalid:1");
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(turns.Turn());
}

}  // namespace
}  // namespace weir
