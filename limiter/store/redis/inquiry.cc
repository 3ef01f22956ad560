#include "limiter/store/redis/inquiry.h"

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/resolver.h"

namespace weir {
namespace {

constexpr std::size_t kSocketsOfName = 4;

}  // namespace

// One server and what came of asking it.
class Inquiry::Asker final : private Link::Owner {
 public:
  Asker(Inquiry& owner, const RedisAddress& server)
      : owner_(owner),
        server_(server),
        login_sink_(*this, true),
        answer_sink_(*this, false),
        link_(owner.environment_.base, owner.environment_.clock, owner.options_.tls,
              owner.options_.link, *this) {}

  void Begin() {
    std::optional<std::vector<SocketAddress>> known = ResolveNumeric(server_);
    if (known.has_value()) {
      OnResolved(*std::move(known));
      return;
    }
    const Primary::Environment& environment = owner_.environment_;
    environment.resolver.Post([&loop = environment.loop, name = server_, this,
                               weak = std::weak_ptr<Inquiry*>(owner_.alive_),
                               question = owner_.question_] {
      loop.Post([weak, question, this, resolved = ResolveName(name, kSocketsOfName)] {
        const std::shared_ptr<Inquiry*> alive = weak.lock();
        if (alive == nullptr || (*alive)->question_ != question || !(*alive)->asking()) return;
        OnResolved(resolved);
      });
    });
  }

  void End() {
    done_ = true;
    link_.Close("the question is over");
  }

  bool done() const { return done_; }
  bool found() const { return found_; }
  std::string Text() const { return RedisAddressText(server_) + ": " + said_; }

 private:
  class Sink final : public CommandSink {
   public:
    Sink(Asker& asker, bool login) : asker_(asker), login_(login) {}
    void OnReply(const redisReply& reply) override { asker_.OnReply(reply, login_); }
    void OnFailure(Failure /*failure*/, std::string_view text) override { asker_.Say(text); }

   private:
    Asker& asker_;
    const bool login_;
  };

  void OnResolved(absl::StatusOr<std::vector<SocketAddress>> sockets) {
    if (!sockets.ok()) {
      Say(std::string(sockets.status().message()));
      return;
    }
    sockets_ = *std::move(sockets);
    next_ = 0;
    ConnectNext("no address");
  }

  void ConnectNext(std::string_view why) {
    if (next_ == sockets_.size()) {
      Say(why);
    } else {
      link_.Connect(sockets_[next_++], server_.host);
    }
  }

  void OnUp() override {
    RedisLogin login;
    if (owner_.options_.login != nullptr) login = owner_.options_.login();
    std::string wire;
    if (!login.user.empty()) {
      AppendCommand(wire, {"AUTH", login.user, login.password});
    } else if (!login.password.empty()) {
      AppendCommand(wire, {"AUTH", login.password});
    }
    if (!wire.empty()) link_.Send(wire, login_sink_);
    link_.Send(owner_.wire_, answer_sink_);
    link_.Flush();
  }
  void OnReplies() override {}
  void OnDown(Failure failure, std::string_view text) override {
    if (done_) return;
    const bool connecting = failure == Failure::kRefused || failure == Failure::kUnreachable;
    if (connecting) {
      ConnectNext(text);
    } else {
      Say(text);
    }
  }

  void OnReply(const redisReply& reply, bool login) {
    if (done_) return;
    if (reply.type == REDIS_REPLY_ERROR) {
      Say(login ? "AUTH: " + std::string(TextOf(reply)) : std::string(TextOf(reply)));
    } else if (!login) {
      const absl::Status read = owner_.read_(reply, server_);
      found_ = read.ok();
      Say(found_ ? "ok" : std::string(read.message()));
    }
  }

  // The first thing it said counts: what follows an error of AUTH only repeats it.
  void Say(std::string_view text) {
    if (done_) return;
    done_ = true;
    said_ = text;
    owner_.OnProgress();
  }

  Inquiry& owner_;
  const RedisAddress server_;
  Sink login_sink_;
  Sink answer_sink_;
  Link link_;
  std::vector<SocketAddress> sockets_;
  std::size_t next_ = 0;
  bool done_ = false;
  bool found_ = false;
  std::string said_ = "no answer in time";
};

Inquiry::Inquiry(const Primary::Environment& environment, InquiryOptions options)
    : environment_(environment),
      options_(std::move(options)),
      alive_(std::make_shared<Inquiry*>(this)) {
  end_.reset(event_new(
      environment_.base, -1, 0,
      [](evutil_socket_t, short, void* self) { static_cast<Inquiry*>(self)->Finish(); }, this));
}

Inquiry::~Inquiry() {
  done_ = nullptr;
  for (const auto& asker : askers_) asker->End();
}

void Inquiry::Ask(const std::vector<RedisAddress>& servers, std::string wire, Read read,
                  Done done) {
  done_ = nullptr;
  for (const auto& asker : askers_) asker->End();
  askers_.clear();
  ++question_;
  wire_ = std::move(wire);
  read_ = std::move(read);
  done_ = std::move(done);
  const int64_t in_ns = options_.link.connect_timeout_ns;
  const timeval in = {static_cast<time_t>(in_ns / 1'000'000'000),
                      static_cast<suseconds_t>(in_ns % 1'000'000'000 / 1'000)};
  event_add(end_.get(), &in);
  for (const RedisAddress& server : servers) {
    askers_.push_back(std::make_unique<Asker>(*this, server));
  }
  for (const auto& asker : askers_) asker->Begin();
}

void Inquiry::OnProgress() {
  if (done_ == nullptr) return;
  bool all_done = true;
  bool found = false;
  for (const auto& asker : askers_) {
    all_done = all_done && asker->done();
    found = found || asker->found();
  }
  // From the loop, since connections are closed then, and this may run within one of their calls.
  if (all_done || found) event_active(end_.get(), EV_TIMEOUT, 0);
}

void Inquiry::Finish() {
  if (done_ == nullptr) return;
  event_del(end_.get());
  bool found = false;
  std::string said;
  for (const auto& asker : askers_) {
    found = found || asker->found();
    said += (said.empty() ? "" : "; ") + asker->Text();
  }
  const Done done = std::exchange(done_, nullptr);
  for (const auto& asker : askers_) asker->End();
  done(found ? absl::OkStatus() : absl::UnavailableError(said));
}

}  // namespace weir
