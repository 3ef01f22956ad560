#pragma once

// Polls certificate files on a thread of its own. It reads contents, not names or times: a link
// swapped under a mounted Secret, a file replaced and a file rewritten in place all count alike.
//
// Thread safety: Poke from any thread; the rest from one.

#include <condition_variable>
#include <cstdint>
#include <thread>
#include <vector>

#include "limiter/core/mutex.h"
#include "limiter/tls/certificate_source.h"

namespace weir {

class CertificateWatch {
 public:
  // Sources were loaded and outlive the watch. Without any there is no thread.
  CertificateWatch(std::vector<CertificateSource*> sources, int64_t interval_ns);
  ~CertificateWatch();
  CertificateWatch(const CertificateWatch&) = delete;
  CertificateWatch& operator=(const CertificateWatch&) = delete;

  // Reads the files now.
  void Poke();

 private:
  void Run(int64_t interval_ns);

  const std::vector<CertificateSource*> sources_;
  Mutex mutex_;
  std::condition_variable_any wake_;
  bool poked_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace weir
