#pragma once

// A redis-server of a test's own: on a free port of 127.0.0.1 and a Unix socket, without
// persistence, in a folder that goes with it. Knows no test framework, so that benchmarks can use
// it.
//
// Thread safety: one thread at a time.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace weir::test {

// Where `program` is on the PATH; empty: it is not installed.
std::string FindProgram(const std::string& program);

// A port of 127.0.0.1 that nobody listens on at the time of the call.
uint16_t FreePort();

// A new folder under the temporary folder, with room for the name of a Unix socket in it.
// Removed with everything in it by the destructor.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct RedisOptions {
  std::string program = "redis-server";
  // More of its command line: {"--requirepass", "secret"}. They come last, so they win; use
  // "--save", "--appendonly" here for a server that keeps its data.
  std::vector<std::string> arguments = {};
  // Commands the readiness check sends before PING: {"AUTH", "secret"}; empty: none.
  std::vector<std::string> login = {};
  bool tls_only = false;  // no plain port; `arguments` name a --tls-port
};

class RedisProcess {
 public:
  // Starts it and waits until it answers PING. Null, with the reason in `problem`, when it is not
  // installed or does not come up.
  static std::unique_ptr<RedisProcess> Start(const RedisOptions& options, std::string* problem);
  ~RedisProcess();  // kills it

  RedisProcess(const RedisProcess&) = delete;
  RedisProcess& operator=(const RedisProcess&) = delete;

  uint16_t port() const { return port_; }
  const std::string& unix_path() const { return unix_path_; }
  const std::string& folder() const { return folder_.path(); }
  pid_t pid() const { return pid_; }

  void Signal(int signal) const;  // SIGSTOP, SIGCONT, …
  void Kill();                    // SIGKILL, and waits until it is gone; nothing if it runs no more
  void Stop();                    // SIGTERM, and waits until it is gone; a stopped one is killed
  // Starts it again on the same port and in the same folder after Kill or Stop. False: see problem.
  bool Restart(std::string* problem);

  // Changes what the next Restart starts with.
  void set_options(const RedisOptions& options) { options_ = options; }

  // One command on a connection of its own, over the Unix socket, after the login. Returns the
  // reply as it came ("+PONG\r\n"; only the first read of a long one), or "" if there is none
  // within a second.
  std::string Command(const std::vector<std::string>& arguments) const;

 private:
  explicit RedisProcess(const RedisOptions& options);
  bool Launch(std::string* problem);
  bool Answers() const;
  bool Exited();

  RedisOptions options_;
  TemporaryFolder folder_;
  std::string unix_path_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace weir::test
