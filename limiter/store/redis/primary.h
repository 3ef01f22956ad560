#pragma once

// One kept-up connection to one Redis primary: it connects, shakes hands, pipelines commands,
// notices when answers stay away, and connects again.
//
//   RECOVERING  no connection: an address is asked for, its name resolved, a socket connected, the
//               handshake done; between attempts a pause with full jitter
//   CONNECTED   commands are answered
//   SUSPECT     the owner waited in vain; commands are still taken. Ends with the next reply to a
//               command sent after that
//   ISOLATED    three such waits, or a reply owed for 100 ms: no command is taken, nobody waits.
//               When everything owed has come after all, one PING is the probe: answered in time,
//               the same connection is CONNECTED again. Without any reply for `silence_max_ns` it
//               is given up for a new one
//
// Thread safety: the loop's thread, but for what says otherwise. Callbacks must not destroy it.
//
// Invariants:
//  1. Every command that Send took ends in exactly one call of its sink.
//  2. A command is sent twice only if Redis said it had not run it (NOSCRIPT), and then once more.
//  3. At most one attempt to connect begins per BackoffOptions::interval_min_ns.

#include <event2/event.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/core/clock.h"
#include "limiter/core/executor.h"
#include "limiter/core/mutex.h"
#include "limiter/store/pool.h"
#include "limiter/store/redis/address.h"
#include "limiter/store/redis/backoff.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/failure.h"
#include "limiter/store/redis/handshake.h"
#include "limiter/store/redis/link.h"
#include "limiter/store/redis/meta.h"
#include "limiter/store/redis/note_limit.h"
#include "limiter/store/redis/scripts.h"
#include "limiter/store/redis/stream.h"
#include "limiter/store/redis/tls_context.h"

namespace weir {

enum class PrimaryState : uint8_t { kRecovering, kConnected, kSuspect, kIsolated };

// "recovering", "connected", …: the label of metrics.
std::string_view NameOf(PrimaryState state);

inline bool TakesCalls(PrimaryState state) {
  return state == PrimaryState::kConnected || state == PrimaryState::kSuspect;
}

// Counters may be read from any thread; each stands for itself.
struct PrimaryStats {
  std::atomic<uint64_t> attempts{0};  // to connect; one may go through several addresses
  std::atomic<uint64_t> connects{0};  // handshakes done
  std::atomic<uint64_t> commands{0};
  std::atomic<uint64_t> in_flight{0};       // commands without their answer
  std::atomic<uint64_t> refused{0};         // commands not taken, for the cap on those in flight
  std::atomic<uint64_t> timeouts{0};        // NoteTimeout
  std::atomic<uint64_t> isolations{0};      // times ISOLATED began
  std::atomic<uint64_t> failovers{0};       // master_replid changed
  std::atomic<uint64_t> script_resends{0};  // commands sent again after NOSCRIPT
  std::atomic<uint64_t> pings{0};           // answered
  std::atomic<int64_t> ping_rtt_ns{0};      // of the last one
  std::atomic<uint64_t> bytes_sent{0};
  std::atomic<uint64_t> bytes_received{0};
  // Of commands, by what their sink was told; the index is the Failure.
  std::array<std::atomic<uint64_t>, kFailures> command_failures{};
  // Connections that ended or were not made, by why.
  std::array<std::atomic<uint64_t>, kFailures> connection_failures{};
};

enum class NoteLevel : uint8_t { kInfo, kWarning };

class Primary final : private Link::Owner, private Handshake::Owner {
 public:
  // Who is told. All on the loop's thread.
  class Listener {
   public:
    virtual void OnState(PrimaryState /*state*/) {}
    // It takes no calls from now on. Before anybody can see that in state().
    virtual void OnOutage() {}
    // In each handshake with_meta: what holds. Before OnState(kConnected).
    virtual void OnMeta(const Meta& /*meta*/) {}
    // It is another server, or the same with another history: what was granted before may be
    // forgotten there. Before OnState(kConnected) if that was found out in the handshake.
    virtual void OnFailover() {}
    // One line for the log, without control characters. What repeats is left out for 10 s.
    virtual void OnNote(NoteLevel /*level*/, std::string_view /*text*/) {}

   protected:
    virtual ~Listener() = default;
  };

  // Where the primary is; asked before each attempt to connect, on the loop's thread.
  class AddressSource {
   public:
    using Found = std::function<void(absl::StatusOr<RedisAddress>)>;
    // Calls `found` once, on the loop's thread, now or later; within bounded time, since nothing
    // else is tried meanwhile.
    virtual void Find(Found found) = 0;

   protected:
    virtual ~AddressSource() = default;
  };

  struct Options {
    std::function<RedisLogin()> login;  // asked in each handshake; null: none
    int db = 0;
    std::string client_name = "weir";
    const TlsContext* tls = nullptr;  // null: plain
    LinkOptions link;
    int64_t handshake_timeout_ns = 500'000'000;
    int64_t ping_interval_ns = 1'000'000'000;
    int suspect_after_timeouts = 1;
    int isolated_after_timeouts = 3;
    int64_t isolated_after_ns = 100'000'000;
    int64_t silence_max_ns = 5'000'000'000;
    BackoffOptions backoff;
    uint64_t seed = 0;  // of the jitter; another one in each process
    std::size_t in_flight_max = 10'000;
    std::size_t addresses_max = 8;  // tried of one name
    // Loaded in each handshake. They outlive the primary.
    std::span<const Script> scripts;
    bool with_meta = false;  // META is read; `scripts` has the meta script
    std::string meta_key;
    Meta proposal;  // of the first handshake; later ones propose what was held last
  };

  // Everything outlives the primary; `loop` runs tasks on the thread of `base`, `resolver`
  // elsewhere, and what `resolver` still runs may post to `loop` after the primary is gone.
  struct Environment {
    event_base* base;
    Executor& loop;
    Executor& resolver;
    Clock& clock;
  };

  Primary(const Environment& environment, AddressSource& source, Listener& listener,
          Options options);
  ~Primary();  // fails what is in flight; the listener is not told any more
  Primary(const Primary&) = delete;
  Primary& operator=(const Primary&) = delete;

  // Begins the first attempt. REQUIRES: not started, or stopped.
  void Start();
  // Gives the connection up, as if it never had one; what it counted stays.
  void Stop();

  // Appends one command to the pipeline. `wire` is complete RESP. `script`: null, or the script
  // that an EVALSHA runs, so that after NOSCRIPT it can be loaded and the very bytes sent once
  // more. `asking`: ASKING goes right before it, each time: its slot is on its way there. false:
  // not sent (not CONNECTED or SUSPECT, or too many in flight); the sink is not told.
  bool Send(std::string_view wire, const Script* script, CommandSink& sink, bool asking = false);
  // What was sent leaves now; otherwise at the end of the loop's turn.
  void Flush() { link_.Flush(); }

  // The owner waited in vain for a reply. Counts towards SUSPECT and ISOLATED; several waits that
  // end together may be noted as one.
  void NoteTimeout();

  // The owner learned that the primary is elsewhere: closes the connection and begins to connect
  // again, with the usual pause; a pause under way becomes a short one.
  void Reconnect(std::string_view why);

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }      // any thread
  PrimaryState state() const { return state_.load(std::memory_order_acquire); }  // any thread
  const PrimaryStats& stats() const { return stats_; }                           // any thread

  // In words, any thread.
  struct Texts {
    std::string address;         // last connected to, or tried
    std::string version;         // of the server
    std::string replication_id;  // master_replid
    std::string last_error;
  };
  Texts texts() const;

 private:
  // Kinds of notes: one per failure of a connection, one per failure of a command, and these.
  enum NoteKind : std::size_t {
    kCommandNotes = kFailures,
    kConnectedNote = 2 * kFailures,
    kIsolatedNote,
    kAnswersNote,
    kFailoverNote,
    kNoteKinds
  };
  enum class Stage { kIdle, kWaiting, kFinding, kConnecting, kHandshaking, kUp };
  // A command of the owner's in flight.
  class Call final : public CommandSink {
   public:
    explicit Call(Primary& primary) : primary_(primary) {}
    void OnReply(const redisReply& reply) override { primary_.OnCallReply(*this, reply); }
    void OnFailure(Failure failure, std::string_view text) override {
      primary_.EndCall(*this, failure, text);
    }

    CommandSink* sink = nullptr;
    const Script* script = nullptr;
    bool asking = false;
    bool resent = false;
    std::string wire;  // kept for a script only

   private:
    Primary& primary_;
  };
  // Of commands of its own: gets the reply, or null if the connection ended.
  class OwnSink final : public CommandSink {
   public:
    explicit OwnSink(std::function<void(const redisReply*)> told) : told_(std::move(told)) {}
    void OnReply(const redisReply& reply) override { told_(&reply); }
    void OnFailure(Failure /*failure*/, std::string_view /*text*/) override { told_(nullptr); }

   private:
    const std::function<void(const redisReply*)> told_;
  };
  // A script that is being loaded again.
  struct Load {
    const Script* script;
    bool pending = false;
    std::unique_ptr<OwnSink> sink;
  };

  Event NewEvent(short what, event_callback_fn callback);

  // Connecting, in order.
  void Wait(bool fresh);
  void OnWaited();
  void BeginAttempt();
  void OnFound(const absl::StatusOr<RedisAddress>& address);
  void OnResolved(absl::StatusOr<std::vector<SocketAddress>> addresses);
  void ConnectNext();
  void OnUp() override;
  void OnHandshakeDone(const HandshakeResult& result) override;
  void OnHandshakeFailed(Failure failure, std::string_view text) override;
  // The current address failed: on to the next one, or to a pause.
  void AddressFailed(Failure failure, std::string_view text);
  void AttemptFailed(Failure failure, std::string_view text);
  // The connection in use is over.
  void Lose(Failure failure, std::string_view text);
  void OnDown(Failure failure, std::string_view text) override;

  // Watching the connection in use.
  void OnReplies() override;
  void StopWatching();
  void OnPingTimer();
  void SendPing();
  void OnPong(const redisReply* reply);
  void OnInfo(const redisReply* reply);
  void NoteReplicationId(std::string_view id);
  void ArmOwed(int64_t in_ns);
  void CheckOwed();
  void Isolate(std::string_view why);

  // Commands.
  void OnCallReply(Call& call, const redisReply& reply);
  void EndCall(Call& call, Failure failure, std::string_view text);
  bool SendCall(Call& call, std::string_view wire);
  bool Resend(Call& call);
  void Free(Call& call);
  void NoteErrorReply(const FailureRow& row, std::string_view text);

  void SetState(PrimaryState state);
  void CountConnectionFailure(Failure failure, std::string_view text);
  void Note(NoteLevel level, std::size_t kind, const std::string& text);

  const Environment environment_;
  AddressSource& source_;
  Listener& listener_;
  const Options options_;
  Meta proposal_;

  OwnSink pong_;
  OwnSink info_;
  OwnSink asked_;
  std::vector<Load> loads_;  // one per script
  Link link_;
  Handshake handshake_;

  Event timer_;  // the pause, or the handshake's end
  Event ping_timer_;
  Event owed_timer_;

  // Callbacks from elsewhere look here whether the primary still lives.
  const std::shared_ptr<Primary*> alive_;
  Backoff backoff_;
  NoteLimit notes_;

  Stage stage_ = Stage::kIdle;
  uint64_t attempt_ = 0;
  int64_t attempt_due_ns_ = 0;
  RedisAddress address_;
  std::vector<SocketAddress> addresses_;
  std::size_t address_index_ = 0;
  int64_t up_since_ns_ = 0;
  int timeouts_ = 0;
  uint64_t timeout_mark_ = 0;  // commands sent when the owner last waited in vain
  bool owed_armed_ = false;
  bool ping_owed_ = false;
  bool info_owed_ = false;
  bool probe_held_ = false;  // the last PING got an error: no probe before the next one is due
  int64_t ping_sent_ns_ = 0;

  Pool<Call> calls_;

  std::atomic<bool> stopped_{true};
  std::atomic<PrimaryState> state_{PrimaryState::kRecovering};
  PrimaryStats stats_;
  mutable Mutex mutex_;
  Texts texts_ ABSL_GUARDED_BY(mutex_);
};

// A source that knows one address.
class FixedAddress final : public Primary::AddressSource {
 public:
  explicit FixedAddress(RedisAddress address) : address_(std::move(address)) {}
  void Find(Found found) override { found(address_); }

 private:
  const RedisAddress address_;
};

}  // namespace weir
