#include "limiter/grpc/listen.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/match.h"

namespace weir {
namespace {

int Socket() { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

sockaddr_un Name(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  return name;
}

// Waiting for room in its queue could last for ever, with SIGTERM blocked.
TEST(CheckListenAddress, DoesNotWaitForAnOwnerThatTakesNoConnections) {
  const std::string path = testing::TempDir() + "weir_listen_" + std::to_string(getpid());
  const sockaddr_un name = Name(path);
  std::vector<int> sockets = {Socket()};
  ASSERT_EQ(bind(sockets[0], reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  ASSERT_EQ(listen(sockets[0], 0), 0);
  int connected = 0;
  while (connected == 0) {
    sockets.push_back(Socket());
    connected = connect(sockets.back(), reinterpret_cast<const sockaddr*>(&name), sizeof(name));
  }
  const absl::Status status = CheckListenAddress("unix:" + path);
  EXPECT_TRUE(absl::StrContains(status.message(), "another process listens there")) << status;
  for (const int fd : sockets) close(fd);
  EXPECT_TRUE(CheckListenAddress("unix:" + path).ok());
  std::remove(path.c_str());
}

}  // namespace
}  // namespace weir
