// The failure table against a server that says each of its rows, one test per row: what the sink is
// told, what becomes of the connection, the counter, the line of the log.

#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/support/fake_redis.h"
#include "tests/support/primary_harness.h"

namespace weir {
namespace {

using test::Answer;
using test::Arguments;
using test::Ending;
using test::FakeRedis;
using test::TestedPrimary;
using test::TestLoop;

struct ErrorCase {
  const char* name;
  Failure failure;
  FailureEffect effect;
  const char* text;  // as servers write it
};

void PrintTo(const ErrorCase& c, std::ostream* out) { *out << c.name; }

class ErrorReply : public testing::TestWithParam<ErrorCase> {
 protected:
  TestLoop loop_;
  FakeRedis redis_{loop_.base()};
  TestedPrimary tested_{loop_, {"127.0.0.1", redis_.port(), ""}};
};

TEST_P(ErrorReply, HasItsEffect) {
  const ErrorCase& c = GetParam();
  ASSERT_TRUE(tested_.Connect());
  redis_.SetHandler([&](const Arguments& arguments) -> std::optional<Answer> {
    if (arguments[0] != "DO") return std::nullopt;
    return Answer{"-" + std::string(c.text) + "\r\n"};
  });
  Ending first;
  Ending second;
  ASSERT_TRUE(tested_.Send(first, {"DO"}));
  ASSERT_TRUE(tested_.Send(second, {"ECHO"}));
  ASSERT_TRUE(loop_.Until([&] { return first.done() && second.done(); }));

  EXPECT_EQ(first.calls, 1);
  EXPECT_EQ(first.failure, c.failure);
  EXPECT_EQ(first.text, c.text);
  EXPECT_EQ(tested_.CommandFailures(c.failure), 1u);
  EXPECT_EQ(second.calls, 1);
  const bool recovers = c.effect == FailureEffect::kRecover;
  EXPECT_EQ(tested_.ConnectionFailures(c.failure), recovers ? 1u : 0u);
  // The connection is closed with whatever else was in flight on it, or stays for everybody.
  EXPECT_EQ(second.failure, recovers ? Failure::kLost : Failure::kNone);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  EXPECT_EQ(redis_.accepted(), recovers ? 2u : 1u);
  EXPECT_EQ(tested_.listener.states.size(), recovers ? 3u : 1u);
  const bool redirect = c.effect == FailureEffect::kRedirect;
  EXPECT_EQ(tested_.listener.Noted(c.text), !redirect);
  EXPECT_EQ(tested_.listener.Noted(RowOf(c.failure).remedy.substr(0, 10)), !redirect);
}

constexpr ErrorCase kErrorCases[] = {
    {"READONLY", Failure::kReadonly, FailureEffect::kRecover,
     "READONLY You can't write against a read only replica."},
    {"LOADING", Failure::kLoading, FailureEffect::kRecover,
     "LOADING Redis is loading the dataset in memory"},
    {"BUSY", Failure::kBusy, FailureEffect::kEndCall,
     "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."},
    {"OOM", Failure::kOom, FailureEffect::kEndCall,
     "OOM command not allowed when used memory > 'maxmemory'."},
    {"MISCONF", Failure::kMisconf, FailureEffect::kEndCall,
     "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
     "disk."},
    {"NOREPLICAS", Failure::kNoReplicas, FailureEffect::kEndCall,
     "NOREPLICAS Not enough good replicas to write."},
    {"MASTERDOWN", Failure::kMasterDown, FailureEffect::kRecover,
     "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."},
    {"CLUSTERDOWN", Failure::kClusterDown, FailureEffect::kEndCall,
     "CLUSTERDOWN The cluster is down"},
    {"MOVED", Failure::kMoved, FailureEffect::kRedirect, "MOVED 3999 127.0.0.1:6381"},
    {"ASK", Failure::kAsk, FailureEffect::kRedirect, "ASK 3999 127.0.0.1:6381"},
    {"TRYAGAIN", Failure::kTryAgain, FailureEffect::kEndCall,
     "TRYAGAIN Multiple keys request during rehashing of slot"},
    {"NOAUTH", Failure::kNoAuth, FailureEffect::kRecover, "NOAUTH Authentication required."},
    {"WRONGPASS", Failure::kWrongPass, FailureEffect::kRecover,
     "WRONGPASS invalid username-password pair or user is disabled."},
    {"AUTH_UNUSED", Failure::kAuthUnused, FailureEffect::kRecover,
     "ERR AUTH <password> called without any password configured for the default user. Are you "
     "sure your configuration is correct?"},
    {"AUTH_UNUSED_5", Failure::kAuthUnused, FailureEffect::kRecover,
     "ERR Client sent AUTH, but no password is set"},
    {"NOPERM", Failure::kNoPerm, FailureEffect::kEndCall,
     "NOPERM this user has no permissions to access one of the keys used as arguments"},
    {"NOPERM_IN_SCRIPT", Failure::kNoPerm, FailureEffect::kEndCall,
     "ERR The user executing the script can't access at least one of the keys mentioned in the "
     "command script: 4f1a2b, on @user_script:1."},
    {"NOSCRIPT", Failure::kNoScript, FailureEffect::kResend,
     "NOSCRIPT No matching script. Please use EVAL."},
    {"MAXCLIENTS", Failure::kMaxClients, FailureEffect::kRecover,
     "ERR max number of clients reached"},
    {"DENIED", Failure::kDenied, FailureEffect::kRecover,
     "DENIED Redis is running in protected mode because protected mode is enabled"},
    {"OTHER", Failure::kOther, FailureEffect::kEndCall, "ERR something new"},
};

INSTANTIATE_TEST_SUITE_P(Rows, ErrorReply, testing::ValuesIn(kErrorCases),
                         [](const auto& c) { return std::string(c.param.name); });

// Every row of the table that is made from a reply is among the cases above, with its effect.
TEST(ErrorReplies, CoverTheTable) {
  for (const FailureRow& row : FailureTable()) {
    if (row.prefix.empty()) continue;
    bool covered = false;
    for (const ErrorCase& c : kErrorCases) {
      covered |= std::string_view(c.text).starts_with(row.prefix) && c.failure == row.failure &&
                 c.effect == row.effect;
    }
    EXPECT_TRUE(covered) << row.prefix;
  }
}

// The rows that no reply makes.
class OwnFailure : public testing::Test {
 protected:
  // Waits until a connection ended or could not be made for `failure`.
  void ExpectConnectionFailure(Failure failure, std::string_view text) {
    EXPECT_TRUE(loop_.Until([&] { return tested_.ConnectionFailures(failure) > 0; }));
    EXPECT_TRUE(tested_.listener.Noted(text)) << testing::PrintToString(tested_.listener.notes);
    EXPECT_TRUE(tested_.listener.Noted(RowOf(failure).remedy));
    const std::string last = tested_.primary->texts().last_error;
    EXPECT_NE(last.find(text), std::string::npos) << last;
  }
  // What is said instead of the reply to a command in use ends the connection.
  void ExpectEnd(const Answer& answer, Failure failure, std::string_view text) {
    ASSERT_TRUE(tested_.Connect());
    redis_.SetHandler([&](const Arguments& arguments) -> std::optional<Answer> {
      if (arguments[0] != "DO") return std::nullopt;
      return answer;
    });
    Ending ending;
    ASSERT_TRUE(tested_.Ask(ending, {"DO"}));
    EXPECT_EQ(ending.calls, 1);
    EXPECT_EQ(ending.failure, Failure::kLost) << "it may have run";
    ExpectConnectionFailure(failure, text);
    EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
  }

  TestLoop loop_;
  FakeRedis redis_{loop_.base()};
  TestedPrimary tested_{loop_, {"127.0.0.1", redis_.port(), ""}};
};

TEST_F(OwnFailure, Replica) {
  redis_.role = "slave";
  tested_.Start();
  ExpectConnectionFailure(Failure::kReplica, "role:slave");
  EXPECT_EQ(redis_.CountCommands("SCRIPT"), 0u);
  redis_.role = "master";
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(OwnFailure, Meta) {
  tested_.options.with_meta = true;
  tested_.options.proposal = {1, 256, {1, 2}};
  redis_.meta = {"2", "256", "00000000000000010000000000000002"};
  tested_.Start();
  ExpectConnectionFailure(Failure::kMeta, "has format 2, this release writes 1");
  EXPECT_TRUE(tested_.listener.metas.empty());
}

TEST_F(OwnFailure, MetaThatCannotBeRead) {
  tested_.options.with_meta = true;
  tested_.options.proposal = {1, 256, {1, 2}};
  redis_.meta = {"1", "256", "secret"};
  tested_.Start();
  ExpectConnectionFailure(Failure::kMeta, "has no secret this release can read");
}

TEST_F(OwnFailure, Protocol) {
  ExpectEnd({"HTTP/1.1 400 Bad Request\r\n\r\n"}, Failure::kProtocol, "not a Redis reply");
}

TEST_F(OwnFailure, AReplyNobodyAskedFor) {
  ASSERT_TRUE(tested_.Connect());
  redis_.SayToAll("+OK\r\n");
  ExpectConnectionFailure(Failure::kProtocol, "a reply that nobody asked for");
}

TEST_F(OwnFailure, Oversized) {
  tested_.options.link.reply_bytes_max = 10'000;
  ExpectEnd({"$1000000\r\n" + std::string(50'000, 'x')}, Failure::kOversized, "an oversized reply");
}

TEST_F(OwnFailure, OversizedArray) {
  ExpectEnd({"*2000000000\r\n"}, Failure::kOversized, "an oversized reply");
}

TEST_F(OwnFailure, LostBeforeTheReply) {
  ExpectEnd({"", true}, Failure::kLost, "the server closed the connection");
}

TEST_F(OwnFailure, LostInTheReply) {
  ExpectEnd({"$100\r\nhalf of it", true}, Failure::kLost, "the server closed the connection");
}

TEST_F(OwnFailure, Refused) {
  redis_.StopListening();
  tested_.Start();
  ExpectConnectionFailure(Failure::kRefused, "Connection refused");
  redis_.ListenAgain();
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(OwnFailure, RefusedOnAUnixSocketThatIsNotThere) {
  tested_.source.address = RedisAddress{"", 0, "/nonexistent/redis.sock"};
  tested_.Start();
  ExpectConnectionFailure(Failure::kRefused, "No such file or directory");
}

TEST_F(OwnFailure, Unreachable) {
  tested_.source.address = RedisAddress{"", 0, "/dev/null/redis.sock"};
  tested_.Start();
  ExpectConnectionFailure(Failure::kUnreachable, "Not a directory");
}

TEST_F(OwnFailure, ResolveOfANameThatIsNone) {
  tested_.source.address = RedisAddress{"a..b", 6379, ""};
  tested_.Start();
  ExpectConnectionFailure(Failure::kResolve, "a..b");
}

TEST_F(OwnFailure, ResolveWithoutAnAddress) {
  tested_.source.address = absl::UnavailableError("no Sentinel answers");
  tested_.Start();
  ExpectConnectionFailure(Failure::kResolve, "no Sentinel answers");
}

TEST_F(OwnFailure, TimeoutOfTheHandshake) {
  redis_.SetFrozen(true);
  tested_.options.handshake_timeout_ns = 50'000'000;
  tested_.Start();
  ExpectConnectionFailure(Failure::kTimeout, "no answer in the handshake");
  redis_.SetFrozen(false);
  EXPECT_TRUE(tested_.Reaches(PrimaryState::kConnected));
}

TEST_F(OwnFailure, TimeoutOfAConnectionInUse) {
  tested_.options.isolated_after_ns = 20'000'000;
  tested_.options.silence_max_ns = 100'000'000;
  ASSERT_TRUE(tested_.Connect());
  redis_.SetFrozen(true);
  Ending ending;
  ASSERT_TRUE(tested_.Ask(ending, {"DO"}));
  EXPECT_EQ(ending.failure, Failure::kLost);
  ExpectConnectionFailure(Failure::kTimeout, "no reply for ");
}

TEST_F(OwnFailure, TlsOverAUnixSocket) {
  absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create({});
  ASSERT_TRUE(tls.ok()) << tls.status();
  tested_.options.tls = tls->get();
  tested_.source.address = RedisAddress{"", 0, "/nonexistent/redis.sock"};
  tested_.Start();
  ExpectConnectionFailure(Failure::kTls, "no TLS on a Unix socket");
}

TEST_F(OwnFailure, TlsToAServerWithout) {
  absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create({});
  ASSERT_TRUE(tls.ok()) << tls.status();
  tested_.options.tls = tls->get();
  redis_.set_greeting("-ERR this is no TLS\r\n");
  tested_.Start();
  ExpectConnectionFailure(Failure::kTls, "wrong version number");
}

TEST_F(OwnFailure, NoAnswerInTheTlsHandshake) {
  absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create({});
  ASSERT_TRUE(tls.ok()) << tls.status();
  tested_.options.tls = tls->get();
  tested_.options.link.connect_timeout_ns = 50'000'000;
  redis_.SetFrozen(true);
  tested_.Start();
  ExpectConnectionFailure(Failure::kTimeout, "no answer in the TLS handshake");
}

// A server that is full says so before it is asked, and closes.
TEST_F(OwnFailure, AGreetingInsteadOfAConnection) {
  redis_.set_greeting("-ERR max number of clients reached\r\n");
  tested_.Start();
  ExpectConnectionFailure(Failure::kMaxClients, "max number of clients reached");
}

}  // namespace
}  // namespace weir
