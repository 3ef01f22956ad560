#pragma once

// Whether a listener of this process still takes connections. grpc++ 1.51 gives up listening for
// good when the process runs out of descriptors once (CVE-2023-4785), and nothing else tells: the
// kernel goes on completing connections that nobody takes.
//
// Thread safety: Turn from one thread; answers from any.

#include <sys/socket.h>

#include <atomic>
#include <cstdint>
#include <string>

namespace weir {

// The preface of HTTP/2 and empty SETTINGS (RFC 9113, section 3.4).
std::string Http2Opening();

class ListenerProbe {
 public:
  // A connection that met no reaction for so long counts as missed.
  static constexpr int64_t kPatienceNs = 1'500'000'000;

  // "127.0.0.1:8081", "[::1]:8081" or "unix:/path"; the port as bound. A name is looked up here,
  // once; one that is not found is never probed. `opening`: what a client says first.
  ListenerProbe(std::string address, std::string opening);
  ~ListenerProbe();
  ListenerProbe(const ListenerProbe&) = delete;
  ListenerProbe& operator=(const ListenerProbe&) = delete;

  // Judges the connection made before, once that is kPatienceNs ago, and makes another. Called
  // every second or two; more often does no harm.
  void Turn(int64_t now_mono_ns);
  // False after three misses in a row, until a connection is answered. Where none could be made
  // for want of a descriptor, nothing is known and nothing changes.
  bool answers() const { return missed_.load(std::memory_order_relaxed) < kMissedMax; }
  const std::string& address() const { return address_; }

 private:
  static constexpr int kMissedMax = 3;
  enum class Asked : uint8_t { kNothing, kWaiting, kRefused };

  Asked Ask();
  bool Reacted() const;

  const std::string address_;
  const std::string opening_;
  sockaddr_storage name_{};
  socklen_t name_bytes_ = 0;  // 0: not known
  int fd_ = -1;
  Asked asked_ = Asked::kNothing;
  int64_t asked_mono_ns_ = 0;
  std::atomic<int> missed_{0};
};

}  // namespace weir
