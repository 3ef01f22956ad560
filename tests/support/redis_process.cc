#include "tests/support/redis_process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace weir::test {
namespace {

constexpr int kPollMs = 10;
constexpr int kReadyPolls = 1'000;  // ten seconds
constexpr int kReplyWaitMs = 1'000;
constexpr int kPortTries = 5;

std::string Encode(const std::vector<std::string>& arguments) {
  std::string wire = "*" + std::to_string(arguments.size()) + "\r\n";
  for (const std::string& argument : arguments) {
    wire += "$" + std::to_string(argument.size()) + "\r\n" + argument + "\r\n";
  }
  return wire;
}

// -1: nobody listens.
int ConnectUnix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return -1;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

// What comes after `wire` was written, up to one read; "" after a second without any.
std::string Exchange(int fd, const std::string& wire) {
  if (send(fd, wire.data(), wire.size(), MSG_NOSIGNAL) < 0) return "";
  pollfd readable = {fd, POLLIN, 0};
  if (poll(&readable, 1, kReplyWaitMs) <= 0) return "";
  char buffer[65536];
  const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : "";
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

std::string FindProgram(const std::string& program) {
  if (program.find('/') != std::string::npos) {
    return access(program.c_str(), X_OK) == 0 ? program : "";
  }
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    std::string candidate = folder + "/" + program;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

uint16_t FreePort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool bound = bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  close(fd);
  return bound ? ntohs(address.sin_port) : uint16_t{0};
}

TemporaryFolder::TemporaryFolder() {
  const char* const root = std::getenv("TMPDIR");
  path_ = std::string(root == nullptr ? "/tmp" : root) + "/weir-redis-XXXXXX";
  if (mkdtemp(path_.data()) == nullptr) path_.clear();
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

RedisProcess::RedisProcess(const RedisOptions& options)
    : options_(options), unix_path_(folder_.path() + "/redis.sock") {}

std::unique_ptr<RedisProcess> RedisProcess::Start(const RedisOptions& options,
                                                  std::string* problem) {
  std::unique_ptr<RedisProcess> redis(new RedisProcess(options));
  // Somebody else may take the port between the look and the start.
  for (int i = 0; i < kPortTries; ++i) {
    redis->port_ = FreePort();
    if (redis->Launch(problem)) return redis;
    if (problem->find("in use") == std::string::npos) break;
  }
  return nullptr;
}

RedisProcess::~RedisProcess() { Kill(); }

bool RedisProcess::Launch(std::string* problem) {
  const std::string program = FindProgram(options_.program);
  if (program.empty()) {
    *problem = options_.program + " is not installed";
    return false;
  }
  const std::string log = folder_.path() + "/log";
  std::vector<std::string> arguments = {program,
                                        "--port",
                                        options_.tls_only ? "0" : std::to_string(port_),
                                        "--bind",
                                        "127.0.0.1",
                                        "--unixsocket",
                                        unix_path_,
                                        "--dir",
                                        folder_.path(),
                                        "--save",
                                        "",
                                        "--appendonly",
                                        "no",
                                        "--daemonize",
                                        "no"};
  arguments.insert(arguments.end(), options_.arguments.begin(), options_.arguments.end());
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  unlink(unix_path_.c_str());
  // From here to exec only what is safe in a child of a process with threads.
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves no server behind
    if (getppid() != parent) _exit(1);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    signal(SIGPIPE, SIG_DFL);
    const int out = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    execv(program.c_str(), argv.data());
    _exit(127);
  }
  for (int i = 0; i < kReadyPolls; ++i) {
    if (Answers()) return true;
    if (Exited()) break;
    poll(nullptr, 0, kPollMs);
  }
  Kill();
  *problem = program + " does not answer: " + ReadFile(log);
  return false;
}

bool RedisProcess::Answers() const {
  const std::string reply = Command({"PING"});
  return reply == "+PONG\r\n";
}

bool RedisProcess::Exited() {
  if (pid_ <= 0 || waitpid(pid_, nullptr, WNOHANG) != pid_) return false;
  pid_ = -1;
  return true;
}

void RedisProcess::Signal(int signal) const {
  if (pid_ > 0) kill(pid_, signal);
}

void RedisProcess::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void RedisProcess::Stop() {
  Signal(SIGTERM);
  for (int i = 0; i < kReadyPolls && !Exited(); ++i) poll(nullptr, 0, kPollMs);
  Kill();
}

bool RedisProcess::Restart(std::string* problem) {
  Kill();
  return Launch(problem);
}

std::string RedisProcess::Command(const std::vector<std::string>& arguments) const {
  const int fd = ConnectUnix(unix_path_);
  if (fd < 0) return "";
  std::string reply;
  if (!options_.login.empty()) reply = Exchange(fd, Encode(options_.login));
  if (options_.login.empty() || !reply.empty()) reply = Exchange(fd, Encode(arguments));
  close(fd);
  return reply;
}

}  // namespace weir::test
