#include "limiter/admin/http_server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/thread.h>
#include <event2/util.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/admin/http_reply.h"
#include "limiter/core/handle.h"
#include "limiter/core/mutex.h"

namespace weir {
namespace {

constexpr timeval kSweepEvery = {0, 50'000};
constexpr int kBacklog = 128;
// What a connection may hold unread besides one header and one body: the framing of chunks, and the
// start of the next request. Many times the largest read of libevent's (4 KiB).
constexpr std::size_t kUnreadSlackBytes = 16 << 10;
// Answers up to this are always given: those of probes and decisions are among them.
constexpr std::size_t kSmallAnswerBytes = 64 << 10;

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(HttpOptions options) : options_(std::move(options)) {}
  ~Impl() { Stop(); }

  void AddRoute(const std::string& path, std::vector<std::string> methods, LateHandler handler) {
    routes_[path] = {std::move(methods), std::move(handler)};
  }
  void AddSlowRoute(const std::string& path, std::vector<std::string> methods, Handler handler);
  void SetOnWake(std::function<void()> on_wake) { on_wake_ = std::move(on_wake); }
  void Wake() { event_active(wake_.get(), EV_TIMEOUT, 0); }
  absl::Status Start();
  void Stop();
  int port() const { return port_; }
  const HttpRejects& rejects() const { return rejects_; }
  std::size_t connections() const { return connected_.load(std::memory_order_relaxed); }

 private:
  struct Route {
    std::vector<std::string> methods;
    LateHandler handler;
  };
  // A connection of evhttp's. Its bufferevent is held with a reference of ours; evhttp takes its
  // callbacks away when it is done with it.
  struct Connection {
    Impl& server;
    bufferevent* buffer;
    int64_t since_ms;   // connected, began its next request, or was last answered
    bool idle = false;  // answered in full, and nothing of a next request has come
  };

  absl::Status Listen();
  int64_t NowMs();
  bufferevent* Accept();
  bufferevent* NewBuffer();
  void Pause();
  void Sweep();
  static bool Done(const Connection& connection);
  static void Received(Connection& connection);
  static void Answered(Connection& connection);
  void Answer(evhttp_request* request);
  void AnswerTo(evhttp_request* request, const Respond& respond);
  bool HasRoomFor(std::size_t bytes) const;
  void CountRefusal(evbuffer* output, const evbuffer_cb_info& change);
  // Runs `task` on the server's thread. From any thread until Stop.
  void Post(std::function<void()> task);
  void Woken();

  const HttpOptions options_;
  std::map<std::string, Route, std::less<>> routes_;
  std::function<void()> on_wake_ = [] {};
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  HttpRejects rejects_;
  std::atomic<std::size_t> connected_{0};
  int port_ = 0;
  Handle<evutil_monotonic_timer, evutil_monotonic_timer_free> timer_;
  Handle<event_base, event_base_free> base_;
  Handle<evhttp, evhttp_free> http_;
  Handle<event, event_free> sweep_;
  Handle<event, event_free> stop_;
  Handle<event, event_free> wake_;
  // From here on to the thread: of the server's thread only while it runs.
  evconnlistener* listener_ = nullptr;  // http_ owns it
  bool paused_ = false;
  bool sending_ = false;        // an answer of ours is being written
  std::list<Connection> live_;  // a list, since callbacks hold addresses of its elements
  std::thread thread_;

  // For the listener's error callback, whose argument evhttp has taken for itself.
  static thread_local Impl* running_here;
};

thread_local HttpServer::Impl* HttpServer::Impl::running_here = nullptr;

absl::Status HttpServer::Impl::Listen() {
  const std::size_t colon = options_.listen.rfind(':');
  std::string host = options_.listen.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (host.empty() ||
      getaddrinfo(host.c_str(), options_.listen.c_str() + colon + 1, &hints, &found) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot listen on ", options_.listen,
        ": write an address and a port, like 127.0.0.1:8080 or [::1]:8080, in --", options_.name));
  }
  const Handle<addrinfo, freeaddrinfo> addresses(found);
  listener_ = evconnlistener_new_bind(
      base_.get(), nullptr, nullptr,
      LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, kBacklog,
      addresses->ai_addr, static_cast<int>(addresses->ai_addrlen));
  if (listener_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options_.listen, ": ",
                                               std::strerror(errno), "; choose another with --",
                                               options_.name));
  }
  // Its connections inherit it: else the end of a long answer waits for the client's ACK, 40 ms.
  const int no_delay = 1;
  setsockopt(evconnlistener_get_fd(listener_), IPPROTO_TCP, TCP_NODELAY, &no_delay,
             sizeof(no_delay));
  evhttp_bind_listener(http_.get(), listener_);
  // Without it a process out of descriptors would spin: the connection stays ready to be accepted.
  evconnlistener_set_error_cb(listener_, [](evconnlistener*, void*) { running_here->Pause(); });
  sockaddr_storage address{};
  socklen_t bound = sizeof(address);
  getsockname(evconnlistener_get_fd(listener_), reinterpret_cast<sockaddr*>(&address), &bound);
  port_ = ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&address)->sin6_port
                                              : reinterpret_cast<sockaddr_in*>(&address)->sin_port);
  return absl::OkStatus();
}

absl::Status HttpServer::Impl::Start() {
  static std::once_flag threads;
  std::call_once(threads, [] { evthread_use_pthreads(); });
  timer_.reset(evutil_monotonic_timer_new());
  evutil_configure_monotonic_time(timer_.get(), 0);
  base_.reset(event_base_new());
  http_.reset(evhttp_new(base_.get()));
  evhttp_set_max_headers_size(http_.get(), static_cast<ev_ssize_t>(options_.header_bytes_max));
  evhttp_set_max_body_size(http_.get(), static_cast<ev_ssize_t>(options_.body_bytes_max));
  evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST |
                                              EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                              EVHTTP_REQ_OPTIONS | EVHTTP_REQ_PATCH);
  evhttp_set_bevcb(
      http_.get(), [](event_base*, void* self) { return static_cast<Impl*>(self)->Accept(); },
      this);
  evhttp_set_gencb(
      http_.get(),
      [](evhttp_request* request, void* self) { static_cast<Impl*>(self)->Answer(request); }, this);
  absl::Status status = Listen();
  if (!status.ok()) return status;
  sweep_.reset(event_new(
      base_.get(), -1, 0,
      [](evutil_socket_t, short, void* self) { static_cast<Impl*>(self)->Sweep(); }, this));
  // An event, since a bare loopbreak is forgotten when it comes before the loop runs.
  stop_.reset(event_new(
      base_.get(), -1, 0,
      [](evutil_socket_t, short, void* base) {
        event_base_loopbreak(static_cast<event_base*>(base));
      },
      base_.get()));
  wake_.reset(event_new(
      base_.get(), -1, 0,
      [](evutil_socket_t, short, void* self) { static_cast<Impl*>(self)->Woken(); }, this));
  // Signals belong to the main thread, and a write to a connection that is gone must not raise one.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] {
    running_here = this;
    event_base_dispatch(base_.get());
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return absl::OkStatus();
}

void HttpServer::Impl::Stop() {
  if (thread_.joinable()) {
    event_active(stop_.get(), EV_TIMEOUT, 0);
    thread_.join();
  }
  stop_.reset();
  wake_.reset();
  sweep_.reset();
  http_.reset();
  for (const Connection& connection : live_) bufferevent_decref(connection.buffer);
  live_.clear();
  // The bufferevents go in the loop: one that had stopped reading is not freed with its base.
  if (base_ != nullptr) event_base_loop(base_.get(), EVLOOP_NONBLOCK);
  base_.reset();
}

int64_t HttpServer::Impl::NowMs() {
  timeval now{};
  evutil_gettime_monotonic(timer_.get(), &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_usec / 1000;
}

bufferevent* HttpServer::Impl::NewBuffer() {
  if (options_.certificates == nullptr) {
    return bufferevent_socket_new(base_.get(), -1, BEV_OPT_CLOSE_ON_FREE);
  }
  SSL* const session = NewServerSession(*options_.certificates->current());
  // As operator new ends where there is no memory: evhttp would go on without TLS.
  if (session == nullptr) std::abort();
  bufferevent* const buffer = bufferevent_openssl_socket_new(
      base_.get(), -1, session, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
  // Many clients close without the notice of TLS; HTTP says itself where a message ends.
  if (buffer != nullptr) bufferevent_openssl_set_allow_dirty_shutdown(buffer, 1);
  return buffer;
}

// A connection was accepted: makes the bufferevent that evhttp reads it with. The bufferevent owns
// the descriptor, since its events live until our reference goes: had evhttp closed the descriptor
// before, they would read from whatever file of the process got its number next.
bufferevent* HttpServer::Impl::Accept() {
  Sweep();
  bufferevent* buffer = NewBuffer();
  if (buffer == nullptr) return nullptr;
  bufferevent_incref(buffer);
  // evhttp reads on while it writes an answer, and it bounds neither that nor the line that begins
  // a chunk.
  bufferevent_setwatermark(buffer, EV_READ, 0,
                           options_.header_bytes_max + options_.body_bytes_max + kUnreadSlackBytes);
  Connection& connection = live_.emplace_back(Connection{*this, buffer, NowMs()});
  evbuffer_add_cb(
      bufferevent_get_input(buffer),
      [](evbuffer*, const evbuffer_cb_info* change, void* receiver) {
        if (change->n_added > 0) Received(*static_cast<Connection*>(receiver));
      },
      &connection);
  evbuffer_add_cb(
      bufferevent_get_output(buffer),
      [](evbuffer* output, const evbuffer_cb_info* change, void* self) {
        static_cast<Impl*>(self)->CountRefusal(output, *change);
      },
      this);
  connected_.store(live_.size(), std::memory_order_relaxed);
  if (live_.size() >= options_.connections_max) Pause();
  event_add(sweep_.get(), &kSweepEvery);
  return buffer;
}

// Accepts no more until the next sweep that finds room.
void HttpServer::Impl::Pause() {
  if (paused_) return;
  paused_ = true;
  rejects_.connections.fetch_add(1, std::memory_order_relaxed);
  evconnlistener_disable(listener_);
  event_add(sweep_.get(), &kSweepEvery);
}

// True if evhttp is done with the connection.
bool HttpServer::Impl::Done(const Connection& connection) {
  bufferevent_data_cb read = nullptr;
  bufferevent_data_cb write = nullptr;
  bufferevent_event_cb event = nullptr;
  void* context = nullptr;
  bufferevent_getcb(connection.buffer, &read, &write, &event, &context);
  return event == nullptr;
}

// Cuts off connections that take too long, and lets go of those that evhttp is done with.
void HttpServer::Impl::Sweep() {
  const int64_t now_ms = NowMs();
  for (auto connection = live_.begin(); connection != live_.end();) {
    if (!Done(*connection) &&
        now_ms - connection->since_ms >= options_.request_time_max_ns / 1'000'000) {
      if (!connection->idle) rejects_.time.fetch_add(1, std::memory_order_relaxed);
      // As if a timeout of evhttp's had passed: it closes the connection before this returns.
      bufferevent_trigger_event(connection->buffer, BEV_EVENT_READING | BEV_EVENT_TIMEOUT, 0);
    }
    if (Done(*connection)) {
      bufferevent_decref(connection->buffer);
      connection = live_.erase(connection);
    } else {
      ++connection;
    }
  }
  connected_.store(live_.size(), std::memory_order_relaxed);
  if (paused_ && live_.size() < options_.connections_max) {
    paused_ = false;
    evconnlistener_enable(listener_);
  }
  if (!live_.empty()) event_add(sweep_.get(), &kSweepEvery);
}

void HttpServer::Impl::Received(Connection& connection) {
  if (!connection.idle) return;
  connection.idle = false;
  connection.since_ms = connection.server.NowMs();
}

void HttpServer::Impl::Answered(Connection& connection) {
  connection.idle = evbuffer_get_length(bufferevent_get_input(connection.buffer)) == 0;
  connection.since_ms = connection.server.NowMs();
  // Where reading stopped at the watermark, libevent 2.1 goes on when the socket has more to read,
  // and forgets what OpenSSL has taken from it already.
  if (HoldsBytes(bufferevent_openssl_get_ssl(connection.buffer))) {
    event_base_active_by_fd(connection.server.base_.get(), bufferevent_getfd(connection.buffer),
                            EV_READ);
  }
}

void HttpServer::Impl::Answer(evhttp_request* request) {
  const bufferevent* buffer =
      evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
  for (Connection& connection : live_) {
    if (connection.buffer != buffer) continue;
    evhttp_request_set_on_complete_cb(
        request, [](evhttp_request*, void* asker) { Answered(*static_cast<Connection*>(asker)); },
        &connection);
  }
  // A request whose connection has ended meanwhile is kept by evhttp until it is answered.
  AnswerTo(request, [this, request](const HttpResponse& response) {
    sending_ = true;
    if (HasRoomFor(response.body.size())) {
      SendReply(request, response);
    } else {
      rejects_.unread.fetch_add(1, std::memory_order_relaxed);
      SendReply(request, {503, "text/plain; charset=utf-8", "too much is waiting to be read\n"});
    }
    sending_ = false;
  });
}

// Clients that ask for long pages and do not read them would fill the memory. One answer, however
// long, always has room.
bool HttpServer::Impl::HasRoomFor(std::size_t bytes) const {
  if (bytes <= kSmallAnswerBytes) return true;
  std::size_t unread = 0;
  for (const Connection& connection : live_) {
    unread += evbuffer_get_length(bufferevent_get_output(connection.buffer));
  }
  return unread == 0 || unread + bytes <= options_.unread_bytes_max;
}

// evhttp answers what it cannot read by itself, without asking us: its answer is recognised in the
// output of the connection.
void HttpServer::Impl::CountRefusal(evbuffer* output, const evbuffer_cb_info& change) {
  if (sending_ || change.orig_size != 0 || change.n_added == 0) return;
  constexpr std::size_t kCodeAt = 9;  // after "HTTP/1.1 "
  char head[kCodeAt + 3];
  if (evbuffer_copyout(output, head, sizeof(head)) != sizeof(head)) return;
  const std::string_view code(head + kCodeAt, sizeof(head) - kCodeAt);
  if (code == "413") rejects_.body.fetch_add(1, std::memory_order_relaxed);
  if (code == "400") rejects_.headers.fetch_add(1, std::memory_order_relaxed);
}

void HttpServer::Impl::AnswerTo(evhttp_request* request, const Respond& respond) {
  const evhttp_uri* uri = evhttp_request_get_evhttp_uri(request);
  const char* raw_path = uri == nullptr ? nullptr : evhttp_uri_get_path(uri);
  if (raw_path == nullptr) raw_path = "";
  std::size_t length = 0;
  const Handle<char, std::free> decoded(evhttp_uridecode(raw_path, 0, &length));
  const std::string path(decoded == nullptr ? "" : std::string(decoded.get(), length));
  const auto route = routes_.find(path);
  if (route == routes_.end()) {
    respond({404, "text/plain; charset=utf-8", "no such page\n"});
    return;
  }
  const std::optional<std::string_view> method = MethodName(evhttp_request_get_command(request));
  const std::vector<std::string>& methods = route->second.methods;
  const auto allows = [&](std::string_view name) {
    return std::find(methods.begin(), methods.end(), name) != methods.end();
  };
  const bool taken = method.has_value() &&
                     (methods.empty() || allows(*method) || (*method == "HEAD" && allows("GET")));
  if (!taken) {
    std::string allowed;
    for (const std::string& name : methods) {
      absl::StrAppend(&allowed, allowed.empty() ? "" : ", ", name);
    }
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", allowed.c_str());
    respond({405, "text/plain; charset=utf-8", "this page takes " + allowed + "\n"});
    return;
  }
  evbuffer* input = evhttp_request_get_input_buffer(request);
  const std::size_t bytes = evbuffer_get_length(input);
  const auto* body = reinterpret_cast<const char*>(evbuffer_pullup(input, -1));
  const char* query = evhttp_uri_get_query(uri);
  const char* accept = evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
  route->second.handler({*method,
                         path,
                         query == nullptr ? "" : query,
                         accept == nullptr ? "" : accept,
                         {body == nullptr ? "" : body, bytes}},
                        respond);
}

void HttpServer::Impl::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    posted_.push_back(std::move(task));
  }
  Wake();
}

void HttpServer::Impl::Woken() {
  on_wake_();
  const auto tasks = [this] {
    MutexLock lock(mutex_);
    return std::exchange(posted_, {});
  }();
  for (const auto& task : tasks) task();
}

void HttpServer::Impl::AddSlowRoute(const std::string& path, std::vector<std::string> methods,
                                    Handler handler) {
  AddRoute(path, std::move(methods),
           [this, handler = std::move(handler)](const HttpRequest& asked, Respond respond) {
             // What it views ends with this call.
             struct Texts {
               std::string method, path, query, accept, body;
             };
             options_.slow->Post([this, handler, respond = std::move(respond),
                                  texts = Texts{std::string(asked.method), std::string(asked.path),
                                                std::string(asked.query), std::string(asked.accept),
                                                std::string(asked.body)}] {
               auto response = std::make_shared<const HttpResponse>(
                   handler({texts.method, texts.path, texts.query, texts.accept, texts.body}));
               Post([respond, response] { respond(*response); });
             });
           });
}

HttpServer::HttpServer(HttpOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
HttpServer::~HttpServer() = default;

void HttpServer::AddRoute(const std::string& path, std::vector<std::string> methods,
                          Handler handler) {
  AddLateRoute(path, std::move(methods),
               [handler = std::move(handler)](const HttpRequest& request, const Respond& respond) {
                 respond(handler(request));
               });
}
void HttpServer::AddSlowRoute(const std::string& path, std::vector<std::string> methods,
                              Handler handler) {
  impl_->AddSlowRoute(path, std::move(methods), std::move(handler));
}
void HttpServer::AddLateRoute(const std::string& path, std::vector<std::string> methods,
                              LateHandler handler) {
  impl_->AddRoute(path, std::move(methods), std::move(handler));
}
void HttpServer::SetOnWake(std::function<void()> on_wake) { impl_->SetOnWake(std::move(on_wake)); }
void HttpServer::Wake() { impl_->Wake(); }
absl::Status HttpServer::Start() { return impl_->Start(); }
void HttpServer::Stop() { impl_->Stop(); }
int HttpServer::port() const { return impl_->port(); }
const HttpRejects& HttpServer::rejects() const { return impl_->rejects(); }
std::size_t HttpServer::connections() const { return impl_->connections(); }

}  // namespace weir
