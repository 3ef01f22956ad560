#pragma once

// A primary on the event loop of a test, and what it told.
//
// Thread safety: one thread runs everything but the executors' Post.

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/executor.h"
#include "limiter/core/mutex.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/store/redis/primary.h"

namespace weir::test {

// An event loop that the test turns.
class TestLoop : public Executor {
 public:
  TestLoop() : base_(event_base_new()), fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    wake_ = event_new(
        base_, fd_, EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* self) { static_cast<TestLoop*>(self)->RunTasks(); }, this);
    event_add(wake_, nullptr);
    // So that Until looks at its condition even when nothing happens.
    tick_ = event_new(
        base_, -1, EV_PERSIST, [](evutil_socket_t, short, void*) {}, nullptr);
    const timeval every = {0, 1'000};
    event_add(tick_, &every);
  }
  ~TestLoop() override {
    event_free(wake_);
    event_free(tick_);
    close(fd_);
    event_base_free(base_);
  }

  event_base* base() { return base_; }
  Clock& clock() { return clock_; }
  int64_t NowNs() { return clock_.Now().mono_ns; }

  void Post(std::function<void()> task) override {
    {
      MutexLock lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(fd_, &one, sizeof(one));
  }

  // Turns the loop until `done`; false after `deadline_ms`.
  bool Until(const std::function<bool()>& done, int64_t deadline_ms = 10'000) {
    const int64_t deadline_ns = NowNs() + deadline_ms * 1'000'000;
    while (!done()) {
      const int64_t began_ns = NowNs();
      if (began_ns >= deadline_ns) return false;
      event_base_loop(base_, EVLOOP_ONCE);
      stalled_ns_ += std::max<int64_t>(NowNs() - began_ns - kTurnNs, 0);
    }
    return true;
  }
  // How long in all the machine kept this thread from running: turns take a millisecond at most.
  // What a test measures beside a busy neighbour is that much longer.
  int64_t stalled_ns() const { return stalled_ns_; }
  // Turns it for that long: for what must not happen meanwhile.
  void For(int64_t ms) {
    Until([] { return false; }, ms);
  }

 private:
  static constexpr int64_t kTurnNs = 5'000'000;

  void RunTasks() {
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t bytes = read(fd_, &count, sizeof(count));
    std::vector<std::function<void()>> tasks;
    {
      MutexLock lock(mutex_);
      std::swap(tasks, tasks_);
    }
    for (const auto& task : tasks) task();
  }

  SystemClock clock_;
  event_base* const base_;
  const int fd_;
  event* wake_ = nullptr;
  event* tick_ = nullptr;
  int64_t stalled_ns_ = 0;
  Mutex mutex_;
  std::vector<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
};

// How one command ended.
class Ending final : public CommandSink {
 public:
  void OnReply(const redisReply& reply) override {
    ++calls;
    type = reply.type;
    integer = reply.integer;
    text = TextOf(reply);
    if (then != nullptr) then();
  }
  void OnFailure(Failure why, std::string_view what) override {
    ++calls;
    failure = why;
    text = what;
    if (then != nullptr) then();
  }
  bool done() const { return calls > 0; }

  int calls = 0;
  int type = 0;
  long long integer = 0;
  Failure failure = Failure::kNone;
  std::string text;
  std::function<void()> then;  // runs within the call
};

class Recorder final : public Primary::Listener {
 public:
  void OnState(PrimaryState state) override { states.push_back(state); }
  void OnMeta(const Meta& meta) override { metas.push_back(meta); }
  void OnFailover() override { ++failovers; }
  void OnNote(NoteLevel /*level*/, std::string_view text) override { notes.emplace_back(text); }

  bool Noted(std::string_view part) const {
    for (const std::string& note : notes) {
      if (note.find(part) != std::string::npos) return true;
    }
    return false;
  }

  std::vector<PrimaryState> states;
  std::vector<Meta> metas;
  int failovers = 0;
  std::vector<std::string> notes;
};

// Where the primary is, as long as the test does not say otherwise; and when it was asked.
class TestAddress final : public Primary::AddressSource {
 public:
  TestAddress(TestLoop& loop, RedisAddress a) : address(std::move(a)), loop_(loop) {}
  void Find(Found found) override {
    asked_ns.push_back(loop_.NowNs());
    found(address);
  }

  absl::StatusOr<RedisAddress> address;
  std::vector<int64_t> asked_ns;

 private:
  TestLoop& loop_;
};

// One primary with all it needs. Options are changed before Start.
class TestedPrimary {
 public:
  TestedPrimary(TestLoop& loop, RedisAddress address)
      : source(loop, std::move(address)), loop_(loop) {
    // Most tests care for what happens next, not for when: soon, and not because a busy machine
    // was late.
    options.backoff = {5'000'000, 20'000'000, 10'000'000};
    options.link.connect_timeout_ns = 10'000'000'000;
    options.handshake_timeout_ns = 10'000'000'000;
    options.isolated_after_ns = 10'000'000'000;
    options.silence_max_ns = 20'000'000'000;
  }

  // For tests of the times themselves.
  void UseProductionTimes() {
    const Primary::Options production;
    options.backoff = production.backoff;
    options.link.connect_timeout_ns = production.link.connect_timeout_ns;
    options.handshake_timeout_ns = production.handshake_timeout_ns;
    options.isolated_after_ns = production.isolated_after_ns;
    options.silence_max_ns = production.silence_max_ns;
  }

  void Start() {
    primary = std::make_unique<Primary>(
        Primary::Environment{loop_.base(), loop_, resolver_, loop_.clock()}, source, listener,
        options);
    primary->Start();
  }
  bool Connect(int64_t deadline_ms = 10'000) {
    Start();
    return Reaches(PrimaryState::kConnected, deadline_ms);
  }
  bool Reaches(PrimaryState state, int64_t deadline_ms = 10'000) {
    return loop_.Until([&] { return primary->state() == state; }, deadline_ms);
  }
  // Sends one command and waits for its end.
  bool Ask(Ending& ending, std::initializer_list<std::string_view> arguments,
           const Script* script = nullptr) {
    return Send(ending, arguments, script) && loop_.Until([&] { return ending.done(); });
  }
  bool Send(Ending& ending, std::initializer_list<std::string_view> arguments,
            const Script* script = nullptr) {
    std::string wire;
    AppendCommand(wire, arguments);
    return primary->Send(wire, script, ending);
  }
  uint64_t ConnectionFailures(Failure failure) const {
    return primary->stats().connection_failures[static_cast<std::size_t>(failure)];
  }
  uint64_t CommandFailures(Failure failure) const {
    return primary->stats().command_failures[static_cast<std::size_t>(failure)];
  }

  Primary::Options options;
  TestAddress source;
  Recorder listener;
  std::unique_ptr<Primary> primary;

 private:
  TestLoop& loop_;
  ThreadExecutor resolver_;  // ends before the primary does, and posts to the loop at most
};

}  // namespace weir::test
