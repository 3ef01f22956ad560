#include "limiter/store/redis/topology.h"

#include <string>

namespace weir {

bool SingleTopology::Reachable(Slot /*slot*/) const { return TakesCalls(primary_.state()); }

void SingleTopology::OnMoved(const RedisAddress& to) {
  const std::string address = RedisAddressText(to);
  if (primary_.texts().address != address) primary_.Reconnect("the primary is " + address + " now");
}

void SingleTopology::OnState(PrimaryState state) {
  if (state == PrimaryState::kConnected) listener_.OnConnected();
  if (state == PrimaryState::kRecovering || state == PrimaryState::kIsolated) listener_.OnLost();
}

}  // namespace weir
