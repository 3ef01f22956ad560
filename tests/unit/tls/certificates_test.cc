#include "limiter/tls/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/support/certificates.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int64_t kDaySeconds = 86'400;

std::string Content(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() {
    authority_.Write(folder_.At("ca.pem"));
    authority_.Issue("DNS:localhost", folder_.At("cert.pem"), folder_.At("key.pem"));
    authority_.Issue("DNS:localhost", folder_.At("cert2.pem"), folder_.At("key2.pem"));
  }

  // With files of these names; empty: none.
  CertificateFiles Files(const std::string& chain, const std::string& key,
                         const std::string& ca = "") const {
    const auto at = [&](const std::string& name) { return name.empty() ? "" : folder_.At(name); };
    return {{"tls-cert", at(chain)}, {"tls-key", at(key)}, {"tls-client-ca", at(ca)}};
  }
  static absl::StatusOr<Certificates> Load(const CertificateFiles& files) {
    absl::StatusOr<CertificateTexts> texts = ReadCertificateFiles(files);
    if (!texts.ok()) return texts.status();
    return LoadCertificates(*texts, files);
  }
  static std::string ProblemOf(const CertificateFiles& files) {
    return std::string(Load(files).status().message());
  }

  TempFolder folder_;
  test::CertificateAuthority authority_;
};

TEST_F(CertificatesTest, LoadsAPair) {
  const absl::StatusOr<Certificates> loaded = Load(Files("cert.pem", "key.pem"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->ends_s - loaded->begins_s, 2 * kDaySeconds);
  EXPECT_EQ(loaded->serial, "02");
  EXPECT_EQ(loaded->texts.chain, Content(folder_.At("cert.pem")));
  EXPECT_EQ(loaded->texts.key, Content(folder_.At("key.pem")));
  EXPECT_EQ(loaded->texts.client_ca, "");
  EXPECT_EQ(SSL_CTX_get_verify_mode(loaded->context.get()), SSL_VERIFY_NONE);
  EXPECT_EQ(SSL_CTX_get_min_proto_version(loaded->context.get()), TLS1_2_VERSION);
}

TEST_F(CertificatesTest, ACaOfClientsMakesTheirCertificatesRequired) {
  const absl::StatusOr<Certificates> loaded = Load(Files("cert.pem", "key.pem", "ca.pem"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(SSL_CTX_get_verify_mode(loaded->context.get()),
            SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT);
}

TEST_F(CertificatesTest, OneFileMayHoldBothAndAChain) {
  folder_.Write("both.pem", Content(folder_.At("cert.pem")) + Content(folder_.At("ca.pem")) +
                                Content(folder_.At("key.pem")));
  const absl::StatusOr<Certificates> loaded = Load(Files("both.pem", ""));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  STACK_OF(X509)* chain = nullptr;
  SSL_CTX_get0_chain_certs(loaded->context.get(), &chain);
  EXPECT_EQ(sk_X509_num(chain), 1);
}

TEST_F(CertificatesTest, NamesSettingFileReasonAndRemedy) {
  EXPECT_THAT(ProblemOf(Files("none.pem", "key.pem")),
              AllOf(StartsWith("tls-cert: " + folder_.At("none.pem") + " cannot be read: No such"),
                    HasSubstr("name a PEM file")));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "none.pem")), StartsWith("tls-key: "));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "key.pem", "none.pem")), StartsWith("tls-client-ca: "));
  folder_.Write("folder/a", "");
  EXPECT_THAT(ProblemOf(Files("folder", "key.pem")), HasSubstr("cannot be read: Is a directory"));
  folder_.Write("long.pem", std::string((1 << 20) + 1, 'a'));
  EXPECT_THAT(ProblemOf(Files("long.pem", "key.pem")), HasSubstr("longer than 1 MiB"));
  EXPECT_THAT(ProblemOf(Files("key.pem", "key.pem")), HasSubstr("holds no certificate"));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "cert.pem")), HasSubstr("without a password"));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "")), HasSubstr("name the file of the key with tls-key"));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "key.pem", "key.pem")),
              HasSubstr("is no list of CA certificates"));
}

TEST_F(CertificatesTest, AKeyOfAnotherCertificateIsRefused) {
  const std::string problem = ProblemOf(Files("cert.pem", "key2.pem"));
  EXPECT_EQ(problem, "tls-key: " + folder_.At("key2.pem") +
                         " is not the key of the certificate in " + folder_.At("cert.pem") +
                         " (key values mismatch); give both of one pair");
}

TEST_F(CertificatesTest, HalfAFileIsRefused) {
  const std::string cert = Content(folder_.At("cert.pem"));
  folder_.Write("half.pem", cert.substr(0, cert.size() / 2));
  EXPECT_THAT(ProblemOf(Files("half.pem", "key.pem")), HasSubstr("holds no certificate"));
  folder_.Write("half.pem", cert + cert.substr(0, cert.size() / 2));
  EXPECT_THAT(ProblemOf(Files("half.pem", "key.pem")), HasSubstr("broken certificate after"));
  const std::string ca = Content(folder_.At("ca.pem"));
  folder_.Write("half.pem", ca + ca.substr(0, ca.size() / 2));
  EXPECT_THAT(ProblemOf(Files("cert.pem", "key.pem", "half.pem")), HasSubstr("is no list of CA"));
}

// gRPC would refuse it later, and go on with the certificate before.
TEST_F(CertificatesTest, ACertificateWithTrustSettingsIsRefused) {
  std::string cert = Content(folder_.At("cert.pem"));
  for (const std::string at : {"BEGIN ", "END "}) {
    cert.insert(cert.find(at) + at.size(), "TRUSTED ");
  }
  folder_.Write("trusted.pem", cert);
  EXPECT_THAT(ProblemOf(Files("trusted.pem", "key.pem")), HasSubstr("holds no certificate"));
}

// Reading one would wait for a writer, and the end of the program for that.
TEST_F(CertificatesTest, APipeIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(folder_.At("pipe.pem").c_str(), 0600), 0);
  EXPECT_EQ(ProblemOf(Files("cert.pem", "pipe.pem")),
            "tls-key: " + folder_.At("pipe.pem") + " is not a regular file; name a PEM file");
}

TEST_F(CertificatesTest, SaysWhenClientsWillRefuseIt) {
  const absl::StatusOr<Certificates> loaded = Load(Files("cert.pem", "key.pem"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(ValidityProblem(*loaded, loaded->begins_s), "");
  EXPECT_EQ(ValidityProblem(*loaded, loaded->ends_s - 1), "");
  EXPECT_THAT(ValidityProblem(*loaded, loaded->begins_s - 1), StartsWith("is not valid before 2"));
  EXPECT_THAT(ValidityProblem(*loaded, loaded->ends_s), StartsWith("expired at 2"));
  Certificates old;
  old.ends_s = 1'700'000'040;
  EXPECT_EQ(ValidityProblem(old, 1'800'000'000), "expired at 2023-11-14T22:14:00Z");
}

TEST(ClientHello, BeginsAHandshake) {
  const std::string hello = ClientHello();
  ASSERT_GT(hello.size(), 9U);
  EXPECT_EQ(hello[0], 22) << "a handshake record, RFC 8446 section 5.1";
  EXPECT_EQ(hello[5], 1) << "client_hello, section 4";
}

}  // namespace
}  // namespace weir
