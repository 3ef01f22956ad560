#include "limiter/store/redis/primary.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/resolver.h"
#include "limiter/store/redis/server_info.h"

namespace weir {
namespace {

// A connection that lasted this long was not lost to what ended the one before.
constexpr int64_t kLastingNs = 1'000'000'000;

// What a timer can tell apart.
constexpr int64_t kTimerNs = 1'000;

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

template <typename T>
void Set(std::atomic<T>& value, T to) {
  value.store(to, std::memory_order_relaxed);
}

}  // namespace

std::string_view NameOf(PrimaryState state) {
  switch (state) {
    case PrimaryState::kRecovering:
      return "recovering";
    case PrimaryState::kConnected:
      return "connected";
    case PrimaryState::kSuspect:
      return "suspect";
    case PrimaryState::kIsolated:
      return "isolated";
  }
  return "";
}

Primary::Primary(const Environment& environment, AddressSource& source, Listener& listener,
                 Options options)
    : environment_(environment),
      source_(source),
      listener_(listener),
      options_(std::move(options)),
      proposal_(options_.proposal),
      pong_([this](const redisReply* reply) { OnPong(reply); }),
      info_([this](const redisReply* reply) { OnInfo(reply); }),
      asked_([](const redisReply* /*reply*/) {}),
      link_(environment.base, environment.clock, options_.tls, options_.link, *this),
      handshake_(link_, *this),
      alive_(std::make_shared<Primary*>(this)),
      backoff_(options_.backoff, options_.seed),
      notes_(kNoteKinds) {
  for (std::size_t i = 0; i < options_.scripts.size(); ++i) {
    loads_.push_back({&options_.scripts[i], false, nullptr});
    loads_[i].sink = std::make_unique<OwnSink>(
        [this, i](const redisReply* /*reply*/) { loads_[i].pending = false; });
  }
  timer_ = NewEvent(0, [](evutil_socket_t, short, void* self) {
    auto& primary = *static_cast<Primary*>(self);
    if (primary.stage_ == Stage::kWaiting) {
      primary.OnWaited();
    } else if (primary.stage_ == Stage::kHandshaking) {
      primary.OnHandshakeFailed(Failure::kTimeout, "no answer in the handshake");
    }
  });
  ping_timer_ = NewEvent(EV_PERSIST, [](evutil_socket_t, short, void* self) {
    static_cast<Primary*>(self)->OnPingTimer();
  });
  owed_timer_ = NewEvent(
      0, [](evutil_socket_t, short, void* self) { static_cast<Primary*>(self)->CheckOwed(); });
}

Primary::~Primary() {
  // Sinks that send again are refused.
  stage_ = Stage::kIdle;
  state_.store(PrimaryState::kRecovering, std::memory_order_release);
  link_.Close("the connection was given up");
}

Event Primary::NewEvent(short what, event_callback_fn callback) {
  return Event(event_new(environment_.base, -1, what, callback, this));
}

void Primary::Start() {
  stopped_.store(false, std::memory_order_relaxed);
  Wait(false);
}

void Primary::Stop() {
  stopped_.store(true, std::memory_order_relaxed);
  stage_ = Stage::kIdle;
  ++attempt_;
  event_del(timer_.get());
  StopWatching();
  link_.Close("the connection is not needed any more");
  backoff_.Reset();
  address_ = {};
  {
    MutexLock lock(mutex_);
    texts_ = {};
  }
  SetState(PrimaryState::kRecovering);
}

// ---- Connecting

void Primary::Wait(bool fresh) {
  stage_ = Stage::kWaiting;
  const int64_t now_ns = environment_.clock.Now().mono_ns;
  attempt_due_ns_ = backoff_.NextNs(now_ns, fresh);
  StartTimer(timer_, attempt_due_ns_ - now_ns);
}

void Primary::OnWaited() {
  // libevent counts from the beginning of its turn, and may be early by as long as a turn takes.
  const int64_t early_ns = attempt_due_ns_ - environment_.clock.Now().mono_ns;
  if (early_ns > 0) {
    StartTimer(timer_, early_ns + kTimerNs);
  } else {
    BeginAttempt();
  }
}

void Primary::BeginAttempt() {
  stage_ = Stage::kFinding;
  ++attempt_;
  Count(stats_.attempts);
  backoff_.NoteAttempt(environment_.clock.Now().mono_ns);
  source_.Find([weak = std::weak_ptr<Primary*>(alive_),
                attempt = attempt_](const absl::StatusOr<RedisAddress>& address) {
    const std::shared_ptr<Primary*> alive = weak.lock();
    if (alive == nullptr) return;
    Primary& primary = **alive;
    if (primary.attempt_ == attempt && primary.stage_ == Stage::kFinding) primary.OnFound(address);
  });
}

void Primary::OnFound(const absl::StatusOr<RedisAddress>& address) {
  if (!address.ok()) {
    AttemptFailed(Failure::kResolve, std::string(address.status().message()));
    return;
  }
  address_ = *address;
  {
    MutexLock lock(mutex_);
    texts_.address = RedisAddressText(address_);
  }
  std::optional<std::vector<SocketAddress>> known = ResolveNumeric(address_);
  if (known.has_value()) {
    OnResolved(*std::move(known));
    return;
  }
  environment_.resolver.Post([&loop = environment_.loop, weak = std::weak_ptr<Primary*>(alive_),
                              attempt = attempt_, name = address_,
                              addresses_max = options_.addresses_max] {
    loop.Post([weak, attempt, resolved = ResolveName(name, addresses_max)] {
      const std::shared_ptr<Primary*> alive = weak.lock();
      if (alive == nullptr) return;
      Primary& primary = **alive;
      if (primary.attempt_ == attempt && primary.stage_ == Stage::kFinding) {
        primary.OnResolved(resolved);
      }
    });
  });
}

void Primary::OnResolved(absl::StatusOr<std::vector<SocketAddress>> addresses) {
  if (!addresses.ok()) {
    AttemptFailed(Failure::kResolve, std::string(addresses.status().message()));
    return;
  }
  addresses_ = *std::move(addresses);
  address_index_ = 0;
  if (addresses_.empty()) {
    AttemptFailed(Failure::kResolve, "the path of the socket is too long");
    return;
  }
  ConnectNext();
}

void Primary::ConnectNext() {
  stage_ = Stage::kConnecting;
  link_.Connect(addresses_[address_index_], address_.host);
}

void Primary::OnUp() {
  stage_ = Stage::kHandshaking;
  StartTimer(timer_, options_.handshake_timeout_ns);
  HandshakePlan plan;
  if (options_.login != nullptr) plan.login = options_.login();
  plan.db = options_.db;
  plan.client_name = options_.client_name;
  plan.scripts = options_.scripts;
  plan.with_meta = options_.with_meta;
  plan.meta_key = options_.meta_key;
  plan.proposal = proposal_;
  handshake_.Begin(plan);
}

void Primary::OnHandshakeFailed(Failure failure, std::string_view text) {
  const std::string what(text);
  event_del(timer_.get());
  link_.Close(what);
  AddressFailed(failure, what);
}

void Primary::AddressFailed(Failure failure, std::string_view text) {
  std::string where = addresses_[address_index_].text;
  if (!address_.host.empty() && !where.starts_with(address_.host)) {
    absl::StrAppend(&where, " (", address_.host, ")");
  }
  CountConnectionFailure(failure, absl::StrCat(where, ": ", std::string(text)));
  if (++address_index_ < addresses_.size()) {
    ConnectNext();
  } else {
    Wait(false);
  }
}

void Primary::AttemptFailed(Failure failure, std::string_view text) {
  // Without an address yet it is whoever was asked for one that failed.
  const bool known = !address_.host.empty() || !address_.unix_path.empty();
  std::string what = known ? RedisAddressText(address_) + ": " : "";
  CountConnectionFailure(failure, what.append(text));
  Wait(false);
}

void Primary::OnHandshakeDone(const HandshakeResult& result) {
  event_del(timer_.get());
  stage_ = Stage::kUp;
  Count(stats_.connects);
  up_since_ns_ = environment_.clock.Now().mono_ns;
  timeouts_ = 0;
  timeout_mark_ = 0;
  ping_owed_ = false;
  info_owed_ = false;
  probe_held_ = false;
  {
    MutexLock lock(mutex_);
    texts_.version = result.version;
  }
  Note(NoteLevel::kInfo, kConnectedNote,
       absl::StrCat(addresses_[address_index_].text, ": connected to Redis ", result.version));
  StartTimer(ping_timer_, options_.ping_interval_ns);
  if (result.meta.has_value()) {
    proposal_ = *result.meta;
    listener_.OnMeta(*result.meta);
  }
  NoteReplicationId(result.replication_id);
  SetState(PrimaryState::kConnected);
}

void Primary::OnDown(Failure failure, std::string_view text) {
  if (stage_ == Stage::kUp) {
    Lose(failure, text);
  } else {
    event_del(timer_.get());
    AddressFailed(failure, text);
  }
}

void Primary::Lose(Failure failure, std::string_view text) {
  const std::string what(text);
  // First of all, so that sinks which send again are refused.
  stage_ = Stage::kWaiting;
  StopWatching();
  link_.Close(what);
  CountConnectionFailure(failure, absl::StrCat(addresses_[address_index_].text, ": ", what));
  if (environment_.clock.Now().mono_ns - up_since_ns_ >= kLastingNs) backoff_.Reset();
  Wait(true);
  SetState(PrimaryState::kRecovering);
}

void Primary::Reconnect(std::string_view why) {
  if (stage_ == Stage::kUp) {
    Lose(Failure::kReplica, why);
  } else if (stage_ == Stage::kWaiting) {
    const int64_t now_ns = environment_.clock.Now().mono_ns;
    attempt_due_ns_ = std::min(attempt_due_ns_, backoff_.SoonNs(now_ns));
    StartTimer(timer_, attempt_due_ns_ - now_ns);
  }
}

// ---- Watching the connection in use

void Primary::OnReplies() {
  Set(stats_.bytes_sent, link_.bytes_sent());
  Set(stats_.bytes_received, link_.bytes_received());
  if (stage_ != Stage::kUp) return;
  if (link_.answered() > timeout_mark_) {
    timeouts_ = 0;
    if (state() == PrimaryState::kSuspect) SetState(PrimaryState::kConnected);
  }
  if (state() == PrimaryState::kIsolated && link_.owed() == 0 && !probe_held_) SendPing();
}

void Primary::StopWatching() {
  event_del(ping_timer_.get());
  event_del(owed_timer_.get());
  owed_armed_ = false;
}

void Primary::OnPingTimer() {
  probe_held_ = false;
  if (!ping_owed_) SendPing();
  if (!info_owed_) {
    std::string wire;
    AppendCommand(wire, {"INFO", "replication"});
    info_owed_ = link_.Send(wire, info_);
  }
  if (link_.owed() > 0) ArmOwed(options_.isolated_after_ns);
}

void Primary::SendPing() {
  std::string wire;
  AppendCommand(wire, {"PING"});
  ping_sent_ns_ = environment_.clock.Now().mono_ns;
  ping_owed_ = link_.Send(wire, pong_);
  if (ping_owed_) ArmOwed(options_.isolated_after_ns);
}

void Primary::OnPong(const redisReply* reply) {
  ping_owed_ = false;
  if (reply == nullptr) return;
  if (reply->type == REDIS_REPLY_ERROR) {
    probe_held_ = true;
    const std::string text(TextOf(*reply));
    const FailureRow& row = ClassifyError(text);
    NoteErrorReply(row, text);
    if (row.effect == FailureEffect::kRecover) Lose(row.failure, text);
    return;
  }
  const int64_t rtt_ns = environment_.clock.Now().mono_ns - ping_sent_ns_;
  Count(stats_.pings);
  Set(stats_.ping_rtt_ns, rtt_ns);
  if (state() != PrimaryState::kIsolated || link_.owed() > 0) return;
  if (rtt_ns >= options_.isolated_after_ns) return;
  timeouts_ = 0;
  // It was set for the end of a long silence.
  event_del(owed_timer_.get());
  owed_armed_ = false;
  Note(NoteLevel::kInfo, kAnswersNote,
       absl::StrCat(addresses_[address_index_].text, ": answers again"));
  SetState(PrimaryState::kConnected);
}

void Primary::OnInfo(const redisReply* reply) {
  info_owed_ = false;
  // Errors are judged on the PING beside it; a user who may not ask for INFO met that in the
  // handshake.
  if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) return;
  const std::string_view info = TextOf(*reply);
  if (InfoValue(info, "role") != "master") {
    Lose(Failure::kReplica, "INFO replication no longer says role:master");
    return;
  }
  NoteReplicationId(InfoValue(info, "master_replid"));
}

void Primary::NoteReplicationId(std::string_view id) {
  std::string before(id);
  {
    MutexLock lock(mutex_);
    std::swap(before, texts_.replication_id);
  }
  if (before.empty() || before == id) return;
  Count(stats_.failovers);
  Note(NoteLevel::kWarning, kFailoverNote,
       absl::StrCat(addresses_[address_index_].text,
                    ": failover: another history of writes (master_replid ", OneLine(before),
                    " -> ", OneLine(id), ")"));
  listener_.OnFailover();
}

void Primary::ArmOwed(int64_t in_ns) {
  if (owed_armed_) return;
  owed_armed_ = true;
  StartTimer(owed_timer_, in_ns);
}

void Primary::CheckOwed() {
  owed_armed_ = false;
  if (stage_ != Stage::kUp || link_.owed() == 0) return;
  const int64_t waited_ns = environment_.clock.Now().mono_ns - link_.owed_since_ns();
  if (waited_ns >= options_.silence_max_ns) {
    Lose(Failure::kTimeout, absl::StrCat("no reply for ", waited_ns / 1'000'000, " ms"));
    return;
  }
  if (waited_ns >= options_.isolated_after_ns) {
    Isolate(absl::StrCat("no reply for ", waited_ns / 1'000'000, " ms"));
    ArmOwed(options_.silence_max_ns - waited_ns);
  } else {
    ArmOwed(options_.isolated_after_ns - waited_ns);
  }
}

void Primary::NoteTimeout() {
  Count(stats_.timeouts);
  if (stage_ != Stage::kUp || link_.owed() == 0) return;
  timeout_mark_ = link_.sent();
  ++timeouts_;
  if (timeouts_ >= options_.isolated_after_timeouts) {
    Isolate(absl::StrCat(timeouts_, " waits in vain"));
  } else if (timeouts_ >= options_.suspect_after_timeouts && state() == PrimaryState::kConnected) {
    SetState(PrimaryState::kSuspect);
  }
}

void Primary::Isolate(std::string_view why) {
  if (state() == PrimaryState::kIsolated) return;
  Count(stats_.isolations);
  std::string text = absl::StrCat(addresses_[address_index_].text, ": isolated after ");
  text.append(why).append("; on_store_failure decides until it answers");
  Note(NoteLevel::kWarning, kIsolatedNote, text);
  SetState(PrimaryState::kIsolated);
}

// ---- Telling

void Primary::SetState(PrimaryState state) {
  if (TakesCalls(this->state()) && !TakesCalls(state)) listener_.OnOutage();
  // Release: who sees the state sees what the listener was told before.
  if (state_.exchange(state, std::memory_order_acq_rel) != state) listener_.OnState(state);
}

void Primary::CountConnectionFailure(Failure failure, std::string_view text) {
  Count(stats_.connection_failures[static_cast<std::size_t>(failure)]);
  const std::string what = WithRemedy(text, RowOf(failure));
  {
    MutexLock lock(mutex_);
    texts_.last_error = what;
  }
  Note(NoteLevel::kWarning, static_cast<std::size_t>(failure), what);
}

void Primary::Note(NoteLevel level, std::size_t kind, const std::string& text) {
  if (!notes_.Allow(kind, text, environment_.clock.Now().mono_ns)) return;
  listener_.OnNote(level, absl::StrCat("redis ", text));
}

Primary::Texts Primary::texts() const {
  MutexLock lock(mutex_);
  return texts_;
}

}  // namespace weir
