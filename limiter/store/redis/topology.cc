#include "limiter/store/redis/topology.h"

#include <string>

namespace weir {

bool SingleTopology::Reachable(Slot /*slot*/) const {
  const PrimaryState state = primary_.state();
  return state == PrimaryState::kConnected || state == PrimaryState::kSuspect;
}

void SingleTopology::OnMoved(const RedisAddress& to) {
  const std::string address = RedisAddressText(to);
  if (primary_.texts().address != address) primary_.Reconnect("the primary is " + address + " now");
}

void SingleTopology::OnState(PrimaryState state) {
  if (state == PrimaryState::kRecovering) losses_.fetch_add(1, std::memory_order_relaxed);
  if (state == PrimaryState::kConnected) listener_.OnConnected();
  if (state == PrimaryState::kRecovering || state == PrimaryState::kIsolated) listener_.OnLost();
}

}  // namespace weir
