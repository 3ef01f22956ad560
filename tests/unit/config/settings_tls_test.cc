#include "limiter/config/settings_tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "limiter/config/settings_load.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

absl::StatusOr<LoadedSettings> Load(const std::vector<std::string>& arguments) {
  return LoadSettings("weir", arguments, {},
                      [](const std::string&) -> absl::StatusOr<std::string> { return ""; });
}

std::string Error(const std::vector<std::string>& arguments) {
  return std::string(Load(arguments).status().message());
}

std::vector<std::string> Warnings(const std::vector<std::string>& arguments) {
  const absl::StatusOr<LoadedSettings> loaded = Load(arguments);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? loaded->warnings : std::vector<std::string>();
}

TEST(TlsSettings, NothingIsWrongWithAWholeSet) {
  EXPECT_THAT(Warnings({}), IsEmpty());
  EXPECT_THAT(Warnings({"--grpc-tls-cert=a", "--grpc-tls-key=b", "--grpc-tls-client-ca=c",
                        "--grpc-tls-client-sans=x,spiffe://y", "--grpc-tls-min-version=1.3",
                        "--http-tls-cert=d", "--http-tls-key=e"}),
              IsEmpty());
}

TEST(TlsSettings, EachNeedsWhatItBelongsTo) {
  EXPECT_EQ(Error({"--grpc-tls-key=b"}),
            "flag --grpc-tls-key: it needs grpc-tls-cert, the certificate that the key is for");
  EXPECT_THAT(Error({"--grpc-tls-client-ca=c"}), HasSubstr("it needs grpc-tls-cert"));
  EXPECT_THAT(Error({"--grpc-tls-cert=a", "--grpc-tls-client-sans=x"}),
              HasSubstr("--grpc-tls-client-sans: it needs grpc-tls-client-ca"));
  EXPECT_THAT(Error({"--http-tls-key=e", "--grpc-tls-cert=a"}),
              HasSubstr("--http-tls-key: it needs http-tls-cert"));
}

TEST(TlsSettings, FormsAreChecked) {
  EXPECT_THAT(Error({"--grpc-tls-min-version=1.1"}), HasSubstr("it must be 1.2 or 1.3"));
  EXPECT_THAT(Error({"--grpc-tls-client-sans=a\nb"}), HasSubstr("a DNS name, a URI"));
}

TEST(TlsSettings, WarnsOfWhatHasNoEffect) {
  EXPECT_THAT(Warnings({"--grpc-tls-min-version=1.3"}),
              ElementsAre("flag --grpc-tls-min-version: no effect without grpc-tls-cert"));
  EXPECT_THAT(Warnings({"--grpc-tls-cert=a", "--grpc-listen=unix:/s"}),
              ElementsAre(HasSubstr("flag --grpc-tls-cert: no effect, all addresses")));
  EXPECT_THAT(Warnings({"--grpc-tls-cert=a", "--grpc-listen=unix:/s,127.0.0.1:1"}), IsEmpty());
}

}  // namespace
}  // namespace weir
