// TLS against a real redis-server: who is trusted, who is not, and what is said about it.

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/tls_context.h"
#include "tests/support/certificates.h"
#include "tests/support/primary_harness.h"
#include "tests/support/real_redis.h"

namespace weir {
namespace {

using test::Ending;
using test::RedisOptions;
using test::TestedPrimary;
using test::TestLoop;

class PrimaryOverTls : public test::RealRedis {
 protected:
  RedisOptions Options() override {
    authority_.Write(File("ca"));
    authority_.Issue("DNS:localhost,DNS:redis.test,IP:127.0.0.1", File("server"),
                     File("server-key"));
    tls_port_ = test::FreePort();
    RedisOptions options;
    options.tls_only = true;
    options.arguments = {"--tls-port",         std::to_string(tls_port_),
                         "--tls-cert-file",    File("server"),
                         "--tls-key-file",     File("server-key"),
                         "--tls-ca-cert-file", File("ca"),
                         "--tls-auth-clients", "no"};
    return options;
  }

  std::string File(const std::string& name) const { return folder_.path() + "/" + name + ".pem"; }

  // A primary that has not started yet.
  void Build(const TlsOptions& options, const std::string& host = "127.0.0.1") {
    absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create(options);
    ASSERT_TRUE(tls.ok()) << tls.status();
    tls_ = *std::move(tls);
    tested_ = std::make_unique<TestedPrimary>(loop_, RedisAddress{host, tls_port_, ""});
    tested_->options.tls = tls_.get();
  }
  void ExpectRefusal(const std::string& text) {
    tested_->Start();
    EXPECT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kTls) > 0; }));
    EXPECT_TRUE(tested_->listener.Noted(text)) << testing::PrintToString(tested_->listener.notes);
    EXPECT_EQ(tested_->primary->stats().connects, 0u);
  }

  test::TemporaryFolder folder_;
  test::CertificateAuthority authority_;
  uint16_t tls_port_ = 0;
  TestLoop loop_;
  std::unique_ptr<TlsContext> tls_;
  std::unique_ptr<TestedPrimary> tested_;
};

TEST_F(PrimaryOverTls, ConnectsToTheAddressTheCertificateIsFor) {
  Build({.ca_file = File("ca")});
  ASSERT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
  std::vector<Ending> endings(100);
  // Larger than one TLS record, in both directions.
  const std::string text(100'000, 'x');
  for (Ending& ending : endings) ASSERT_TRUE(tested_->Send(ending, {"ECHO", text}));
  ASSERT_TRUE(loop_.Until([&] { return endings.back().done(); }));
  for (const Ending& ending : endings) EXPECT_EQ(ending.text, text);
}

TEST_F(PrimaryOverTls, ConnectsByNameAndByAServerNameOfItsOwn) {
  Build({.ca_file = File("ca")}, "localhost");
  ASSERT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
  Build({.ca_file = File("ca"), .server_name = "redis.test"});
  ASSERT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
}

TEST_F(PrimaryOverTls, RefusesACertificateForAnotherName) {
  Build({.ca_file = File("ca"), .server_name = "other.test"});
  ExpectRefusal("hostname mismatch");
}

TEST_F(PrimaryOverTls, RefusesACertificateForAnotherAddress) {
  Build({.ca_file = File("ca"), .server_name = "127.0.0.2"});
  ExpectRefusal("IP address mismatch");
}

TEST_F(PrimaryOverTls, TakesAnyNameWhenTold) {
  Build({.ca_file = File("ca"), .server_name = "other.test", .verify_name = false});
  EXPECT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
}

TEST_F(PrimaryOverTls, RefusesAnAuthorityItDoesNotKnowEvenForAnyName) {
  test::CertificateAuthority other;
  other.Write(File("other"));
  Build({.ca_file = File("other"), .verify_name = false});
  ExpectRefusal("certificate verify failed: self-signed certificate");
}

TEST_F(PrimaryOverTls, RefusesAnOldVersion) {
  // What the server offers at most is below what is asked for at least.
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "tls-protocols", "TLSv1.2"}), "+OK\r\n");
  Build({.ca_file = File("ca"), .version_min = TLS1_3_VERSION});
  ExpectRefusal("protocol version");
  Build({.ca_file = File("ca")});
  EXPECT_TRUE(tested_->Connect());
}

TEST_F(PrimaryOverTls, ShowsItsCertificateWhereOneIsAskedFor) {
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "tls-auth-clients", "yes"}), "+OK\r\n");
  Build({.ca_file = File("ca")});
  ExpectRefusal("certificate required");
  authority_.Issue("", File("client"), File("client-key"));
  Build({File("ca"), File("client"), File("client-key")});
  EXPECT_TRUE(tested_->Connect()) << testing::PrintToString(tested_->listener.notes);
}

// The authority is changed on the server first; a reload is enough to follow.
TEST_F(PrimaryOverTls, AReloadedAuthorityIsUsedByTheNextAttempt) {
  Build({.ca_file = File("ca")});
  ASSERT_TRUE(tested_->Connect());
  test::CertificateAuthority next;
  next.Issue("IP:127.0.0.1", File("server"), File("server-key"));
  ASSERT_EQ(redis_->Command({"CONFIG", "SET", "tls-cert-file", File("server"), "tls-key-file",
                             File("server-key")}),
            "+OK\r\n");
  Ending ending;
  EXPECT_TRUE(tested_->Ask(ending, {"PING"})) << "what is up stays up";
  redis_->Command({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(loop_.Until([&] { return tested_->ConnectionFailures(Failure::kTls) > 0; }));
  next.Write(File("ca"));
  ASSERT_TRUE(tls_->Reload().ok());
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
}

TEST_F(PrimaryOverTls, ComesBackAfterAKilledServer) {
  Build({.ca_file = File("ca")});
  ASSERT_TRUE(tested_->Connect());
  redis_->Kill();
  ASSERT_TRUE(tested_->Reaches(PrimaryState::kRecovering));
  std::string problem;
  ASSERT_TRUE(redis_->Restart(&problem)) << problem;
  EXPECT_TRUE(tested_->Reaches(PrimaryState::kConnected));
  EXPECT_EQ(tested_->ConnectionFailures(Failure::kLost), 1u) << "not an error of TLS";
}

}  // namespace
}  // namespace weir
