#pragma once

// Whether a listener of this process still takes connections. grpc++ 1.51 gives up listening for
// good when the process runs out of descriptors once (CVE-2023-4785), and nothing else tells: the
// kernel goes on completing connections that nobody takes.
//
// Thread safety: Turn from one thread; answers from any.

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

namespace weir {

// The preface of HTTP/2 and empty SETTINGS (RFC 9113, section 3.4).
std::string Http2Opening();

class ListenerProbe {
 public:
  // "127.0.0.1:8081", "[::1]:8081" or "unix:/path"; the port as bound. `opening`: what a client of
  // this listener says first.
  ListenerProbe(std::string address, std::string opening)
      : address_(std::move(address)), opening_(std::move(opening)) {}
  ~ListenerProbe();
  ListenerProbe(const ListenerProbe&) = delete;
  ListenerProbe& operator=(const ListenerProbe&) = delete;

  // Judges the connection that the last turn made, and makes another. Called every second or so:
  // what did not react between two turns counts as missed.
  void Turn();
  // False after three missed turns in a row, until one is answered. Where no connection could be
  // made for want of a descriptor, nothing is known and nothing changes.
  bool answers() const { return missed_.load(std::memory_order_relaxed) < kMissedMax; }
  const std::string& address() const { return address_; }

 private:
  static constexpr int kMissedMax = 3;
  enum class Asked : uint8_t { kNothing, kWaiting, kRefused };

  Asked Ask();
  bool Reacted() const;

  const std::string address_;
  const std::string opening_;
  int fd_ = -1;
  Asked asked_ = Asked::kNothing;
  std::atomic<int> missed_{0};
};

}  // namespace weir
