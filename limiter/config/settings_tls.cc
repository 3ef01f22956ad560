#include "limiter/config/settings_tls.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/config/settings.h"

namespace weir {
namespace {

// A setting that means nothing without another.
struct Need {
  std::string_view name;
  bool set;
  std::string_view needs;
  bool met;
  std::string_view because;
};

}  // namespace

std::vector<std::string> CheckTlsSettings(LoadedSettings& loaded) {
  const Settings& s = loaded.settings;
  const auto origin = [&](std::string_view name) -> const Origin& {
    return loaded.origins.find(name)->second;
  };
  const bool grpc = !s.grpc_tls_cert.empty();
  const Need needs[] = {
      {"grpc-tls-key", !s.grpc_tls_key.empty(), "grpc-tls-cert", grpc,
       "the certificate that the key is for"},
      {"grpc-tls-client-ca", !s.grpc_tls_client_ca.empty(), "grpc-tls-cert", grpc,
       "without TLS no client shows a certificate"},
      {"grpc-tls-client-sans", !s.grpc_tls_client_sans.empty(), "grpc-tls-client-ca",
       !s.grpc_tls_client_ca.empty(), "otherwise clients show no certificate and all may call"},
      {"http-tls-key", !s.http_tls_key.empty(), "http-tls-cert", !s.http_tls_cert.empty(),
       "the certificate that the key is for"}};
  std::vector<std::string> errors;
  for (const Need& need : needs) {
    if (!need.set || need.met) continue;
    errors.push_back(PlaceOf(need.name, origin(need.name)) + ": it needs " +
                     std::string(need.needs) + ", " + std::string(need.because));
  }
  const auto warn = [&](std::string_view name, std::string_view text) {
    loaded.warnings.push_back(PlaceOf(name, origin(name)).append(": ").append(text));
  };
  const bool tcp = std::any_of(s.grpc_listen.begin(), s.grpc_listen.end(),
                               [](const std::string& a) { return !a.starts_with("unix:"); });
  if (grpc && !tcp) {
    warn("grpc-tls-cert",
         "no effect, all addresses of grpc-listen are Unix sockets, which are "
         "not TLS");
  }
  if (!grpc && origin("grpc-tls-min-version").kind != Origin::kDefault) {
    warn("grpc-tls-min-version", "no effect without grpc-tls-cert");
  }
  return errors;
}

}  // namespace weir
