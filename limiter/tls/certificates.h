#pragma once

// What a listener needs for TLS: its certificate and key, and whose clients' certificates it
// takes. Read from PEM files and checked as a whole, so that half of a rotation is found before a
// client sees it.
//
// Thread safety: plain values, and functions without shared state.

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {

// A file and the setting that names it, for messages.
struct NamedFile {
  std::string setting = {};
  std::string path = {};  // empty: none
};

struct CertificateFiles {
  NamedFile chain = {};      // PEM, the listener's own certificate first
  NamedFile key = {};        // PEM; without a path it is in the file of the chain
  NamedFile client_ca = {};  // PEM; without a path clients are asked for no certificate
};

// Contents of the files.
struct CertificateTexts {
  std::string chain = {};
  std::string key = {};
  std::string client_ca = {};  // empty: none

  bool operator==(const CertificateTexts&) const = default;
};

struct Certificates {
  CertificateTexts texts = {};
  std::shared_ptr<SSL_CTX> context = {};  // of a server, with the texts loaded
  int64_t begins_s = 0;                   // seconds since the Unix epoch, as ends_s
  int64_t ends_s = 0;
  std::string serial = {};  // in hexadecimal
};

// Errors name the setting, the file, the reason and the remedy; none holds a secret.
absl::StatusOr<CertificateTexts> ReadCertificateFiles(const CertificateFiles& files);
// `files` are where `texts` came from.
absl::StatusOr<Certificates> LoadCertificates(CertificateTexts texts,
                                              const CertificateFiles& files);

// A session of a listener with TLS 1.2 or newer; null if there is no memory.
SSL* NewServerSession(const Certificates& certificates);

// Whether it has taken bytes from its socket that nobody has read yet; a null session has none.
bool HoldsBytes(const SSL* session);

// What a client of TLS says first: a ClientHello. Empty if there is no memory.
std::string ClientHello();

// Why clients will refuse the certificate at this time; empty if they will not.
std::string ValidityProblem(const Certificates& certificates, int64_t now_s);

}  // namespace weir
