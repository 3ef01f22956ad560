// weir_grpc_load: a load generator for ShouldRateLimit that checks every answer.
//
// One thread drives all connections through one completion queue. Closed loop by default: every
// stream sends its next call when the last one is answered, which finds the ceiling. With --rate
// the loop is open: sends follow a schedule fixed ahead of time, and latency counts from the
// intended send time, so a stalled server cannot hide the calls it kept waiting.
//
//   weir_grpc_load --target=127.0.0.1:8081 --connections=4 --streams=25 --seconds=3
//       [--rate=CALLS_PER_SECOND] [--denied=SHARE] [--keys=10000] [--domain=bench]
//       [--warmup=SECONDS] [--pin=CPU] [--server-pid=PID]
//
// Each call asks for one descriptor of one entry: ("user", "u<k>"), or ("denied", "u<k>") for the
// given share of calls, k uniform. One JSON line tells the result; the exit code is 1 if any call
// failed. README.md says what each field means and when a result is valid.
#include <fcntl.h>
#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "bench/grpc_load_histogram.h"
#include "bench/transport_flags.h"
#include "envoy/service/ratelimit/v3/rls.grpc.pb.h"

namespace weir::bench {
namespace {

using envoy::service::ratelimit::v3::RateLimitRequest;
using envoy::service::ratelimit::v3::RateLimitResponse;
using envoy::service::ratelimit::v3::RateLimitService;

constexpr int64_t kNsPerSecond = 1'000'000'000;
// Calls still unanswered this long after the end are cancelled and counted as errors.
constexpr int64_t kDrainNs = 5 * kNsPerSecond;
// The queue's timer has millisecond steps, so within this distance of the next send the open loop
// polls without sleeping. It costs the generator's core, not the schedule.
constexpr int64_t kSpinNs = 2'000'000;

struct Options {
  std::string target;
  std::string domain;
  int connections = 1;
  int streams = 1;     // calls in flight per connection, at most
  double seconds = 3;  // measured; the warm-up comes on top
  double warmup_seconds = 0.5;
  double calls_per_second = 0;  // open loop; 0 means closed loop
  double denied_share = 0;      // of calls that use the key "denied"
  uint32_t keys = 10'000;
  int pin_cpu = -1;    // -1: not pinned
  int server_pid = 0;  // 0: the server's CPU time is not read
};

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t OwnCpuNs() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& time) {
    return int64_t{time.tv_sec} * kNsPerSecond + int64_t{time.tv_usec} * 1'000;
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

// User and system time of a process with all its threads, in steps of a clock tick (10 ms);
// nullopt if it cannot be read. Source: proc(5), fields 14 and 15 of /proc/PID/stat.
std::optional<int64_t> ProcessCpuNs(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (pid <= 0 || !std::getline(file, line)) return std::nullopt;
  const size_t name_end = line.rfind(')');  // the name may hold spaces and parentheses
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user_ticks = 0;
  int64_t system_ticks = 0;
  if (!(fields >> user_ticks >> system_ticks)) return std::nullopt;
  return (user_ticks + system_ticks) * (kNsPerSecond / sysconf(_SC_CLK_TCK));
}

// What is measured between the end of the warm-up and the end of the run.
struct Totals {
  uint64_t calls = 0;       // answered well within the measured time
  uint64_t over_limit = 0;  // of these, answered OVER_LIMIT
  uint64_t errors = 0;      // at any time: status not OK, or not one status that has a limit
  int64_t measured_ns = 0;
  int64_t own_cpu_ns = 0;
  std::optional<int64_t> server_cpu_ns;
  LatencyHistogram latency;
  LatencyHistogram send_lag;  // open loop: how late each call left
  std::string first_error;
};

// One stream of the load: at most one call in flight.
struct Stream {
  RateLimitService::Stub* stub = nullptr;
  std::optional<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientAsyncResponseReader<RateLimitResponse>> reader;
  RateLimitResponse response;
  grpc::Status status;
  int64_t intended_ns = 0;
  bool in_flight = false;
};

class Generator {
 public:
  explicit Generator(const Options& options)
      : options_(options),
        interval_ns_(options.calls_per_second > 0
                         ? static_cast<double>(kNsPerSecond) / options.calls_per_second
                         : 0) {
    request_.set_domain(options.domain);
    entry_ = request_.add_descriptors()->add_entries();
  }

  // Opens all connections; false if one is not there within 5 s. Distinct arguments and a pool per
  // channel: otherwise gRPC merges equal channels into one connection.
  [[nodiscard]] bool Connect() {
    for (int i = 0; i < options_.connections; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt("weir.load.connection", i);
      arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
      arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
      channels_.push_back(grpc::CreateCustomChannel(options_.target,
                                                    grpc::InsecureChannelCredentials(), arguments));
      stubs_.push_back(RateLimitService::NewStub(channels_.back()));
    }
    const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(5);
    for (auto& channel : channels_) {
      if (!channel->WaitForConnected(deadline)) return false;
    }
    streams_ = std::vector<Stream>(static_cast<size_t>(options_.connections) *
                                   static_cast<size_t>(options_.streams));
    for (size_t i = 0; i < streams_.size(); ++i) {
      streams_[i].stub = stubs_[i % stubs_.size()].get();
    }
    return true;
  }

  // Runs warm-up, measurement and drain. REQUIRES: Connect has returned true.
  Totals Run() {
    begin_ns_ = NowNs() + static_cast<int64_t>(options_.warmup_seconds * kNsPerSecond);
    end_ns_ = begin_ns_ + static_cast<int64_t>(options_.seconds * kNsPerSecond);
    schedule_start_ns_ = NowNs();
    for (Stream& stream : streams_) idle_.push_back(&stream);
    if (!OpenLoop()) {
      while (!idle_.empty()) Send(NowNs());
    }
    bool cancelled = false;
    while (phase_ != Phase::kOver || in_flight_ > 0) {
      const int64_t now_ns = NowNs();
      ChangePhase(now_ns);
      if (phase_ != Phase::kOver && OpenLoop()) SendWhatIsDue(now_ns);
      if (phase_ == Phase::kOver && now_ns > end_ns_ + kDrainNs && !cancelled) {
        cancelled = true;
        CancelAll();
      }
      Wait(now_ns);
    }
    return totals_;
  }

 private:
  enum class Phase { kWarmup, kMeasured, kOver };

  bool OpenLoop() const { return interval_ns_ > 0; }

  // The CPU times of both sides are read at the same two moments as the calls are counted.
  void ChangePhase(int64_t now_ns) {
    const bool begins = phase_ == Phase::kWarmup && now_ns >= begin_ns_;
    const bool ends = phase_ == Phase::kMeasured && now_ns >= end_ns_;
    if (!begins && !ends) return;
    const auto server_cpu_ns = ProcessCpuNs(options_.server_pid);
    if (begins) {
      phase_ = Phase::kMeasured;
      measured_from_ns_ = now_ns;
      own_cpu_from_ns_ = OwnCpuNs();
      server_cpu_from_ns_ = server_cpu_ns;
      return;
    }
    phase_ = Phase::kOver;
    totals_.measured_ns = now_ns - measured_from_ns_;
    totals_.own_cpu_ns = OwnCpuNs() - own_cpu_from_ns_;
    if (server_cpu_ns && server_cpu_from_ns_) {
      totals_.server_cpu_ns = *server_cpu_ns - *server_cpu_from_ns_;
    }
  }

  // Sends every call whose time has come, as long as a stream is free. Calls that find none stay
  // due: they leave late, and their latency counts from the time they were meant to leave.
  void SendWhatIsDue(int64_t now_ns) {
    while (!idle_.empty() && NextDueNs() <= now_ns && NextDueNs() < end_ns_) {
      const int64_t due_ns = NextDueNs();
      ++sent_;
      if (due_ns >= begin_ns_) totals_.send_lag.Record(now_ns - due_ns);
      Send(due_ns);
      now_ns = NowNs();
    }
  }

  int64_t NextDueNs() const {
    return schedule_start_ns_ + static_cast<int64_t>(static_cast<double>(sent_) * interval_ns_);
  }

  // REQUIRES: a stream is idle.
  void Send(int64_t intended_ns) {
    Stream& stream = *idle_.back();
    idle_.pop_back();
    const bool denied = options_.denied_share > 0 && share_(random_) < options_.denied_share;
    entry_->set_key(denied ? "denied" : "user");
    char value[16];
    const int length = std::snprintf(value, sizeof value, "u%u", key_(random_));
    entry_->set_value(value, static_cast<size_t>(length));
    stream.reader.reset();
    stream.context.emplace();
    stream.intended_ns = intended_ns;
    stream.in_flight = true;
    ++in_flight_;
    stream.reader = stream.stub->AsyncShouldRateLimit(&*stream.context, request_, &queue_);
    stream.reader->Finish(&stream.response, &stream.status, &stream);
  }

  // Handles one answer if there is one. Never sleeps past the next send or change of phase by
  // more than a tick of the queue's timer.
  void Wait(int64_t now_ns) {
    int64_t patience_ns = 10'000'000;
    const int64_t phase_end_ns = phase_ == Phase::kWarmup ? begin_ns_ : end_ns_;
    if (phase_ != Phase::kOver) patience_ns = std::min(patience_ns, phase_end_ns - now_ns);
    if (phase_ != Phase::kOver && OpenLoop() && !idle_.empty()) {
      patience_ns = std::min(patience_ns, NextDueNs() - now_ns - kSpinNs);
    }
    // gRPC rounds a deadline up to the next millisecond, so only the infinite past does not sleep.
    const gpr_timespec deadline =
        patience_ns <= 0 ? gpr_inf_past(GPR_CLOCK_MONOTONIC)
                         : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                        gpr_time_from_nanos(patience_ns, GPR_TIMESPAN));
    void* tag = nullptr;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return;
    Receive(static_cast<Stream*>(tag), NowNs());
  }

  void Receive(Stream* stream, int64_t now_ns) {
    --in_flight_;
    stream->in_flight = false;
    const bool good = Check(*stream);
    if (good && phase_ == Phase::kMeasured) {
      ++totals_.calls;
      if (stream->response.overall_code() == RateLimitResponse::OVER_LIMIT) ++totals_.over_limit;
    }
    if (good && stream->intended_ns >= begin_ns_ && stream->intended_ns < end_ns_) {
      totals_.latency.Record(now_ns - stream->intended_ns);
    }
    idle_.push_back(stream);
    if (!OpenLoop() && phase_ != Phase::kOver) Send(now_ns);
  }

  // A status without a limit means that no rule matched: a shorter path than the one to measure.
  bool Check(const Stream& stream) {
    const bool good = stream.status.ok() && stream.response.statuses_size() == 1 &&
                      stream.response.statuses(0).has_current_limit() &&
                      stream.response.overall_code() != RateLimitResponse::UNKNOWN;
    if (good) return true;
    ++totals_.errors;
    if (!totals_.first_error.empty()) return false;
    totals_.first_error = stream.status.ok() ? "answer without one status that has a limit: " +
                                                   stream.response.ShortDebugString()
                                             : stream.status.error_message();
    return false;
  }

  void CancelAll() {
    for (Stream& stream : streams_) {
      if (stream.in_flight) stream.context->TryCancel();
    }
  }

  const Options options_;
  const double interval_ns_;  // between two sends of the open loop; 0 for the closed loop
  RateLimitRequest request_;
  envoy::extensions::common::ratelimit::v3::RateLimitDescriptor::Entry* entry_ = nullptr;
  std::mt19937 random_{20'240'501};  // fixed: two runs send the same keys
  std::uniform_int_distribution<uint32_t> key_{0, options_.keys - 1};
  std::uniform_real_distribution<double> share_{0, 1};

  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<RateLimitService::Stub>> stubs_;
  grpc::CompletionQueue queue_;
  std::vector<Stream> streams_;
  std::vector<Stream*> idle_;

  Phase phase_ = Phase::kWarmup;
  int64_t schedule_start_ns_ = 0;
  int64_t begin_ns_ = 0;
  int64_t end_ns_ = 0;
  int64_t measured_from_ns_ = 0;
  int64_t own_cpu_from_ns_ = 0;
  std::optional<int64_t> server_cpu_from_ns_;
  uint64_t sent_ = 0;
  uint64_t in_flight_ = 0;
  Totals totals_;
};

void Print(const Totals& totals) {
  const double seconds = static_cast<double>(totals.measured_ns) / kNsPerSecond;
  const auto quantile_us = [](const LatencyHistogram& histogram, double share) {
    return static_cast<double>(histogram.QuantileNs(share)) / 1e3;
  };
  std::printf("{\"calls\": %llu, \"errors\": %llu, \"over_limit\": %llu, \"seconds\": %.3f, ",
              static_cast<unsigned long long>(totals.calls),
              static_cast<unsigned long long>(totals.errors),
              static_cast<unsigned long long>(totals.over_limit), seconds);
  std::printf("\"calls_per_second\": %.0f, ", static_cast<double>(totals.calls) / seconds);
  std::printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, ",
              quantile_us(totals.latency, 0.5), quantile_us(totals.latency, 0.99),
              quantile_us(totals.latency, 0.999),
              static_cast<double>(totals.latency.max_ns()) / 1e3);
  if (totals.send_lag.total() > 0) {
    std::printf("\"send_lag_p99_us\": %.1f, ", quantile_us(totals.send_lag, 0.99));
  }
  if (totals.server_cpu_ns && totals.calls > 0) {
    std::printf(
        "\"server_cpu_us_per_call\": %.2f, \"server_cpu_share\": %.3f, ",
        static_cast<double>(*totals.server_cpu_ns) / 1e3 / static_cast<double>(totals.calls),
        static_cast<double>(*totals.server_cpu_ns) / static_cast<double>(totals.measured_ns));
  }
  std::printf("\"generator_cpu_seconds\": %.3f, \"generator_cpu_share\": %.3f}\n",
              static_cast<double>(totals.own_cpu_ns) / kNsPerSecond,
              static_cast<double>(totals.own_cpu_ns) / static_cast<double>(totals.measured_ns));
}

bool PinTo(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}

int Main(int argc, char** argv) {
  Flags flags(argc, argv);
  Options options;
  options.target = flags.TakeText("target", "127.0.0.1:8081");
  options.domain = flags.TakeText("domain", "bench");
  options.connections = flags.Take("connections", options.connections);
  options.streams = flags.Take("streams", options.streams);
  options.seconds = flags.Take("seconds", options.seconds);
  options.warmup_seconds = flags.Take("warmup", options.warmup_seconds);
  options.calls_per_second = flags.Take("rate", options.calls_per_second);
  options.denied_share = flags.Take("denied", options.denied_share);
  options.keys = flags.Take("keys", options.keys);
  options.pin_cpu = flags.Take("pin", options.pin_cpu);
  options.server_pid = flags.Take("server-pid", options.server_pid);
  if (options.connections < 1 || options.streams < 1 || options.keys < 1 || options.seconds <= 0) {
    flags.Complain("must be above 0", "--connections, --streams, --keys, --seconds");
  }
  if (!flags.Finish()) return 2;
  if (options.pin_cpu >= 0 && !PinTo(options.pin_cpu)) {
    std::fprintf(stderr, "cannot run on CPU %d alone\n", options.pin_cpu);
    return 2;
  }
  if (options.server_pid != 0 && !ProcessCpuNs(options.server_pid)) {
    std::fprintf(stderr, "cannot read the CPU time of process %d\n", options.server_pid);
    return 2;
  }
  Generator generator(options);
  if (!generator.Connect()) {
    std::fprintf(stderr, "cannot connect to %s\n", options.target.c_str());
    return 1;
  }
  const Totals totals = generator.Run();
  Print(totals);
  if (totals.errors > 0) std::fprintf(stderr, "first error: %s\n", totals.first_error.c_str());
  return totals.errors == 0 && totals.calls > 0 ? 0 : 1;
}

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) { return weir::bench::Main(argc, argv); }
