#include "limiter/core/siphash.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace weir {
namespace {

// The key 00 01 … 0f of the published test vectors.
constexpr Secret kVectorKey = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

std::string Hex(const Hash128& hash) {
  unsigned char bytes[16];
  std::memcpy(bytes, &hash.first, 8);
  std::memcpy(bytes + 8, &hash.second, 8);
  std::string text;
  for (const unsigned char byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", byte);
    text += digits;
  }
  return text;
}

// The digest of the bytes 00 01 02 … (modulo 256) of a length in whole words.
std::string HexOfWords(std::size_t bytes) {
  SipHasher hasher(kVectorKey);
  for (std::size_t at = 0; at < bytes; at += 8) {
    uint64_t word = 0;
    for (std::size_t i = 0; i < 8; ++i) word |= ((at + i) & 0xff) << (8 * i);
    hasher.Word(word);
  }
  return Hex(hasher.Finish());
}

TEST(SipHash, EqualsThePublished128BitVectors) {
  EXPECT_EQ(HexOfWords(0), "a3817f04ba25a8e66df67214c7550293");
  EXPECT_EQ(HexOfWords(8), "3b62a9ba6258f5610f83e264f31497b4");
  EXPECT_EQ(HexOfWords(16), "6ee2a4ca67b054bbfd3315bf85230577");
  EXPECT_EQ(HexOfWords(24), "2db479ae78bd50d8882a8a178a6132ad");
  EXPECT_EQ(HexOfWords(32), "7c3956ca5eeafc3e363e9d556546eb68");
  EXPECT_EQ(HexOfWords(40), "df6a301e95c95dad97ae0cc8c6913bd8");
  EXPECT_EQ(HexOfWords(48), "f7e5aef549f782cf379055a608269b16");
  EXPECT_EQ(HexOfWords(56), "1938f2cf72d54ee97e94166fa91d2a36");
}

// Computed with OpenSSL's SipHash, whose output equals the vectors above.
TEST(SipHash, CountsTheLengthModulo256) {
  EXPECT_EQ(HexOfWords(64), "1eaf077dc0d4cd3f8cad4d383658a74b");
  EXPECT_EQ(HexOfWords(256), "67a00304d3834c4612eaee7b5f579acb");
  EXPECT_EQ(HexOfWords(264), "8d60aa7ab2b4162365783f89af9777fb");
}

TEST(SipHash, FinishLeavesTheHasherAsItWas) {
  SipHasher hasher(kVectorKey);
  hasher.Word(0x0706050403020100);
  const Hash128 once = hasher.Finish();
  EXPECT_EQ(hasher.Finish(), once);
  hasher.Word(0x0f0e0d0c0b0a0908);
  EXPECT_EQ(Hex(hasher.Finish()), "6ee2a4ca67b054bbfd3315bf85230577");
}

TEST(SipHash, ACopyContinuesOnItsOwn) {
  SipHasher prefix(kVectorKey);
  prefix.Word(0x0706050403020100);
  SipHasher copy = prefix;
  copy.Word(1);
  EXPECT_EQ(Hex(prefix.Finish()), "3b62a9ba6258f5610f83e264f31497b4");
}

TEST(SipHash, AStringIsItsLengthAndItsBytesPaddedToWords) {
  SipHasher words(kVectorKey);
  words.Word(9);
  words.Word(0x6867666564636261);
  words.Word('i');
  SipHasher string(kVectorKey);
  string.String("abcdefghi");
  EXPECT_EQ(string.Finish(), words.Finish());
}

TEST(SipHash, AnEmptyStringIsAWordOfZero) {
  SipHasher word(kVectorKey);
  word.Word(0);
  SipHasher string(kVectorKey);
  string.String("");
  EXPECT_EQ(string.Finish(), word.Finish());
}

TEST(SipHash, DifferentListsOfStringsNeverAgree) {
  // All lists of up to three strings over {NUL, 'a'} with lengths around one word.
  std::vector<std::string> texts;
  for (const std::size_t length : {0U, 1U, 7U, 8U, 9U}) {
    texts.emplace_back(length, 'a');
    if (length == 0) continue;
    texts.emplace_back(length, '\0');
    texts.push_back(std::string(length - 1, 'a') + '\0');
  }
  std::set<std::pair<uint64_t, uint64_t>> seen;
  std::set<std::vector<std::string>> lists = {{}};
  for (const std::string& a : texts) {
    lists.insert({a});
    for (const std::string& b : texts) {
      lists.insert({a, b});
      for (const std::string& c : texts) lists.insert({a, b, c});
    }
  }
  for (const std::vector<std::string>& list : lists) {
    SipHasher hasher(kVectorKey);
    for (const std::string& text : list) hasher.String(text);
    const Hash128 hash = hasher.Finish();
    EXPECT_TRUE(seen.emplace(hash.first, hash.second).second);
  }
  EXPECT_EQ(seen.size(), lists.size());
}

TEST(SipHash, EveryBitOfTheSecretMatters) {
  SipHasher plain(kVectorKey);
  plain.String("value");
  for (int bit = 0; bit < 128; ++bit) {
    Secret secret = kVectorKey;
    (bit < 64 ? secret.k0 : secret.k1) ^= uint64_t{1} << (bit % 64);
    SipHasher other(secret);
    other.String("value");
    EXPECT_NE(other.Finish(), plain.Finish()) << "bit " << bit;
  }
}

}  // namespace
}  // namespace weir
