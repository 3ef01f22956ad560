#include "limiter/listener_tls.h"

#include <spdlog/spdlog.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "limiter/grpc/tls_credentials.h"

namespace weir {
namespace {

// A change of files is in effect after this and the time that loading takes.
constexpr int64_t kPollNs = 500'000'000;

CertificateEvents EventsOf(const std::string& listener) {
  const std::string prefix = "tls of " + listener + ": ";
  CertificateEvents events;
  events.loaded = [prefix](const std::string& what) {
    spdlog::info("{}new connections are served with {}", prefix, what);
  };
  events.warning = [prefix](const std::string& what) { spdlog::warn("{}{}", prefix, what); };
  events.failed = [prefix](const std::string& what) {
    spdlog::error("{}{}; the certificate read before stays in use", prefix, what);
  };
  return events;
}

}  // namespace

absl::Status ListenerTls::Load(const Settings& settings) {
  if (!settings.grpc_tls_cert.empty()) {
    const CertificateFiles files = {{"grpc-tls-cert", settings.grpc_tls_cert},
                                    {"grpc-tls-key", settings.grpc_tls_key},
                                    {"grpc-tls-client-ca", settings.grpc_tls_client_ca}};
    grpc_ = std::make_unique<CertificateSource>("grpc", files, clock_, EventsOf("grpc"));
    if (settings.grpc_tls_min_version == TlsVersion::k13) RefuseTls12();
  }
  if (!settings.http_tls_cert.empty()) {
    const CertificateFiles files = {
        {"http-tls-cert", settings.http_tls_cert}, {"http-tls-key", settings.http_tls_key}, {}};
    http_ = std::make_unique<CertificateSource>("http", files, clock_, EventsOf("http"));
  }
  for (CertificateSource* const source : Sources()) {
    if (absl::Status status = source->Load(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

void ListenerTls::Watch() { watch_ = std::make_unique<CertificateWatch>(Sources(), kPollNs); }

void ListenerTls::Poke() { watch_->Poke(); }

std::vector<TlsStatus> ListenerTls::status() const {
  std::vector<TlsStatus> all;
  for (const CertificateSource* const source : Sources()) {
    all.push_back(
        {source->listener(), source->current()->ends_s, source->successes(), source->failures()});
  }
  return all;
}

std::vector<CertificateSource*> ListenerTls::Sources() const {
  std::vector<CertificateSource*> sources;
  for (CertificateSource* const source : {grpc_.get(), http_.get()}) {
    if (source != nullptr) sources.push_back(source);
  }
  return sources;
}

}  // namespace weir
