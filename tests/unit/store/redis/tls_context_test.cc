#include "limiter/store/redis/tls_context.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "tests/support/certificates.h"
#include "tests/support/redis_process.h"

namespace weir {
namespace {

class TlsContextTest : public testing::Test {
 protected:
  TlsContextTest() {
    authority_.Write(File("ca"));
    authority_.Issue("", File("cert"), File("key"));
  }
  std::string File(const std::string& name) const { return folder_.path() + "/" + name + ".pem"; }
  static std::string ProblemOf(const TlsOptions& options) {
    return std::string(TlsContext::Create(options).status().message());
  }

  test::TemporaryFolder folder_;
  test::CertificateAuthority authority_;
};

TEST_F(TlsContextTest, LoadsWithAndWithoutFiles) {
  EXPECT_TRUE(TlsContext::Create({}).ok());
  absl::StatusOr<std::unique_ptr<TlsContext>> tls =
      TlsContext::Create({File("ca"), File("cert"), File("key")});
  ASSERT_TRUE(tls.ok()) << tls.status();
  EXPECT_GT((*tls)->certificate_expiry_s(), 1'700'000'000);
  EXPECT_NE((*tls)->NewSession("localhost"), nullptr);
  EXPECT_NE((*tls)->NewSession("127.0.0.1"), nullptr);
  EXPECT_NE((*tls)->NewSession("::1"), nullptr);
}

TEST_F(TlsContextTest, RefusesToVerifyNoName) {
  absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create({File("ca")});
  ASSERT_TRUE(tls.ok());
  EXPECT_EQ((*tls)->NewSession(""), nullptr);
  EXPECT_EQ((*tls)->certificate_expiry_s(), 0);
}

TEST_F(TlsContextTest, NamesTheFileThatCannotBeUsed) {
  EXPECT_NE(ProblemOf({File("none")}).find("the CA file " + File("none")), std::string::npos);
  EXPECT_NE(ProblemOf({File("ca"), File("none"), File("key")}).find(File("none")),
            std::string::npos);
  EXPECT_NE(ProblemOf({File("ca"), File("cert"), File("none")}).find(File("none")),
            std::string::npos);
  EXPECT_NE(ProblemOf({File("ca"), "", File("key")}).find("a key without a certificate"),
            std::string::npos);
  std::ofstream(File("text")) << "no certificate\n";
  EXPECT_NE(ProblemOf({File("text")}).find(File("text")), std::string::npos);
  ASSERT_EQ(mkfifo(File("pipe").c_str(), 0600), 0);
  EXPECT_NE(ProblemOf({File("ca"), File("cert"), File("pipe")}).find("not a regular file"),
            std::string::npos);
}

TEST_F(TlsContextTest, RefusesAKeyOfAnotherCertificate) {
  authority_.Issue("", File("cert2"), File("key2"));
  const std::string problem = ProblemOf({File("ca"), File("cert"), File("key2")});
  EXPECT_NE(problem.find(File("key2")), std::string::npos) << problem;
  EXPECT_NE(problem.find("mismatch"), std::string::npos) << problem;
}

TEST_F(TlsContextTest, ABadFileLeavesTheLastGoodState) {
  absl::StatusOr<std::unique_ptr<TlsContext>> tls =
      TlsContext::Create({File("ca"), File("cert"), File("key")});
  ASSERT_TRUE(tls.ok());
  const int64_t expiry_s = (*tls)->certificate_expiry_s();
  std::ofstream(File("cert")) << "half a rota";
  EXPECT_FALSE((*tls)->Reload().ok());
  EXPECT_EQ((*tls)->certificate_expiry_s(), expiry_s);
  EXPECT_NE((*tls)->NewSession("localhost"), nullptr);
  authority_.Issue("", File("cert"), File("key"));
  EXPECT_TRUE((*tls)->Reload().ok());
}

}  // namespace
}  // namespace weir
