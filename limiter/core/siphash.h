#pragma once

// SipHash-2-4 with 128-bit output (Aumasson and Bernstein, 2012): a keyed hash, so that callers
// who choose descriptor values cannot choose which keys collide.
//
// SipHasher takes whole 8-byte words and length-prefixed strings padded to words; because it can be
// copied, what is the same for every request of a rule is absorbed once, when rules are loaded.
// Not thread safe; copy it.

#include <array>
#include <cstdint>
#include <string_view>

namespace weir {

struct Secret {
  uint64_t k0 = 0;
  uint64_t k1 = 0;
  bool operator==(const Secret&) const = default;
};

struct Hash128 {
  uint64_t first = 0;   // the first 8 bytes of the digest, little endian
  uint64_t second = 0;  // the last 8 bytes
  bool operator==(const Hash128&) const = default;
};

class SipHasher {
 public:
  SipHasher() = default;
  explicit SipHasher(const Secret& secret);

  void Word(uint64_t word);
  // A word with the length, then the bytes padded with zeros to whole words: no two different
  // sequences of calls absorb the same words.
  void String(std::string_view bytes);
  // The digest of everything absorbed; leaves this hasher as it was.
  Hash128 Finish() const;

 private:
  void Round();

  std::array<uint64_t, 4> v_{};
  uint64_t words_ = 0;
};

}  // namespace weir
