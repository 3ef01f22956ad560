#include "limiter/core/siphash.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace weir {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

SipHasher::SipHasher(const Secret& secret)
    : v_{secret.k0 ^ 0x736f6d6570736575, secret.k1 ^ 0x646f72616e646f6d ^ 0xee,
         secret.k0 ^ 0x6c7967656e657261, secret.k1 ^ 0x7465646279746573} {}

inline void SipHasher::Round() {
  v_[0] += v_[1];
  v_[1] = std::rotl(v_[1], 13) ^ v_[0];
  v_[0] = std::rotl(v_[0], 32);
  v_[2] += v_[3];
  v_[3] = std::rotl(v_[3], 16) ^ v_[2];
  v_[0] += v_[3];
  v_[3] = std::rotl(v_[3], 21) ^ v_[0];
  v_[2] += v_[1];
  v_[1] = std::rotl(v_[1], 17) ^ v_[2];
  v_[2] = std::rotl(v_[2], 32);
}

void SipHasher::Word(uint64_t word) {
  v_[3] ^= word;
  Round();
  Round();
  v_[0] ^= word;
  ++words_;
}

void SipHasher::String(std::string_view bytes) {
  Word(bytes.size());
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, bytes.data(), sizeof(word));
    Word(word);
    bytes.remove_prefix(sizeof(word));
  }
  if (!bytes.empty()) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), bytes.size());
    Word(word);
  }
}

Hash128 SipHasher::Finish() const {
  SipHasher last = *this;
  last.Word((words_ * sizeof(uint64_t)) << 56);  // the length modulo 256 in the top byte
  last.v_[2] ^= 0xee;
  for (int i = 0; i < 4; ++i) last.Round();
  Hash128 hash;
  hash.first = last.v_[0] ^ last.v_[1] ^ last.v_[2] ^ last.v_[3];
  last.v_[1] ^= 0xdd;
  for (int i = 0; i < 4; ++i) last.Round();
  hash.second = last.v_[0] ^ last.v_[1] ^ last.v_[2] ^ last.v_[3];
  return hash;
}

}  // namespace weir
