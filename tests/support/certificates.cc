#include "tests/support/certificates.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstdio>
#include <string>

namespace weir::test {
namespace {

constexpr long kDaySeconds = 86'400;

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

void WriteCertificate(const std::string& file, X509* certificate) {
  std::FILE* const out = std::fopen(file.c_str(), "w");
  PEM_write_X509(out, certificate);
  std::fclose(out);
}

}  // namespace

CertificateAuthority::CertificateAuthority() : key_(EVP_EC_gen("P-256")) {
  // Another name each time, so that one is not taken for another with a bad signature.
  static int authorities = 0;
  certificate_ = Sign(key_.get(), "weir test authority " + std::to_string(++authorities), "");
}

CertificateAuthority::Certificate CertificateAuthority::Sign(EVP_PKEY* key,
                                                             const std::string& common_name,
                                                             const std::string& names) {
  Certificate certificate(X509_new());
  X509* const x509 = certificate.get();
  X509* const issuer = certificate_ == nullptr ? x509 : certificate_.get();
  X509_set_version(x509, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), ++serial_);
  X509_gmtime_adj(X509_getm_notBefore(x509), -kDaySeconds);
  X509_gmtime_adj(X509_getm_notAfter(x509), kDaySeconds);
  X509_set_pubkey(x509, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(x509, X509_get_subject_name(issuer));
  if (issuer == x509) AddExtension(x509, issuer, NID_basic_constraints, "critical,CA:TRUE");
  if (!names.empty()) AddExtension(x509, issuer, NID_subject_alt_name, names);
  X509_sign(x509, key_.get(), EVP_sha256());
  return certificate;
}

void CertificateAuthority::Write(const std::string& file) const {
  WriteCertificate(file, certificate_.get());
}

void CertificateAuthority::Issue(const std::string& names, const std::string& certificate_file,
                                 const std::string& key_file) {
  const Key key(EVP_EC_gen("P-256"));
  WriteCertificate(certificate_file, Sign(key.get(), "weir test", names).get());
  std::FILE* const out = std::fopen(key_file.c_str(), "w");
  PEM_write_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(out);
}

}  // namespace weir::test
