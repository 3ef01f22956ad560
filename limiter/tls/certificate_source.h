#pragma once

// The certificates of one listener, read again when their files change. What does not load leaves
// the last good ones in force: connections that are up keep theirs either way.
//
// Thread safety: Load and Poll from one thread at a time; the rest from any.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "limiter/core/clock.h"
#include "limiter/core/mutex.h"
#include "limiter/tls/certificates.h"

namespace weir {

// Told in words, on the thread of Load or Poll.
struct CertificateEvents {
  std::function<void(const std::string&)> loaded;   // certificates came into force
  std::function<void(const std::string&)> warning;  // they will be refused by clients
  std::function<void(const std::string&)> failed;   // the last good ones stay; once per reason
};

class CertificateSource {
 public:
  // `listener` is "grpc" or "http". `clock` outlives the source.
  CertificateSource(std::string listener, CertificateFiles files, Clock& clock,
                    CertificateEvents events);

  // The first reading. Its error names the setting, the file, the reason and the remedy.
  absl::Status Load();
  // Reads the files, and takes them over if their content is new and good. What is wrong is told
  // if the next Poll finds it too: between the two halves of a rotation nothing is.
  void Poll();

  const std::string& listener() const { return listener_; }
  bool verifies_clients() const { return !files_.client_ca.path.empty(); }
  // Never null after a good Load.
  std::shared_ptr<const Certificates> current() const;
  // Times that files with new content were taken over, or could not be.
  uint64_t successes() const { return successes_.load(std::memory_order_relaxed); }
  uint64_t failures() const { return failures_.load(std::memory_order_relaxed); }

 private:
  absl::Status TakeOver();
  void Use(Certificates certificates);

  const std::string listener_;
  const CertificateFiles files_;
  Clock& clock_;
  const CertificateEvents events_;
  std::string suspected_;  // what the last Poll found wrong
  std::string failure_;    // what was told last; empty since all is well
  std::atomic<uint64_t> successes_{0};
  std::atomic<uint64_t> failures_{0};
  mutable Mutex mutex_;
  std::shared_ptr<const Certificates> current_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weir
