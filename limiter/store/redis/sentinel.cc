#include "limiter/store/redis/sentinel.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/note_limit.h"

namespace weir {
namespace {

// Another sentinel may need that long to hear of a move.
constexpr int64_t kHintNs = 2'000'000'000;
constexpr int64_t kPingNs = 10'000'000'000;
// Nothing depends on it that is not also found out otherwise.
constexpr int64_t kWatchBackoffMaxNs = 10'000'000'000;
constexpr std::string_view kChannel = "+switch-master";

// What a sentinel answered; nullopt: no address.
std::optional<RedisAddress> ReadAddress(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) return std::nullopt;
  return HostAndPort(TextOf(*reply.element[0]), TextOf(*reply.element[1]));
}

// "mymaster 10.0.0.1 6379 10.0.0.2 6379": its name, where it was, where it is.
std::optional<RedisAddress> ReadSwitch(std::string_view text, std::string_view master) {
  const std::vector<std::string> words = absl::StrSplit(std::string(text), ' ');
  if (words.size() != 5 || words[0] != master) return std::nullopt;
  return HostAndPort(words[3], words[4]);
}

}  // namespace

void SentinelAddress::Find(Found found) {
  const std::optional<RedisAddress> hint = std::exchange(hint_, std::nullopt);
  if (hint.has_value() && environment_.clock.Now().mono_ns - hinted_ns_ < kHintNs) {
    found(*hint);
    return;
  }
  address_.reset();
  std::string wire;
  AppendCommand(wire, {"SENTINEL", "get-master-addr-by-name", options_.master});
  inquiry_.Ask(
      options_.sentinels, std::move(wire),
      [this](const redisReply& reply, const RedisAddress& /*sentinel*/) {
        if (reply.type == REDIS_REPLY_NIL ||
            (reply.type == REDIS_REPLY_ARRAY && reply.elements == 0)) {
          return absl::NotFoundError("knows no master " + options_.master);
        }
        if (!address_.has_value()) address_ = ReadAddress(reply);
        return address_.has_value()
                   ? absl::OkStatus()
                   : absl::InvalidArgumentError("its answer is not a host and a port");
      },
      [this, found = std::move(found)](const absl::Status& status) {
        if (status.ok()) {
          found(*address_);
        } else {
          std::string text = "no sentinel names the master " + options_.master + "; ";
          found(absl::UnavailableError(absl::StrCat(text, status.message())));
        }
      });
}

void SentinelAddress::Hint(const RedisAddress& address) {
  hint_ = address;
  hinted_ns_ = environment_.clock.Now().mono_ns;
}

// One sentinel that is listened to. In RESP2 a message and the answer to a PING look alike but for
// their first word, and either may come first.
class SentinelWatch::Watcher final : private Reach::Owner, private CommandSink {
 public:
  Watcher(const Primary::Environment& environment, SentinelWatch& watch,
          const RedisAddress& sentinel, const BackoffOptions& backoff, uint64_t seed)
      : clock_(environment.clock),
        watch_(watch),
        sentinel_(sentinel),
        backoff_(backoff, seed),
        reach_(environment, watch.options_.reach, watch.names_, *this) {
    timer_.reset(event_new(
        environment.base, -1, 0,
        [](evutil_socket_t, short, void* self) { static_cast<Watcher*>(self)->OnTimer(); }, this));
  }

  void Start() { Wait(); }

 private:
  // up, for a while: it cannot be listened to.
  void Give(std::string_view why) {
    const int64_t now_ns = clock_.Now().mono_ns;
    std::string text = RedisAddressText(sentinel_);
    text.append(": ").append(why);
    if (watch_.noted_ != nullptr && notes_.Allow(0, text, now_ns)) {
      watch_.noted_(
          NoteLevel::kWarning,
          absl::StrCat("redis sentinel ", OneLine(text), "; cannot listen to its ",
                       absl::string_view(kChannel.data(), kChannel.size()),
                       ": where no other sentinel tells of a failover, it is found when the "
                       "connection to the primary ends"));
    }
    reach_.End();
    Wait();
  }

  void Wait() {
    up_ = false;
    const int64_t now_ns = clock_.Now().mono_ns;
    StartTimer(timer_, backoff_.NextNs(now_ns, false) - now_ns);
  }

  void OnTimer() {
    if (!up_) {
      backoff_.NoteAttempt(clock_.Now().mono_ns);
      reach_.Begin(sentinel_);
    } else if (ping_owed_) {
      Give("no answer to a PING");
    } else {
      ping_owed_ = true;
      Say({"PING"});
    }
  }

  void Say(std::initializer_list<std::string_view> command) {
    std::string wire;
    AppendCommand(wire, command);
    reach_.link().Send(wire, *this);
    reach_.link().Flush();
    StartTimer(timer_, kPingNs);
  }

  void OnReached(Link& /*link*/) override {
    up_ = true;
    ping_owed_ = false;
    Say({"SUBSCRIBE", kChannel});
  }
  void OnUnreached(std::string_view why) override { Give(why); }
  bool OnPush(const redisReply& reply) override {
    OnReply(reply);
    return true;
  }
  void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {}

  void OnReply(const redisReply& reply) override {
    if (reply.type == REDIS_REPLY_ERROR) {
      Give(TextOf(reply));
      return;
    }
    backoff_.Reset();
    ping_owed_ = false;
    if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 3) return;
    if (TextOf(*reply.element[0]) != "message") return;
    const std::optional<RedisAddress> moved =
        ReadSwitch(TextOf(*reply.element[2]), watch_.options_.master);
    if (moved.has_value()) watch_.moved_(*moved);
  }

  Clock& clock_;
  const SentinelWatch& watch_;
  const RedisAddress sentinel_;
  Event timer_;  // a pause, or until the next PING
  Backoff backoff_;
  NoteLimit notes_{1};
  bool up_ = false;
  bool ping_owed_ = false;
  Reach reach_;
};

SentinelWatch::SentinelWatch(const Primary::Environment& environment, SentinelOptions options,
                             const BackoffOptions& backoff, uint64_t seed, Moved moved, Noted noted)
    : options_(std::move(options)),
      names_(environment),
      moved_(std::move(moved)),
      noted_(std::move(noted)) {
  BackoffOptions slow = backoff;
  slow.max_ns = std::max(slow.max_ns, kWatchBackoffMaxNs);
  for (const RedisAddress& sentinel : options_.sentinels) {
    watchers_.push_back(std::make_unique<Watcher>(environment, *this, sentinel, slow, ++seed));
  }
}

SentinelWatch::~SentinelWatch() = default;

void SentinelWatch::Start() {
  for (const auto& watcher : watchers_) watcher->Start();
}

}  // namespace weir
