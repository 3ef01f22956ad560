#include "limiter/tls/certificate_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <string>
#include <vector>

#include "limiter/core/mutex.h"
#include "limiter/tls/certificate_watch.h"
#include "tests/support/certificates.h"
#include "tests/support/fake_clock.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A day before and after it the test's certificates are good.
constexpr int64_t kDaySeconds = 86'400;

class CertificateSourceTest : public ::testing::Test {
 protected:
  CertificateSourceTest()
      : source_("grpc", {{"tls-cert", folder_.At("cert")}, {"tls-key", folder_.At("key")}, {}},
                clock_,
                {[this](const std::string& text) { loaded_.push_back(text); },
                 [this](const std::string& text) { warnings_.push_back(text); },
                 [this](const std::string& text) { failures_.push_back(text); }}) {
    authority_.Issue("DNS:a", folder_.At("cert"), folder_.At("key"));
    authority_.Issue("DNS:a", folder_.At("cert2"), folder_.At("key2"));
  }

  // Sets the clock into the life of the certificates, or this much off it.
  void Load(int64_t off_s = 0) {
    const CertificateFiles files = {{"", folder_.At("cert")}, {"", folder_.At("key")}, {}};
    const auto loaded = LoadCertificates(*ReadCertificateFiles(files), files);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    const int64_t middle_s = (loaded->begins_s + loaded->ends_s) / 2;
    clock_.StepWall((middle_s + off_s) * test::kSecondNs - clock_.Now().wall_ns);
    ASSERT_TRUE(source_.Load().ok());
  }
  std::string serial() const { return source_.current()->serial; }

  TempFolder folder_;
  test::CertificateAuthority authority_;
  test::FakeClock clock_;
  std::vector<std::string> loaded_;
  std::vector<std::string> warnings_;
  std::vector<std::string> failures_;
  CertificateSource source_;
};

TEST_F(CertificateSourceTest, TakesOverANewPairOnce) {
  Load();
  EXPECT_EQ(serial(), "02");
  source_.Poll();
  EXPECT_EQ(source_.successes(), 0U);
  const std::shared_ptr<const Certificates> before = source_.current();
  folder_.Rename("cert2", "cert");
  folder_.Rename("key2", "key");
  source_.Poll();
  source_.Poll();
  EXPECT_EQ(serial(), "03");
  EXPECT_EQ(before->serial, "02") << "who has the old one keeps it";
  EXPECT_EQ(source_.successes(), 1U);
  EXPECT_EQ(source_.failures(), 0U);
  EXPECT_THAT(loaded_, ElementsAre(HasSubstr("serial 02"), HasSubstr("serial 03")));
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(CertificateSourceTest, HalfOfAPairIsToldOnceItStays) {
  Load();
  folder_.Rename("cert2", "cert");
  source_.Poll();
  EXPECT_THAT(failures_, IsEmpty()) << "the key may follow";
  source_.Poll();
  source_.Poll();
  EXPECT_THAT(failures_, ElementsAre(HasSubstr("is not the key of the certificate")));
  EXPECT_EQ(serial(), "02");
  folder_.Rename("key2", "key");
  source_.Poll();
  EXPECT_EQ(serial(), "03");
  EXPECT_EQ(source_.successes(), 1U);
  EXPECT_EQ(source_.failures(), 1U);
}

TEST_F(CertificateSourceTest, TheSameFaultIsToldAgainAfterItWasGone) {
  Load();
  for (int i = 0; i < 2; ++i) {
    folder_.Rename("cert", "away");
    source_.Poll();
    source_.Poll();
    folder_.Rename("away", "cert");
    source_.Poll();
  }
  EXPECT_EQ(source_.failures(), 2U);
  EXPECT_EQ(source_.successes(), 0U) << "the content is what it was";
}

TEST_F(CertificateSourceTest, AFaultBetweenTwoReadingsIsNotTold) {
  Load();
  folder_.Rename("cert", "away");
  source_.Poll();
  folder_.Rename("away", "cert");
  source_.Poll();
  folder_.Rename("cert", "away");
  source_.Poll();
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(CertificateSourceTest, WarnsOfWhatClientsWillRefuse) {
  Load(2 * kDaySeconds);
  EXPECT_THAT(warnings_, ElementsAre(HasSubstr("expired at ")));
  EXPECT_EQ(serial(), "02");
}

TEST_F(CertificateSourceTest, AFirstLoadFailsWithTheReason) {
  folder_.Remove("key");
  EXPECT_THAT(std::string(source_.Load().message()), HasSubstr("tls-key: "));
}

TEST(CertificateWatchTest, PollsByItselfAndAtOnceWhenPoked) {
  constexpr int64_t kHourNs = 3'600 * test::kSecondNs;
  for (const int64_t interval_ns : {int64_t{1'000'000}, kHourNs}) {
    TempFolder folder;
    test::CertificateAuthority authority;
    test::FakeClock clock;
    Mutex mutex;
    std::condition_variable_any changed;
    int loads = 0;
    const auto ignore = [](const std::string&) {};
    const auto count = [&](const std::string&) {
      MutexLock lock(mutex);
      ++loads;
      changed.notify_one();
    };
    authority.Issue("DNS:a", folder.At("cert"), folder.At("key"));
    CertificateSource source("http",
                             {{"tls-cert", folder.At("cert")}, {"tls-key", folder.At("key")}, {}},
                             clock, {count, ignore, ignore});
    ASSERT_TRUE(source.Load().ok());
    CertificateWatch watch({&source}, interval_ns);
    authority.Issue("DNS:a", folder.At("cert.new"), folder.At("key.new"));
    folder.Rename("cert.new", "cert");
    folder.Rename("key.new", "key");
    if (interval_ns == kHourNs) watch.Poke();
    MutexLock lock(mutex);
    while (loads < 2) changed.wait(mutex);
    EXPECT_EQ(source.current()->serial, "03");
  }
}

TEST(CertificateWatchTest, WithoutSourcesThereIsNothingToDo) {
  CertificateWatch watch({}, 1);
  watch.Poke();
}

}  // namespace
}  // namespace weir
