#include "limiter/config/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/config/watcher_inotify.h"

namespace weir {
namespace {

// Under a stream of changes the folder is read after this many times the quiet time.
constexpr int64_t kPatience = 5;
// Times in a row that a read is thrown away because the folder changed during it.
constexpr int kRestlessReadsMax = 5;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

// Fires once after `delay_ms`; 0 disarms.
void Arm(const Descriptor& timer, int64_t delay_ms) {
  itimerspec when{};
  when.it_value.tv_sec = delay_ms / 1000;
  when.it_value.tv_nsec = (delay_ms % 1000) * 1'000'000;
  timerfd_settime(timer.get(), 0, &when, nullptr);
}

// Eventfds and timerfds alike hold one count of eight bytes.
void Clear(const Descriptor& counter) {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t size = read(counter.get(), &count, sizeof(count));
}

}  // namespace

// Waits for signs of change and reads the folder. Run belongs to the thread, Wake to everyone.
class RuleWatcher::Loop {
 public:
  Loop(std::string path, KnownRules known, const RuleWatcherOptions& options,
       RuleWatcherCallbacks callbacks)
      : path_(std::move(path)),
        options_(options),
        callbacks_(std::move(callbacks)),
        hash_(std::move(known.hash)),
        status_(std::move(known.status)) {}

  bool ready() const {
    return wake_.get() >= 0 && quiet_.get() >= 0 && patience_.get() >= 0 && poll_.get() >= 0;
  }

  void Wake(bool stop) {
    // Relaxed is enough: whoever takes the count from the eventfd, or sees it readable, took the
    // kernel's lock on it after this thread did.
    if (stop) stop_.store(true, std::memory_order_relaxed);
    const int saved_errno = errno;  // a signal handler must leave it alone
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t size = write(wake_.get(), &one, sizeof(one));
    errno = saved_errno;
  }

  void Run() {
    Reload();
    // Reload takes the wake-ups there are, a stop's among them, so the flag is read after it.
    while (!stop_.load(std::memory_order_relaxed)) {
      std::array<pollfd, 5> fds = {{{wake_.get(), POLLIN, 0},
                                    {quiet_.get(), POLLIN, 0},
                                    {patience_.get(), POLLIN, 0},
                                    {poll_.get(), POLLIN, 0},
                                    {watches_.fd(), POLLIN, 0}}};  // -1 is ignored by poll
      if (poll(fds.data(), fds.size(), -1) < 0) continue;          // EINTR
      if (fds[4].revents != 0 && watches_.Drain()) NoteChange();
      const bool due =
          fds[0].revents != 0 || fds[1].revents != 0 || fds[2].revents != 0 || fds[3].revents != 0;
      if (due) Reload();
    }
  }

 private:
  void NoteChange() {
    const int64_t quiet_ms = std::max<int64_t>(options_.debounce_ms, 1);  // 0 would disarm
    Arm(quiet_, quiet_ms);
    if (!waiting_) Arm(patience_, kPatience * quiet_ms);
    waiting_ = true;
  }

  void Reload() {
    for (const Descriptor* counter : {&wake_, &quiet_, &patience_, &poll_}) Clear(*counter);
    Arm(quiet_, 0);
    Arm(patience_, 0);
    Arm(poll_, options_.poll_interval_ms);
    waiting_ = false;

    if (options_.inotify) watches_.Watch(path_);
    absl::StatusOr<std::vector<RuleFile>> files = ReadRuleFolder(path_, options_.folder);
    // What changed while it was read may be half of a change of several files.
    if (watches_.Drain()) {
      NoteChange();
      if (++restless_reads_ < kRestlessReadsMax) return;
    }
    restless_reads_ = 0;
    const absl::Status status = files.status();
    if (status.ok()) ReportContent(*std::move(files));
    ReportStatus(status);
  }

  void ReportContent(std::vector<RuleFile> files) {
    std::string hash = HashRuleFiles(files);
    if (hash == hash_) return;
    hash_ = hash;
    callbacks_.on_change(std::move(files), std::move(hash));
  }

  void ReportStatus(const absl::Status& status) {
    if (status == status_) return;
    status_ = status;
    if (callbacks_.on_status) callbacks_.on_status(status);
  }

  const std::string path_;
  const RuleWatcherOptions options_;
  const RuleWatcherCallbacks callbacks_;

  const Descriptor wake_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  const Descriptor quiet_{timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
  const Descriptor patience_{timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
  const Descriptor poll_{timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)};
  std::atomic<bool> stop_{false};

  // Of the thread alone.
  FolderWatches watches_;
  std::string hash_;
  absl::Status status_;
  bool waiting_ = false;  // between the first sign of a change and the reading
  int restless_reads_ = 0;
};

absl::StatusOr<std::unique_ptr<RuleWatcher>> RuleWatcher::Start(std::string path, KnownRules known,
                                                                const RuleWatcherOptions& options,
                                                                RuleWatcherCallbacks callbacks) {
  auto loop =
      std::make_unique<Loop>(std::move(path), std::move(known), options, std::move(callbacks));
  if (!loop->ready()) {
    return absl::ResourceExhaustedError("no file descriptors to watch the rules folder");
  }
  std::unique_ptr<RuleWatcher> watcher(new RuleWatcher(std::move(loop)));
  try {
    watcher->thread_ = std::thread([loop = watcher->loop_.get()] { loop->Run(); });
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(std::string("no thread to watch the rules folder: ") +
                                        error.what());
  }
  return watcher;
}

RuleWatcher::RuleWatcher(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

RuleWatcher::~RuleWatcher() {
  if (!thread_.joinable()) return;
  loop_->Wake(/*stop=*/true);
  thread_.join();
}

void RuleWatcher::Poke() { loop_->Wake(/*stop=*/false); }

}  // namespace weir
