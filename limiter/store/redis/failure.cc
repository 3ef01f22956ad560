#include "limiter/store/redis/failure.h"

#include <array>
#include <span>
#include <string_view>

namespace weir {
namespace {

using enum FailureEffect;

constexpr FailureRow kTable[] = {
    {Failure::kReadonly, kRecover, "READONLY", "readonly",
     "it is a replica now; looking for the primary"},
    {Failure::kLoading, kRecover, "LOADING", "loading", "it loads its data; waiting until it has"},
    {Failure::kBusy, kEndCall, "BUSY", "busy",
     "somebody's script runs for long on this Redis; SCRIPT KILL ends it"},
    {Failure::kOom, kEndCall, "OOM", "oom",
     "raise maxmemory; with maxmemory-policy noeviction no limit is lost"},
    {Failure::kMisconf, kEndCall, "MISCONF", "misconf",
     "Redis cannot save to its disk and refuses writes; free space, or turn off "
     "stop-writes-on-bgsave-error"},
    {Failure::kNoReplicas, kEndCall, "NOREPLICAS", "noreplicas",
     "fewer replicas than min-replicas-to-write are in step"},
    {Failure::kMasterDown, kRecover, "MASTERDOWN", "masterdown",
     "it is a replica without its primary; looking for the primary"},
    {Failure::kClusterDown, kEndCall, "CLUSTERDOWN", "clusterdown",
     "the cluster does not serve this slot; see CLUSTER INFO"},
    {Failure::kMoved, kRedirect, "MOVED", "moved", "the slot lives on another server"},
    {Failure::kAsk, kRedirect, "ASK", "ask", "the slot is moving to another server"},
    {Failure::kTryAgain, kEndCall, "TRYAGAIN", "tryagain", "the slot is moving"},
    {Failure::kNoAuth, kRecover, "NOAUTH", "noauth",
     "Redis wants a login: set --redis-password, and --redis-user for an ACL user"},
    {Failure::kWrongPass, kRecover, "WRONGPASS", "wrongpass",
     "correct --redis-user and --redis-password, or switch the user on"},
    {Failure::kAuthUnused, kRecover, "ERR AUTH <password> called without any password",
     "auth_unused", "the default user of this Redis has no password; remove --redis-password"},
    {Failure::kAuthUnused, kRecover, "ERR Client sent AUTH, but no password is set", "auth_unused",
     "this Redis has no password; remove --redis-password"},
    {Failure::kNoPerm, kEndCall, "NOPERM", "noperm",
     "the Redis user lacks a right; docs/guarantees.md has the ACL line"},
    {Failure::kNoPerm, kEndCall, "ERR The user executing the script can't", "noperm",
     "the Redis user lacks a right; docs/guarantees.md has the ACL line"},
    {Failure::kNoScript, kResend, "NOSCRIPT", "noscript", "scripts were flushed; loading them"},
    {Failure::kMaxClients, kRecover, "ERR max number of clients", "maxclients",
     "raise maxclients, or share one Weir between more callers"},
    {Failure::kDenied, kRecover, "DENIED", "denied",
     "Redis is in protected mode: give it a password or a bind address"},
    {Failure::kOther, kEndCall, "", "other", "an error reply that Weir does not know"},
    {Failure::kReplica, kRecover, "", "replica", "looking for the primary"},
    {Failure::kMeta, kRecover, "", "meta",
     "another release wrote the META record of this prefix; use that release or another "
     "--cache-key-prefix"},
    {Failure::kProtocol, kRecover, "", "protocol", "is this address a Redis server?"},
    {Failure::kOversized, kRecover, "", "oversized", "no reply to Weir is that large"},
    {Failure::kTimeout, kRecover, "", "timeout", "Redis or the way to it is frozen or overloaded"},
    {Failure::kLost, kRecover, "", "lost", "connecting again"},
    {Failure::kRefused, kRecover, "", "refused", "is Redis running, and is the address right?"},
    {Failure::kUnreachable, kRecover, "", "unreachable", "is the address right, and a way there?"},
    {Failure::kResolve, kRecover, "", "resolve", "is the name right, and does DNS answer?"},
    {Failure::kTls, kRecover, "", "tls", "see --redis-tls-*"},
};

constexpr FailureRow kNoRow = {Failure::kNone, kEndCall, "", "none", ""};

constexpr std::string_view kWrapped = "ERR Error running script";

// READONLY, but not READONLYX. A prefix of several words may go on in any way.
bool Matches(std::string_view text, std::string_view prefix) {
  if (prefix.empty() || !text.starts_with(prefix)) return false;
  return prefix.find(' ') != std::string_view::npos || text.size() == prefix.size() ||
         text[prefix.size()] == ' ';
}

}  // namespace

std::span<const FailureRow> FailureTable() { return kTable; }

const FailureRow& RowOf(Failure failure) {
  for (const FailureRow& row : kTable) {
    if (row.failure == failure) return row;
  }
  return kNoRow;
}

std::string_view LabelOf(Failure failure) { return RowOf(failure).label; }

const FailureRow& ClassifyError(std::string_view text) {
  if (text.starts_with(kWrapped)) {
    // The innermost error comes last.
    const std::size_t error = text.rfind(": -");
    if (error != std::string_view::npos) text.remove_prefix(error + 3);
  }
  for (const FailureRow& row : kTable) {
    if (Matches(text, row.prefix)) return row;
  }
  return RowOf(Failure::kOther);
}

}  // namespace weir
