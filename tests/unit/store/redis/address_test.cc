#include "limiter/store/redis/address.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace weir {
namespace {

TEST(RedisAddress, ReadsEveryForm) {
  const struct {
    std::string_view text;
    RedisAddress address;
    std::string_view written;
  } kCases[] = {
      {"redis", {"redis", 6379, ""}, "redis:6379"},
      {"redis.example.org:7000", {"redis.example.org", 7000, ""}, "redis.example.org:7000"},
      {"127.0.0.1:1", {"127.0.0.1", 1, ""}, "127.0.0.1:1"},
      {"127.0.0.1:65535", {"127.0.0.1", 65535, ""}, "127.0.0.1:65535"},
      {"[::1]", {"::1", 6379, ""}, "[::1]:6379"},
      {"[fe80::1%eth0]:7000", {"fe80::1%eth0", 7000, ""}, "[fe80::1%eth0]:7000"},
      {"/run/redis.sock", {"", 6379, "/run/redis.sock"}, "unix:/run/redis.sock"},
      {"unix:/run/redis.sock", {"", 6379, "/run/redis.sock"}, "unix:/run/redis.sock"},
  };
  for (const auto& c : kCases) {
    const absl::StatusOr<RedisAddress> address = ParseRedisAddress(c.text);
    ASSERT_TRUE(address.ok()) << c.text << ": " << address.status();
    EXPECT_EQ(*address, c.address) << c.text;
    EXPECT_EQ(RedisAddressText(*address), c.written);
  }
}

TEST(RedisAddress, SaysWhatIsWrong) {
  const struct {
    std::string text;
    std::string_view why;
  } kCases[] = {
      {"", "names no host"},
      {":6379", "names no host"},
      {"[]:6379", "names no host"},
      {"redis:", "has a port that is not a number from 1 to 65535"},
      {"redis:0", "has a port that is not a number from 1 to 65535"},
      {"redis:65536", "has a port that is not a number from 1 to 65535"},
      {"redis:63 79", "has a port that is not a number from 1 to 65535"},
      {"[::1]:x", "has a port that is not a number from 1 to 65535"},
      {"[::1]6379", "has something after ] that is no port"},
      {"[::1", "has a [ without its ]"},
      {"::1:6379", "an IPv6 address stands in brackets"},
      {"red is:6379", "has a character that no host name has"},
      {"user@redis:6379", "has a character that no host name has"},
      {"a,b:6379", "has a character that no host name has"},
      {std::string("re\0dis", 6), "has a character that no host name has"},
      {"unix:", "has no absolute path"},
      {"unix:relative.sock", "has no absolute path"},
      {"/" + std::string(108, 'x'), "longer than the system allows"},
  };
  for (const auto& c : kCases) {
    const absl::StatusOr<RedisAddress> address = ParseRedisAddress(c.text);
    ASSERT_FALSE(address.ok()) << c.text;
    const std::string message(address.status().message());
    EXPECT_NE(message.find(c.why), std::string::npos) << message;
    EXPECT_NE(message.find("write host:6379"), std::string::npos) << message;
  }
}

}  // namespace
}  // namespace weir
