#include "limiter/store/redis/counter_remote.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "limiter/store/redis/counter_call.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

}  // namespace

// One operation on its way, with a sink for each of its commands. It is used again when the last of
// them was told.
class CounterRemote::Call {
 public:
  explicit Call(CounterRemote& remote)
      : remote_(remote),
        count_(*this, Command::kCount),
        also_(*this, Command::kAlso),
        put_back_(*this, Command::kPutBack),
        expire_(*this, Command::kExpire) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  bool Send(const RemoteCall& call, Topology& topology, RemoteSink& sink) {
    limit_ = *call.limit;
    call_ = call;
    call_.limit = &limit_;
    call_.counter = {};
    record_.clear();
    window_end_ns_ = call.counter.window_end_ns;
    key_ = call.counter.key;
    slot_ = SlotOf(key_);
    topology_ = &topology;
    sink_ = &sink;
    reply_ = {};
    failed_ = false;
    now_ = remote_.clock_.Now();
    change_ = FirstChange(AsCall()).value_or(0);
    // A topology may tell a sink before its Send returns: nothing ends below this function.
    awaited_ = 1;
    owed_ = 1;
    const bool sent = change_ != 0 ? Add() : Read();
    if (!sent && owed_ == 1) return false;
    failed_ |= !sent;
    Settle(true);
    return true;
  }

 private:
  enum class Command : uint8_t {
    kCount,    // the one whose reply decides
    kAlso,     // EXPIRE or DEL: the answer waits for it
    kPutBack,  // after the answer
    kExpire,   // of what was put back
  };

  class Sink final : public CommandSink {
   public:
    Sink(Call& call, Command command) : call_(call), command_(command) {}
    void OnReply(const redisReply& reply) override { call_.OnReply(command_, &reply, ""); }
    void OnFailure(Failure /*failure*/, std::string_view text) override {
      call_.OnReply(command_, nullptr, text);
    }

   private:
    Call& call_;
    const Command command_;
  };

  CounterCall AsCall() const {
    return {.limit = limit_,
            .op = call_.op,
            .hits = call_.hits,
            .drain = call_.drain,
            .window_end_ns = window_end_ns_};
  }

  bool Say(Sink& sink) {
    ++owed_;
    if (topology_->Send(slot_, remote_.wire_, nullptr, sink)) return true;
    --owed_;
    return false;
  }

  // The answer waits for it.
  bool Await(Sink& sink) {
    ++awaited_;
    if (Say(sink)) return true;
    --awaited_;
    return false;
  }

  // Adds change_ to the counter, and lets it live from now on.
  bool Add() {
    added_ = true;
    remote_.wire_.clear();
    AppendAdd(key_, change_, remote_.wire_);
    if (!Await(count_)) return false;
    remote_.wire_.clear();
    AppendExpire(key_, remote_.ExpirySeconds(limit_), remote_.wire_);
    return Await(also_);
  }

  bool Read() {
    added_ = false;
    remote_.wire_.clear();
    AppendRead(key_, remote_.wire_);
    if (!Await(count_)) return false;
    if (call_.op != Op::kReset) return true;
    remote_.wire_.clear();
    AppendDelete(key_, remote_.wire_);
    return Await(also_);
  }

  // Where it fails, a take stays charged, or a counter that two refunds met on stays below zero
  // until its window ends; the connection says why.
  void PutBack(int64_t change) {
    if (change == 0) return;
    put_back_change_ = change;
    remote_.wire_.clear();
    AppendAdd(key_, change, remote_.wire_);
    if (!Say(put_back_)) return;
    // Somebody may have reset the counter meanwhile: then it is a new one.
    remote_.wire_.clear();
    AppendExpire(key_, remote_.ExpirySeconds(limit_), remote_.wire_);
    Say(expire_);
    topology_->Flush();
  }

  // `reply` is nullptr when the command failed with `error`.
  void OnReply(Command command, const redisReply* reply, std::string_view error) {
    switch (command) {
      case Command::kCount:
        OnCount(reply, error);
        break;
      case Command::kAlso:
        failed_ |= reply == nullptr;
        break;
      case Command::kPutBack:
        // Taken back from a counter that is gone: the same as a refund of too much.
        if (reply != nullptr && put_back_change_ < 0 && reply->type == REDIS_REPLY_INTEGER) {
          PutBack(ChangeAfterRefund(put_back_change_, reply->integer));
        }
        break;
      case Command::kExpire:
        break;
    }
    const bool awaited = command == Command::kCount || command == Command::kAlso;
    Settle(awaited);
  }

  void OnCount(const redisReply* reply, std::string_view error) {
    if (reply == nullptr) {
      const std::optional<int64_t> full = SaturatedCount(change_, error);
      failed_ |= !full.has_value();
      if (full.has_value()) TakeCount(*full);
      return;
    }
    if (call_.with_record) record_ = TextOf(*reply);
    const absl::StatusOr<int64_t> count = ReadCount(*reply);
    if (count.ok() || call_.op == Op::kReset) {  // what it held is gone now
      TakeCount(count.ok() ? *count : 0);
      return;
    }
    failed_ = true;
    remote_.NoteOnce(std::string(count.status().message()), now_.mono_ns);
  }

  void TakeCount(int64_t count) {
    if (call_.op == Op::kRefund && added_) {  // the answer is made from the count that was read
      PutBack(ChangeAfterRefund(change_, count));
      return;
    }
    const CounterCall call = AsCall();
    reply_ = AnswerAt(call, added_ ? count - change_ : count, now_.wall_ns);
    if (added_) {
      PutBack(ChangeAfterAdd(call, count));
      return;
    }
    change_ = ChangeAfterRead(call, count);
    if (change_ == 0) return;
    failed_ |= !Add();
    topology_->Flush();
  }

  // A command is done, or Send is. The answer may be told by it, and the call be used again by
  // whoever hears it.
  void Settle(bool awaited) {
    const bool last = --owed_ == 0;
    if (awaited && --awaited_ == 0) Tell();
    if (last) remote_.calls_.Put(*this);
  }

  void Tell() {
    const int64_t duration_ns = remote_.clock_.Now().mono_ns - now_.mono_ns;
    if (failed_) {
      remote_.listener_.OnCounted(call_, nullptr, duration_ns);
      sink_->OnFailure();
      return;
    }
    RemoteReply reply;
    reply.decision = reply_.decision;
    reply.remaining_before = reply_.remaining_before;
    reply.record = record_;
    remote_.listener_.OnCounted(call_, &reply, duration_ns);
    sink_->OnReply(reply);
  }

  CounterRemote& remote_;
  Sink count_;
  Sink also_;
  Sink put_back_;
  Sink expire_;
  Limit limit_;
  bool added_ = false;  // the count is one after change_
  bool failed_ = false;
  Slot slot_ = 0;
  int64_t window_end_ns_ = 0;
  int64_t change_ = 0;
  int64_t put_back_change_ = 0;
  std::string key_;
  RemoteCall call_;  // without its counter, whose key is key_
  std::string record_;
  Topology* topology_ = nullptr;
  RemoteSink* sink_ = nullptr;
  CounterReply reply_;
  Instant now_;      // when it was sent
  int awaited_ = 0;  // replies that the answer waits for
  int owed_ = 0;     // replies on their way
};

CounterRemote::CounterRemote(const CounterOptions& options, Clock& clock, Listener& listener)
    : options_(options), clock_(clock), listener_(listener), random_(options.seed) {}

CounterRemote::~CounterRemote() = default;

bool CounterRemote::Send(const RemoteCall& call, Topology& topology, RemoteSink& sink) {
  Call& sent = calls_.Take(*this);
  if (sent.Send(call, topology, sink)) return true;
  calls_.Put(sent);
  return false;
}

void CounterRemote::NoteOnce(std::string_view text, int64_t mono_ns) {
  if (notes_.Allow(0, text, mono_ns)) listener_.OnNote(NoteLevel::kWarning, text);
}

int64_t CounterRemote::ExpirySeconds(const Limit& limit) {
  const int64_t window_s = limit.window_ns / kSecondNs;
  if (options_.jitter_max_s <= 0) return window_s;
  return window_s + std::uniform_int_distribution<int64_t>(0, options_.jitter_max_s - 1)(random_);
}

}  // namespace weir
