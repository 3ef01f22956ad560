#include "limiter/config/redis_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

RedisTarget TargetOf(const std::string& url, RedisType type = RedisType::kSingle) {
  Settings settings;
  settings.store = StoreKind::kRedis;
  settings.redis_url = url;
  settings.redis_type = type;
  return MainRedisTarget(settings);
}

struct Case {
  const char* url;
  const char* address;
  const char* user = "";
  const char* password = "";
  int db = 0;
  bool tls = false;
};

constexpr Case kCases[] = {
    {"", "127.0.0.1:6379"},
    {"h", "h:6379"},
    {"h:1", "h:1"},
    {":1", "127.0.0.1:1"},
    {"10.0.0.1", "10.0.0.1:6379"},
    {"[::1]", "[::1]:6379"},
    {"[fe80::1%eth0]:1", "[fe80::1%eth0]:1"},
    {"/run/redis.sock", "unix:/run/redis.sock"},
    {"unix:/run/a@b,c.sock", "unix:/run/a@b,c.sock"},
    {"unix:///s", "unix:///s"},
    {"redis://h", "h:6379"},
    {"redis://h:1/", "h:1"},
    {"redis://h:1/15", "h:1", "", "", 15},
    {"redis://[::1]:1/2", "[::1]:1", "", "", 2},
    {"redis://:pw@h", "h:6379", "", "pw"},
    {"redis://u:pw@h:1/3", "h:1", "u", "pw", 3},
    {"redis://u@h", "h:6379", "u"},
    {"rediss://h", "h:6379", "", "", 0, true},
    {"rediss://u:pw@[::1]:1/2", "[::1]:1", "u", "pw", 2, true},
    // Escapes, and what is no mistake without them.
    {"redis://u%3A:p%40%2f%25@h", "h:6379", "u:", "p@/%"},
    {"redis://u:p@w:/x@h:1/2", "h:1", "u", "p@w:/x", 2},
};

TEST(RedisTarget, TakesEveryFormOfOneAddress) {
  for (const Case& c : kCases) {
    const RedisTarget target = TargetOf(c.url);
    EXPECT_EQ(target.type, RedisType::kSingle);
    EXPECT_THAT(target.addresses, ElementsAre(c.address)) << c.url;
    EXPECT_EQ(target.user, c.user) << c.url;
    EXPECT_EQ(target.password, c.password) << c.url;
    EXPECT_EQ(target.db, c.db) << c.url;
    EXPECT_EQ(target.tls, c.tls) << c.url;
  }
}

TEST(RedisTarget, SentinelsFollowTheNameOfTheMaster) {
  const RedisTarget target = TargetOf("mymaster, s1:1,s2,[::1]", RedisType::kSentinel);
  EXPECT_EQ(target.master, "mymaster");
  EXPECT_THAT(target.addresses, ElementsAre("s1:1", "s2:26379", "[::1]:26379"));
  const RedisTarget with_login = TargetOf("rediss://u:p@m,s:1/4", RedisType::kSentinel);
  EXPECT_EQ(with_login.master, "m");
  EXPECT_EQ(with_login.user, "u");
  EXPECT_EQ(with_login.db, 4);
  EXPECT_TRUE(with_login.tls);
}

TEST(RedisTarget, AClusterHasSeeds) {
  EXPECT_THAT(TargetOf("a:1,b", RedisType::kCluster).addresses, ElementsAre("a:1", "b:6379"));
  EXPECT_THAT(TargetOf("rediss://:pw@a", RedisType::kCluster).addresses, ElementsAre("a:6379"));
}

TEST(RedisTarget, WhatTheUrlLeavesOutIsInOtherSettings) {
  Settings settings;
  settings.redis_url = "h";
  settings.redis_user = "u";
  settings.redis_password = "p";
  settings.redis_password_file = "/f";
  settings.redis_sentinel_user = "su";
  settings.redis_sentinel_password = "sp";
  settings.redis_sentinel_password_file = "/sf";
  settings.redis_db = 1;
  settings.redis_tls = true;
  RedisTarget target = MainRedisTarget(settings);
  EXPECT_EQ(target.user + target.password + target.password_file, "up/f");
  EXPECT_EQ(target.db, 1);
  EXPECT_TRUE(target.tls);
  // They are for sentinels, and there are none.
  EXPECT_EQ(target.sentinel_user + target.sentinel_password + target.sentinel_password_file, "");
  settings.redis_url = "m,s";
  settings.redis_type = RedisType::kSentinel;
  target = MainRedisTarget(settings);
  EXPECT_EQ(target.sentinel_user + target.sentinel_password + target.sentinel_password_file,
            "susp/sf");
  EXPECT_FALSE(PerSecondRedisTarget(settings).has_value());
}

TEST(RedisTarget, ThePerSecondStoreHasSettingsOfItsOwn) {
  Settings settings;
  settings.redis_url = "redis://u:p@h/1";
  settings.redis_tls = true;
  settings.redis_per_second = true;
  settings.redis_per_second_url = "m,s";
  settings.redis_per_second_type = RedisType::kSentinel;
  std::optional<RedisTarget> target = PerSecondRedisTarget(settings);
  ASSERT_TRUE(target.has_value());
  EXPECT_EQ(RedisTargetText(*target), "sentinel m at s:26379");
  EXPECT_EQ(target->user + target->password + target->password_file, "");
  settings.redis_per_second_user = "u";
  settings.redis_per_second_password = "p";
  settings.redis_per_second_password_file = "/f";
  settings.redis_per_second_sentinel_user = "su";
  settings.redis_per_second_sentinel_password = "sp";
  settings.redis_per_second_sentinel_password_file = "/sf";
  settings.redis_per_second_db = 7;
  settings.redis_per_second_tls = true;
  target = PerSecondRedisTarget(settings);
  EXPECT_EQ(RedisTargetText(*target), "sentinel m at s:26379, database 7, TLS");
  EXPECT_EQ(target->user + target->password + target->password_file, "up/f");
  EXPECT_EQ(target->sentinel_user + target->sentinel_password + target->sentinel_password_file,
            "susp/sf");
}

TEST(RedisTarget, IsSaidWithoutSecrets) {
  EXPECT_EQ(RedisTargetText(TargetOf("rediss://u:hunter2@h/2")), "single h:6379, database 2, TLS");
  EXPECT_EQ(RedisTargetText(TargetOf("a,b:1", RedisType::kCluster)), "cluster a:6379, b:1");
}

TEST(RedisUrl, RefusesWhatIsNoAddress) {
  const std::string long_path = "/" + std::string(107, 'x');
  for (const std::string& text : {std::string(),
                                  std::string(","),
                                  std::string("h:"),
                                  std::string("h:0"),
                                  std::string("h:00"),
                                  std::string("h:65536"),
                                  std::string("h:x"),
                                  std::string("::1"),
                                  std::string("[::1"),
                                  std::string("[]"),
                                  std::string("h:1/2"),
                                  std::string("u:p@h"),
                                  std::string("a b"),
                                  std::string("unix:"),
                                  std::string("unix:run/s"),
                                  std::string("/a\x01"),
                                  long_path,
                                  std::string("redis://"),
                                  std::string("redis:///1"),
                                  std::string("redis://h/x"),
                                  std::string("redis://h/-1"),
                                  std::string("redis://h/1/2"),
                                  std::string("redis://h/1?a=b"),
                                  std::string("redis://h/99999999999"),
                                  std::string("redis://unix:/a"),
                                  std::string("redis://u:%@h"),
                                  std::string("redis://u:%4@h"),
                                  std::string("redis://u:%zz@h"),
                                  std::string("redis://%0a@h"),
                                  std::string("REDIS://h"),
                                  std::string("http://h"),
                                  std::string("a,redis://h")}) {
    RedisUrl url;
    url.user = "before";
    EXPECT_FALSE(ParseRedisUrl(text, url)) << text;
    EXPECT_EQ(url.user, "before") << text;
  }
}

TEST(RedisUrl, ThePrintedFormIsNotReadBackAsALogin) {
  RedisUrl url;
  EXPECT_EQ(MaskRedisUrl("redis://u:p@h:1/2"), "redis://(masked)@h:1/2");
  EXPECT_FALSE(ParseRedisUrl("redis://(masked)@h:1/2", url));
}

TEST(RedisUrl, MasksUserAndPassword) {
  EXPECT_EQ(MaskRedisUrl("rediss://:p@w@h"), "rediss://(masked)@h");
  EXPECT_EQ(MaskRedisUrl("redis://m,s:1"), "redis://m,s:1");
  EXPECT_EQ(MaskRedisUrl("h:1"), "h:1");
  EXPECT_EQ(MaskRedisUrl("/run/a@b"), "/run/a@b");
  EXPECT_EQ(MaskRedisUrl("h:many"), "h:many");
  EXPECT_EQ(MaskRedisUrl(""), "");
}

TEST(RedisUrl, MasksAllOfWhatItCannotRead) {
  for (const char* const text :
       {"redis://u:hunter2", "redis://u:hunter2@h:x", "rediss://hunter2@", "u:hunter2@h:1",
        "hunter2@h", "http://u:hunter2@h", "redis://h/1?password=hunter2", "redis:///hunter2",
        "redis//u:hunter2@h", "unix://u:hunter2@/s", "//u:hunter2@h", "redis://u:hunter2%@h"}) {
    EXPECT_THAT(MaskRedisUrl(text), Not(HasSubstr("hunter2"))) << text;
    EXPECT_THAT(MaskRedisUrl(text), HasSubstr("(masked)")) << text;
  }
}

std::string ProblemOf(const std::string& text, RedisType type) {
  RedisUrl url;
  EXPECT_TRUE(ParseRedisUrl(text, url)) << text;
  return RedisUrlProblem(url, type);
}

TEST(RedisUrl, MustFitItsType) {
  EXPECT_EQ(ProblemOf("h", RedisType::kSingle), "");
  EXPECT_EQ(ProblemOf("/s", RedisType::kSingle), "");
  EXPECT_THAT(ProblemOf("a,b", RedisType::kSingle), HasSubstr("needs another type"));
  EXPECT_EQ(ProblemOf("m,s", RedisType::kSentinel), "");
  for (const char* const text : {"m", "/s", "unix:/a,b", "s:26379"}) {
    EXPECT_THAT(ProblemOf(text, RedisType::kSentinel), HasSubstr("MASTER,HOST:PORT,…")) << text;
  }
  for (const char* const text : {"s1:1,s2:1", "[::1],s2"}) {
    EXPECT_THAT(ProblemOf(text, RedisType::kSentinel), HasSubstr("without a port")) << text;
  }
  EXPECT_EQ(ProblemOf("a,b:1", RedisType::kCluster), "");
  EXPECT_THAT(ProblemOf("/s", RedisType::kCluster), HasSubstr("not by a Unix socket"));
}

TEST(ReadPasswordFile, ReadsTheFirstLine) {
  const TempFolder folder;
  for (const char* const content : {"pw", "pw\n", "pw\r\n", "pw\nmore\n"}) {
    folder.Write("f", content);
    EXPECT_EQ(*ReadPasswordFile(folder.At("f")), "pw");
  }
  folder.Write("f", std::string(64 << 10, 'x'));
  EXPECT_EQ(ReadPasswordFile(folder.At("f"))->size(), size_t{64} << 10);
}

TEST(ReadPasswordFile, NamesTheFileItCannotUse) {
  const TempFolder folder;
  EXPECT_EQ(ReadPasswordFile(folder.At("none")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ReadPasswordFile(folder.At("none")).status().message()),
              HasSubstr(folder.At("none")));
  EXPECT_FALSE(ReadPasswordFile(folder.path().string()).ok());
  ASSERT_EQ(mkfifo(folder.At("pipe").c_str(), 0600), 0);
  EXPECT_THAT(std::string(ReadPasswordFile(folder.At("pipe")).status().message()),
              HasSubstr("pipe is not a regular file"));
  for (const std::string& content :
       {std::string(), std::string("\nhunter2"), std::string((64 << 10) + 1, 'x')}) {
    folder.Write("f", content);
    const absl::Status status = ReadPasswordFile(folder.At("f")).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("hunter2")));
  }
}

}  // namespace
}  // namespace weir
