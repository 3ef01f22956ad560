#include "limiter/tls/certificates.h"

#include <fcntl.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "limiter/core/handle.h"

namespace weir {
namespace {

// A bundle of a few hundred CAs has a quarter of it.
constexpr std::size_t kFileBytesMax = std::size_t{1} << 20;

using Bio = Handle<BIO, BIO_free_all>;
using Certificate = Handle<X509, X509_free>;

Bio Reading(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// An encrypted key would otherwise ask the terminal for its password.
int NoPassword(char*, int, int, void*) { return -1; }

// The reason of the oldest error of OpenSSL's queue, and an empty queue.
std::string Reason() {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const char* const reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return reason == nullptr ? "OpenSSL gives no reason" : reason;
}

absl::Status Bad(const NamedFile& file, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file.setting, ": ", file.path, " ", what));
}

const NamedFile& KeyFile(const CertificateFiles& files) {
  return files.key.path.empty() ? files.chain : files.key;
}

absl::StatusOr<std::string> ReadFile(const NamedFile& file) {
  errno = 0;
  // Not blocking: a pipe would be waited for without end.
  const int fd = open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat info {};
  if (fd >= 0 && fstat(fd, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) {
    close(fd);
    return Bad(file, "is not a regular file; name a PEM file");
  }
  const Handle<std::FILE, std::fclose> stream(fd >= 0 ? fdopen(fd, "rb") : nullptr);
  std::string content(kFileBytesMax + 1, '\0');
  const bool open = stream != nullptr;
  if (open) content.resize(std::fread(content.data(), 1, content.size(), stream.get()));
  if (!open || std::ferror(stream.get()) != 0) {
    return Bad(file, absl::StrCat("cannot be read: ", std::strerror(errno),
                                  "; name a PEM file that this user may read"));
  }
  if (content.size() > kFileBytesMax) return Bad(file, "is longer than 1 MiB; name a PEM file");
  return content;
}

int64_t Seconds(const ASN1_TIME* time) {
  tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

std::string Serial(const X509* certificate) {
  const Handle<BIGNUM, BN_free> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  if (number == nullptr) return "";
  std::string bytes(static_cast<std::size_t>(BN_num_bytes(number.get())), '\0');
  BN_bn2bin(number.get(), reinterpret_cast<unsigned char*>(bytes.data()));
  return absl::AsciiStrToUpper(absl::BytesToHexString(bytes));
}

std::string TimeText(int64_t seconds) {
  const time_t time = seconds;
  tm parts{};
  gmtime_r(&time, &parts);
  char text[sizeof("2026-01-01T00:00:00Z") + 16];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

// Whether reading certificates ended because there are no more, and not at a broken one.
bool ReadAll() {
  const unsigned long error = ERR_peek_last_error();
  const bool end =
      ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (end) ERR_clear_error();
  return end;
}

absl::Status UseChain(const CertificateFiles& files, Certificates& loaded) {
  SSL_CTX* const context = loaded.context.get();
  const Bio bio = Reading(loaded.texts.chain);
  // Not the form with trust settings (_AUX), which gRPC refuses.
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
  if (certificate == nullptr) {
    return Bad(files.chain,
               absl::StrCat("holds no certificate: ", Reason(), "; it must be a PEM chain"));
  }
  if (SSL_CTX_use_certificate(context, certificate.get()) != 1) {
    return Bad(files.chain, absl::StrCat("cannot be used: ", Reason(),
                                         "; issue a certificate with a stronger key"));
  }
  loaded.begins_s = Seconds(X509_get0_notBefore(certificate.get()));
  loaded.ends_s = Seconds(X509_get0_notAfter(certificate.get()));
  loaded.serial = Serial(certificate.get());
  ERR_clear_error();
  while (true) {
    Certificate issuer(PEM_read_bio_X509(bio.get(), nullptr, &NoPassword, nullptr));
    if (issuer == nullptr) break;
    if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1) break;
  }
  if (ReadAll()) return absl::OkStatus();
  return Bad(files.chain, absl::StrCat("holds a broken certificate after the first: ", Reason(),
                                       "; it must be a PEM chain"));
}

absl::Status UseKey(const CertificateFiles& files, Certificates& loaded) {
  const NamedFile& file = KeyFile(files);
  const Bio bio = Reading(loaded.texts.key);
  const Handle<EVP_PKEY, EVP_PKEY_free> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, &NoPassword, nullptr));
  if (key == nullptr) {
    const std::string remedy = files.key.path.empty()
                                   ? "; name the file of the key with " + files.key.setting
                                   : "; it must be PEM without a password";
    return Bad(file, absl::StrCat("holds no private key that can be read: ", Reason(), remedy));
  }
  SSL_CTX* const context = loaded.context.get();
  if (SSL_CTX_use_PrivateKey(context, key.get()) == 1 && SSL_CTX_check_private_key(context) == 1) {
    return absl::OkStatus();
  }
  return Bad(file, absl::StrCat("is not the key of the certificate in ", files.chain.path, " (",
                                Reason(), "); give both of one pair"));
}

absl::Status UseClientCa(const CertificateFiles& files, Certificates& loaded) {
  if (files.client_ca.path.empty()) return absl::OkStatus();
  SSL_CTX* const context = loaded.context.get();
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  const Bio bio = Reading(loaded.texts.client_ca);
  int count = 0;
  for (;; ++count) {
    const Certificate authority(PEM_read_bio_X509_AUX(bio.get(), nullptr, &NoPassword, nullptr));
    if (authority == nullptr) break;
    if (X509_STORE_add_cert(store, authority.get()) != 1) break;
    SSL_CTX_add_client_CA(context, authority.get());
  }
  if (count > 0 && ReadAll()) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    return absl::OkStatus();
  }
  return Bad(files.client_ca,
             absl::StrCat("is no list of CA certificates: ", Reason(),
                          "; it must be PEM, the CAs of clients one after the other"));
}

}  // namespace

absl::StatusOr<CertificateTexts> ReadCertificateFiles(const CertificateFiles& files) {
  CertificateTexts texts;
  const std::pair<const NamedFile*, std::string*> parts[] = {{&files.chain, &texts.chain},
                                                             {&KeyFile(files), &texts.key},
                                                             {&files.client_ca, &texts.client_ca}};
  for (const auto& [file, text] : parts) {
    if (file->path.empty()) continue;
    absl::StatusOr<std::string> content = ReadFile(*file);
    if (!content.ok()) return content.status();
    *text = *std::move(content);
  }
  return texts;
}

absl::StatusOr<Certificates> LoadCertificates(CertificateTexts texts,
                                              const CertificateFiles& files) {
  ERR_clear_error();
  Certificates loaded;
  loaded.texts = std::move(texts);
  loaded.context.reset(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  if (loaded.context == nullptr ||
      SSL_CTX_set_min_proto_version(loaded.context.get(), TLS1_2_VERSION) != 1) {
    return absl::InternalError("TLS cannot be set up: " + Reason());
  }
  absl::Status status = UseChain(files, loaded);
  if (status.ok()) status = UseKey(files, loaded);
  if (status.ok()) status = UseClientCa(files, loaded);
  if (!status.ok()) return status;
  return loaded;
}

SSL* NewServerSession(const Certificates& certificates) {
  return SSL_new(certificates.context.get());
}

bool HoldsBytes(const SSL* session) { return session != nullptr && SSL_pending(session) > 0; }

std::string ClientHello() {
  const Handle<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return "";
  const Handle<SSL, SSL_free> session(SSL_new(context.get()));
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  if (session == nullptr || in == nullptr || out == nullptr) {
    BIO_free(in);
    BIO_free(out);
    return "";
  }
  SSL_set_bio(session.get(), in, out);  // which are its own from here on
  SSL_set_connect_state(session.get());
  SSL_do_handshake(session.get());  // writes, and then waits for an answer that never comes
  ERR_clear_error();
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : "";
}

std::string ValidityProblem(const Certificates& certificates, int64_t now_s) {
  if (now_s >= certificates.ends_s) return "expired at " + TimeText(certificates.ends_s);
  if (now_s < certificates.begins_s) {
    return "is not valid before " + TimeText(certificates.begins_s);
  }
  return "";
}

}  // namespace weir
