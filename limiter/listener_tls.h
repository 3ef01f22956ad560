#pragma once

// TLS of a serving process's listeners: their certificates as the settings say, read again when
// their files change.
//
// Thread safety: Load, Watch and Stop from one thread; the rest from any.

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/settings.h"
#include "limiter/metrics/engine_collector.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/tls/certificate_source.h"
#include "limiter/tls/certificate_watch.h"

namespace weir {

class ListenerTls {
 public:
  // Before the first thread and the first use of gRPC, whose settings it makes.
  absl::Status Load(const Settings& settings);

  // nullptr: the listener is not TLS.
  const CertificateSource* grpc() const { return grpc_.get(); }
  const CertificateSource* http() const { return http_.get(); }

  // Follows the files from now on.
  void Watch();
  // Reads them now.
  void Poke();

  std::vector<TlsStatus> status() const;

 private:
  std::vector<CertificateSource*> Sources() const;

  SystemClock clock_;
  std::unique_ptr<CertificateSource> grpc_;
  std::unique_ptr<CertificateSource> http_;
  std::unique_ptr<CertificateWatch> watch_;
};

}  // namespace weir
