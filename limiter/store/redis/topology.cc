#include "limiter/store/redis/topology.h"

#include <cstdint>
#include <string_view>

namespace weir {
namespace {

// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, begins with 0.
uint16_t Crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char byte : bytes) {
    crc = static_cast<uint16_t>(crc ^ (static_cast<uint8_t>(byte) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      const bool top = (crc & 0x8000) != 0;
      crc = static_cast<uint16_t>(crc << 1);
      if (top) crc = static_cast<uint16_t>(crc ^ 0x1021);
    }
  }
  return crc;
}

}  // namespace

Slot SlotOf(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return Crc16(key) % kSlots;
}

bool SingleTopology::Reachable(Slot /*slot*/) const {
  const PrimaryState state = primary_.state();
  return state == PrimaryState::kConnected || state == PrimaryState::kSuspect;
}

void SingleTopology::OnState(PrimaryState state) {
  if (state == PrimaryState::kRecovering) losses_.fetch_add(1, std::memory_order_relaxed);
  if (state == PrimaryState::kConnected) listener_.OnConnected();
  if (state == PrimaryState::kRecovering || state == PrimaryState::kIsolated) listener_.OnLost();
}

}  // namespace weir
