#include "limiter/core/top_keys.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/core/rule_table.h"

namespace weir {
namespace {

// Weights are brought back to 1 before they have grown by e^32: far from where doubles end, and
// once in half an hour.
constexpr double kRescaleAt = 32;

// A key whose hits have faded to less is no longer shown: one hit has after three minutes.
constexpr double kHitsMin = 0.05;

}  // namespace

std::string* KeySketch::Add(const Key& key, double hits, bool denied, int64_t now_ns) {
  if (total_ == 0) since_ns_ = now_ns;
  if (static_cast<double>(now_ns - since_ns_) > kRescaleAt * kFadeNs) Rescale(now_ns);
  last_ns_ = now_ns;
  const double weight = hits * std::exp(static_cast<double>(now_ns - since_ns_) / kFadeNs);
  total_ += weight;
  const auto keys_end = keys_.begin() + static_cast<std::ptrdiff_t>(used_);
  const auto found = std::find(keys_.begin(), keys_end, key);
  auto at = static_cast<std::size_t>(found - keys_.begin());
  std::string* text = nullptr;
  if (found == keys_end) {
    if (used_ < kSlots) {
      at = used_++;
    } else {
      // The smallest gives way, and the new key takes its hits over: it may have had as many.
      const auto smallest =
          std::min_element(slots_.begin(), slots_.end(),
                           [](const Slot& a, const Slot& b) { return a.hits < b.hits; });
      at = static_cast<std::size_t>(smallest - slots_.begin());
    }
    keys_[at] = key;
    slots_[at].error = slots_[at].hits;
    slots_[at].denied = 0;
    slots_[at].text.clear();
    text = &slots_[at].text;
  }
  slots_[at].hits += weight;
  if (denied) slots_[at].denied += weight;
  return text;
}

void KeySketch::Rescale(int64_t now_ns) {
  const double scale = std::exp(-static_cast<double>(now_ns - since_ns_) / kFadeNs);
  total_ *= scale;
  for (Slot& slot : slots_) {
    slot.hits *= scale;
    slot.error *= scale;
    slot.denied *= scale;
  }
  since_ns_ = now_ns;
}

void KeySketch::MergeInto(TopKeys& all, int64_t now_ns) const {
  const double scale = std::exp(-static_cast<double>(now_ns - since_ns_) / kFadeNs);
  all.hits += total_ * scale;
  for (std::size_t i = 0; i < used_; ++i) {
    const Slot& slot = slots_[i];
    all.keys.push_back({.key = keys_[i],
                        .text = slot.text,
                        .hits = slot.hits * scale,
                        .error = slot.error * scale,
                        .denied = slot.denied * scale});
  }
}

void KeySampler::NextStride(int64_t now_ns) {
  const bool many = now_ns - sampled_ns_ < kSampleEveryNs;
  stride_ = many ? std::min(stride_ * 2, kStrideMax) : std::max(stride_ / 2, 1U);
  sampled_ns_ = now_ns;
  // Uniform in [1, 2 * stride - 1], so that no rhythm of the callers' hides from it (xorshift32).
  random_ ^= random_ << 13;
  random_ ^= random_ >> 17;
  random_ ^= random_ << 5;
  countdown_ = 1 + random_ % (2 * stride_ - 1);
}

KeySketch* KeySampler::SketchOf(uint32_t rule_slot, int64_t now_ns) {
  if (const auto found = sketches_.find(rule_slot); found != sketches_.end()) {
    return found->second.get();
  }
  if (sketches_.size() >= kRulesMax) {
    // Looking for idle ones costs too much for every sample of a rule that has no place.
    if (now_ns - swept_ns_ < kIdleNs / 10) return nullptr;
    swept_ns_ = now_ns;
    absl::erase_if(sketches_,
                   [&](const auto& entry) { return now_ns - entry.second->last_ns() > kIdleNs; });
    if (sketches_.size() >= kRulesMax) return nullptr;
  }
  return sketches_.emplace(rule_slot, std::make_unique<KeySketch>()).first->second.get();
}

void KeySampler::Sample(const KeySample& sample) {
  const double stands_for = stride_;
  NextStride(sample.now_ns);
  if (sample.hits == 0 || !mutex_.TryLock()) return;
  KeySketch* const sketch = SketchOf(sample.rule.rule_slot, sample.now_ns);
  if (sketch != nullptr) {
    std::string* const text = sketch->Add(sample.key, stands_for * static_cast<double>(sample.hits),
                                          sample.denied, sample.now_ns);
    if (text != nullptr && keep_texts_) AppendKeyText(sample.rule, sample.entries, *text);
  }
  mutex_.Unlock();
}

void KeySampler::MergeInto(uint32_t rule_slot, int64_t now_ns, TopKeys& all) const {
  MutexLock lock(mutex_);
  const auto found = sketches_.find(rule_slot);
  if (found != sketches_.end()) found->second->MergeInto(all, now_ns);
}

void KeySampler::SlotsInto(std::vector<uint32_t>& slots) const {
  MutexLock lock(mutex_);
  for (const auto& [slot, sketch] : sketches_) slots.push_back(slot);
}

void KeepTop(std::size_t k, TopKeys& all) {
  std::vector<KeyHits>& keys = all.keys;
  const auto by_key = [](const KeyHits& a, const KeyHits& b) {
    return std::tie(a.key.hi, a.key.lo) < std::tie(b.key.hi, b.key.lo);
  };
  std::sort(keys.begin(), keys.end(), by_key);
  std::size_t kept = 0;
  for (KeyHits& hits : keys) {
    if (kept > 0 && keys[kept - 1].key == hits.key) {
      keys[kept - 1].hits += hits.hits;
      keys[kept - 1].error += hits.error;
      keys[kept - 1].denied += hits.denied;
    } else {
      if (&keys[kept] != &hits) keys[kept] = std::move(hits);
      ++kept;
    }
  }
  keys.resize(kept);
  keys.erase(std::remove_if(keys.begin(), keys.end(),
                            [](const KeyHits& hits) { return hits.hits < kHitsMin; }),
             keys.end());
  std::stable_sort(keys.begin(), keys.end(),
                   [](const KeyHits& a, const KeyHits& b) { return a.hits > b.hits; });
  if (keys.size() > k) keys.resize(k);
}

void AppendKeyText(const Rule& rule, std::span<const Entry> entries, std::string& text) {
  const auto append = [&](std::string_view part) {
    text.append(
        part.substr(0, KeySketch::kTextBytesMax - std::min(KeySketch::kTextBytesMax, text.size())));
  };
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) append(", ");
    append(entries[i].key);
    const bool shared = rule.any_shared && rule.levels[i].shared;
    const std::string_view value = shared ? rule.levels[i].pattern : entries[i].value;
    if (value.empty()) continue;
    append("=");
    append(value);
  }
}

std::string KeyDigits(const Key& key) { return absl::StrCat(absl::Hex(key.hi, absl::kZeroPad16)); }

}  // namespace weir
