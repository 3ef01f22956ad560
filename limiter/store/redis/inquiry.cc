#include "limiter/store/redis/inquiry.h"

#include <utility>

namespace weir {

// One server and what came of asking it.
class Inquiry::Asker final : private Reach::Owner, private CommandSink {
 public:
  Asker(Inquiry& owner, const RedisAddress& server)
      : owner_(owner),
        server_(server),
        reach_(owner.environment_, owner.options_, owner.names_, *this) {}

  void Begin() { reach_.Begin(server_); }
  void End() {
    done_ = true;
    reach_.End();
  }

  bool done() const { return done_; }
  bool found() const { return found_; }
  std::string Text() const { return RedisAddressText(server_) + ": " + said_; }

 private:
  void OnReached(Link& link) override { link.Send(owner_.wire_, *this); }
  void OnUnreached(std::string_view why) override { Say(why); }
  void OnFailure(Failure /*failure*/, std::string_view text) override { Say(text); }
  void OnReply(const redisReply& reply) override {
    if (done_) return;
    if (reply.type == REDIS_REPLY_ERROR) {
      Say(TextOf(reply));
      return;
    }
    const absl::Status read = owner_.read_(reply, server_);
    found_ = read.ok();
    Say(found_ ? "ok" : std::string(read.message()));
  }

  // The first thing it said counts.
  void Say(std::string_view text) {
    if (done_) return;
    done_ = true;
    said_ = text;
    owner_.OnProgress();
  }

  Inquiry& owner_;
  const RedisAddress server_;
  Reach reach_;
  bool done_ = false;
  bool found_ = false;
  std::string said_ = "no answer in time";
};

Inquiry::Inquiry(const Primary::Environment& environment, ReachOptions options)
    : environment_(environment), options_(std::move(options)), names_(environment) {
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
  wire_ = std::move(wire);
  read_ = std::move(read);
  done_ = std::move(done);
  StartTimer(end_, options_.link.connect_timeout_ns);
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
