#pragma once

// A certificate authority of a test's own, and certificates it signs.
//
// Thread safety: one thread.

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace weir::test {

class CertificateAuthority {
 public:
  CertificateAuthority();

  // Writes the authority's own certificate.
  void Write(const std::string& file) const;
  // Writes a new key and a certificate for it. `names` is a subjectAltName,
  // "DNS:localhost,IP:127.0.0.1"; empty: none, as for a client.
  void Issue(const std::string& names, const std::string& certificate_file,
             const std::string& key_file);

 private:
  struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  struct FreeCertificate {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  using Key = std::unique_ptr<EVP_PKEY, FreeKey>;
  using Certificate = std::unique_ptr<X509, FreeCertificate>;

  // Signed by the authority, or by `key` itself while there is none.
  Certificate Sign(EVP_PKEY* key, const std::string& common_name, const std::string& names);

  Key key_;
  Certificate certificate_;
  long serial_ = 0;
};

}  // namespace weir::test
