#include "limiter/store/redis/tls_context.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <time.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weir {
namespace {

absl::Status Bad(const std::string& what, const std::string& file) {
  return absl::InvalidArgumentError(
      absl::StrCat("redis tls: ", what, " ", file, " cannot be used: ", TakeTlsError()));
}

bool IsIpAddress(const std::string& host) {
  in6_addr ignored{};
  return inet_pton(AF_INET, host.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
}

}  // namespace

std::string TakeTlsError() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  if (error == 0) return "";
  const char* const reason = ERR_reason_error_string(error);
  if (reason != nullptr) return reason;
  std::array<char, 256> text{};
  ERR_error_string_n(error, text.data(), text.size());
  return text.data();
}

absl::StatusOr<std::unique_ptr<TlsContext>> TlsContext::Create(const TlsOptions& options) {
  std::unique_ptr<TlsContext> tls(new TlsContext(options));
  absl::Status status = tls->Reload();
  if (!status.ok()) return status;
  return tls;
}

absl::Status TlsContext::Reload() {
  absl::StatusOr<Context> loaded = Load();
  if (!loaded.ok()) return loaded.status();
  MutexLock lock(mutex_);
  context_ = std::move(*loaded);
  return absl::OkStatus();
}

absl::StatusOr<TlsContext::Context> TlsContext::Load() const {
  for (const std::string* file :
       {&options_.ca_file, &options_.certificate_file, &options_.key_file}) {
    // OpenSSL would wait for the writer of a pipe without end.
    std::error_code error;
    if (std::filesystem::is_fifo(*file, error)) {
      return absl::InvalidArgumentError(
          absl::StrCat("redis tls: ", *file, " is not a regular file"));
    }
  }
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::InternalError("redis tls: " + TakeTlsError());
  SSL_CTX* const ssl = context.get();
  // A partial write may be repeated from a buffer that has moved meanwhile.
  SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_set_min_proto_version(ssl, options_.version_min) != 1) {
    return absl::InvalidArgumentError("redis tls: the lowest version is not one OpenSSL knows");
  }
  if (options_.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(ssl) != 1) return Bad("the CAs of the system", "");
  } else if (SSL_CTX_load_verify_file(ssl, options_.ca_file.c_str()) != 1) {
    return Bad("the CA file", options_.ca_file);
  }
  if (options_.certificate_file.empty()) {
    if (options_.key_file.empty()) return context;
    return absl::InvalidArgumentError("redis tls: a key without a certificate");
  }
  const std::string& key_file =
      options_.key_file.empty() ? options_.certificate_file : options_.key_file;
  if (SSL_CTX_use_certificate_chain_file(ssl, options_.certificate_file.c_str()) != 1) {
    return Bad("the certificate", options_.certificate_file);
  }
  // Half of a rotation, a new certificate with the old key, is found here.
  if (SSL_CTX_use_PrivateKey_file(ssl, key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(ssl) != 1) {
    return Bad("the key", key_file);
  }
  return context;
}

TlsContext::Session TlsContext::NewSession(const std::string& host) const {
  Session session;
  {
    MutexLock lock(mutex_);
    session.reset(SSL_new(context_.get()));
  }
  if (session == nullptr) return nullptr;
  SSL_set_connect_state(session.get());
  const std::string& name = options_.server_name.empty() ? host : options_.server_name;
  const bool ip = IsIpAddress(name);
  // RFC 6066: no SNI for addresses.
  if (!ip && SSL_set_tlsext_host_name(session.get(), name.c_str()) != 1) return nullptr;
  if (!options_.verify_name) return session;
  X509_VERIFY_PARAM* const verify = SSL_get0_param(session.get());
  X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  const bool set = ip ? X509_VERIFY_PARAM_set1_ip_asc(verify, name.c_str()) == 1
                      : !name.empty() && X509_VERIFY_PARAM_set1_host(verify, name.c_str(), 0) == 1;
  if (!set) return nullptr;
  return session;
}

int64_t TlsContext::certificate_expiry_s() const {
  MutexLock lock(mutex_);
  const X509* const certificate = SSL_CTX_get0_certificate(context_.get());
  if (certificate == nullptr) return 0;
  tm expiry{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &expiry) != 1) return 0;
  return timegm(&expiry);
}

}  // namespace weir
