#pragma once

// Every way a call to Redis can fail, and what follows from it: one table.
//
// Thread safety: constants only.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace weir {

enum class Failure : uint8_t {
  kNone,
  // Error replies, by the word they begin with.
  kReadonly,
  kLoading,
  kBusy,
  kOom,
  kMisconf,
  kNoReplicas,
  kMasterDown,
  kClusterDown,
  kMoved,
  kAsk,
  kTryAgain,
  kNoAuth,
  kWrongPass,
  kAuthUnused,  // a password was sent to a server without one
  kNoPerm,
  kNoScript,
  kMaxClients,
  kDenied,  // protected mode
  kOther,   // any other error reply
  // What this side found out.
  kReplica,   // the handshake met a server that is not a primary
  kMeta,      // the fleet's META record is of a format this release cannot read
  kProtocol,  // bytes that are not RESP, or a reply nobody asked for
  kOversized,
  kTimeout,
  kLost,         // the connection ended
  kRefused,      // connect(2) was refused: nobody listens
  kUnreachable,  // connect(2) failed for another reason
  kResolve,      // the name has no address
  kTls,
};
inline constexpr std::size_t kFailures = static_cast<std::size_t>(Failure::kTls) + 1;

enum class FailureEffect : uint8_t {
  kEndCall,   // the call ends without an answer, the connection stays
  kRecover,   // the call ends, the connection is closed and made anew
  kResend,    // not executed: sent once more after its cause is removed
  kRedirect,  // not executed: belongs to another server of the cluster
};

struct FailureRow {
  Failure failure = Failure::kNone;
  FailureEffect effect = FailureEffect::kEndCall;
  std::string_view prefix;  // of the error reply; empty: not made from a reply
  std::string_view label;   // of metrics
  std::string_view remedy;  // for the log, after what happened
};

// One row per failure, but one per text for those that servers say in several ways.
std::span<const FailureRow> FailureTable();

// The first row for the failure. REQUIRES: not kNone.
const FailureRow& RowOf(Failure failure);
std::string_view LabelOf(Failure failure);  // "none" for kNone

// The row of an error reply (without its leading '-'). Also finds what a script died of behind the
// wrapping of Redis 6: "ERR Error running script (…): @user_script:1: -OOM command not allowed".
const FailureRow& ClassifyError(std::string_view text);

}  // namespace weir
