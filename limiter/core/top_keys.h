#pragma once

// Which keys of a rule take the most hits: per worker and rule a sketch of bounded size, fed with
// samples of the worker's decisions.
//
//   KeySketch   one rule: the space-saving algorithm (Metwally, Agrawal and El Abbadi, "Efficient
//               Computation of Frequent and Top-k Elements in Data Streams", 2005) over weights
//               that fade by forward decay (Cormode et al., 2009)
//   KeySampler  one worker: when a decision is due for a sample, and the sketches by rule
//
// Hits fade with a time constant of one minute: of a key with a steady rate a sketch holds about
// the hits of one minute. A sketch holds no descriptor value unless it is told to keep texts.
//
// Thread safety: as said at each class.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/key.h"
#include "limiter/core/mutex.h"

namespace weir {

struct Rule;

// One key of a rule, as far as samples tell.
struct KeyHits {
  Key key;
  std::string text;  // "user=ada, op=read"; empty where texts are not kept
  double hits = 0;   // of the last minute, faded; at most `error` of them are others'
  double error = 0;
  double denied = 0;  // of these hits, in decisions that denied; a lower bound
};

struct TopKeys {
  std::vector<KeyHits> keys;  // most hits first
  double hits = 0;            // of all keys of the rule, those that no sketch holds included
};

// Thread safety: one thread at a time.
class KeySketch {
 public:
  static constexpr std::size_t kSlots = 100;
  static constexpr double kFadeNs = 60e9;
  // What is kept of a text: enough to know a key by.
  static constexpr std::size_t kTextBytesMax = 128;

  // Counts `hits` of the key. Returns its text, to be filled, if the key is new here.
  std::string* Add(const Key& key, double hits, bool denied, int64_t now_ns);

  // Adds what is held, faded until now, to `all`.
  void MergeInto(TopKeys& all, int64_t now_ns) const;

  int64_t last_ns() const { return last_ns_; }

 private:
  struct Slot {
    double hits = 0;
    double error = 0;
    double denied = 0;
    std::string text;
  };

  void Rescale(int64_t now_ns);

  // Weights are e^((then - since_ns_) / kFadeNs) times as large as they were then.
  int64_t since_ns_ = 0;
  int64_t last_ns_ = 0;
  double total_ = 0;
  std::size_t used_ = 0;
  std::array<Key, kSlots> keys_;  // apart from the rest, so that looking one up reads 1.6 KB
  std::array<Slot, kSlots> slots_;
};

struct KeySample {
  const Rule& rule;
  const Key& key;
  std::span<const Entry> entries;
  uint64_t hits = 0;
  bool denied = false;
  int64_t now_ns = 0;  // monotonic
};

// Thread safety: Due and Sample from the worker's thread, the rest from any. The worker never waits
// for a reader: a sample that meets one is left out.
class KeySampler {
 public:
  // One decision in this many is looked at where there are many; all of them where there are few.
  static constexpr uint32_t kStrideMax = 64;
  // Strides grow when samples come faster than this.
  static constexpr int64_t kSampleEveryNs = 1'000'000;
  static constexpr std::size_t kRulesMax = 256;  // of one worker
  // A rule that was idle for so long gives its place away.
  static constexpr int64_t kIdleNs = 600'000'000'000;

  explicit KeySampler(bool keep_texts) : keep_texts_(keep_texts) {}

  // Whether this decision is to be sampled. Called once for each.
  bool Due() { return --countdown_ == 0; }
  // REQUIRES: Due returned true for this decision.
  void Sample(const KeySample& sample);

  // Adds what is known of the rule with this slot to `all`.
  void MergeInto(uint32_t rule_slot, int64_t now_ns, TopKeys& all) const;
  // Adds the slots of rules that have a sketch to `slots`.
  void SlotsInto(std::vector<uint32_t>& slots) const;

 private:
  void NextStride(int64_t now_ns);
  KeySketch* SketchOf(uint32_t rule_slot, int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const bool keep_texts_;
  // Of the worker's thread alone.
  uint32_t countdown_ = 1;
  uint32_t stride_ = 1;  // the mean of those that are drawn: what one sample stands for
  uint32_t random_ = 0x9E3779B9;
  int64_t sampled_ns_ = 0;
  int64_t swept_ns_ = 0;

  mutable Mutex mutex_;
  absl::flat_hash_map<uint32_t, std::unique_ptr<KeySketch>> sketches_ ABSL_GUARDED_BY(mutex_);
};

// Adds up what several sketches know of one key, sorts by hits, and keeps `k` keys.
void KeepTop(std::size_t k, TopKeys& all);

// "user=ada, op=read": the entries as the rule tells keys apart, cut to kTextBytesMax.
void AppendKeyText(const Rule& rule, std::span<const Entry> entries, std::string& text);

// The 16 hex digits that stand for a key whose text is not shown. The key is a keyed hash already.
std::string KeyDigits(const Key& key);

}  // namespace weir
