#pragma once

// The Redis store with everything it runs on: a loop's thread, one or two topologies, the remote
// over them, and the shared store over that.
//
// Thread safety: Start and Stop from one thread; the rest from any.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/core/clock.h"
#include "limiter/core/executor.h"
#include "limiter/store/redis/redis_remote.h"
#include "limiter/store/redis/store_loop.h"
#include "limiter/store/shared_store.h"

namespace weir {

// Where one store is.
struct RedisPlace {
  std::vector<RedisAddress> addresses;  // of the Redis, the sentinels, or seeds of the cluster
  std::string master;                   // its name among the sentinels; empty: none are asked
  bool cluster = false;
  std::function<RedisLogin()> login;
  std::function<RedisLogin()> sentinel_login;  // null: none
  int db = 0;
  std::optional<TlsOptions> tls;  // to the sentinels too
};

struct RedisStoreOptions {
  RedisPlace main;
  std::optional<RedisPlace> per_second;  // of one-second rules
  SharedStoreOptions shared;
  std::string key_prefix;
  // Limits are counted together with envoyproxy/ratelimit: no scripts, no META, no other node is
  // heard of.
  std::optional<CounterOptions> counters;
  Secret proposal;     // for a fleet that has no secret yet
  Secret incarnation;  // random: names this process among the nodes and seeds its jitter
  LinkOptions link;
  BackoffOptions backoff;
  int64_t ping_interval_ns = 1'000'000'000;
  int64_t isolated_after_ns = 100'000'000;
  std::size_t in_flight_max = 10'000;
};

class RedisStore {
 public:
  // `resolver` looks names up.
  RedisStore(RedisStoreOptions options, Clock& clock, Executor& resolver, RedisEvents events);
  ~RedisStore();

  // Begins to connect and does not wait for it. INVALID_ARGUMENT: files of TLS that cannot be used.
  absl::Status Start();
  // Every request that waits is answered by its policy first.
  void Stop();

  // Reads the files of TLS again, for connections made from now on. What does not load leaves the
  // last good ones in force, and the status says why.
  absl::Status ReloadTls();

  Store& store() { return *shared_; }
  const SharedStore& shared() const { return *shared_; }
  const RedisRemote& remote() const { return remote_; }

 private:
  struct Site;

  absl::Status Open(const RedisPlace& place, bool with_meta, std::unique_ptr<Site>* site);

  const RedisStoreOptions options_;
  Clock& clock_;
  Executor& resolver_;
  StoreLoop loop_;
  RedisRemote remote_;
  std::unique_ptr<SharedStore> shared_;
  std::unique_ptr<Site> main_;
  std::unique_ptr<Site> per_second_;
};

}  // namespace weir
