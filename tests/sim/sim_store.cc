#include "tests/sim/sim_store.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "limiter/store/redis/scripts.h"

namespace weir::sim {
namespace {

int64_t NumberOf(std::string_view text) {
  int64_t number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::vector<int64_t> Integers(const test::StoreReply& reply) {
  std::vector<int64_t> numbers;
  for (const test::StoreReply& item : reply.items) {
    if (item.kind != test::StoreReply::Kind::kInteger) return {};
    numbers.push_back(item.integer);
  }
  return numbers;
}

SimStore::SimStore(World& world, const std::vector<KeySpec>& keys, int nodes, int64_t drift_ppm)
    : world_(world),
      keys_(keys),
      clock_(world, kWallStartNs, kWallStartNs, drift_ppm),
      granted_since_snapshot_(keys.size()),
      leased_(static_cast<std::size_t>(nodes) * keys.size()),
      out_(keys.size()),
      calls_by_key_(keys.size()),
      window_(keys.size(), -1) {
  for (const Script& script : AllScripts()) lua_.Load(script.sha1, script.text);
}

StoreTime SimStore::Now() const {
  // As TIME shows it: whole microseconds.
  const int64_t wall_ns = clock_.WallAt(world_.now_ns()) / kUs * kUs;
  return {wall_ns - clock_.stepped_ns(), wall_ns};
}

SimStore::Executed SimStore::Execute(uint64_t replication_id, const About& about,
                                     const std::string& wire) {
  const bool old = replication_id != replication_id_;
  if (old) std::swap(lua_.keys(), *old_keys_);
  const StoreTime time = Now();
  lua_.set_now_us(time.wall_ns / kUs);
  std::string_view rest = wire;
  const std::vector<std::string> command = test::TakeCommand(rest);
  Executed executed = {lua_.Command(command), time};
  ++calls_;
  ++calls_by_key_[static_cast<std::size_t>(about.key)];
  if (executed.reply.error()) {
    broken_ = "the store answers " + test::Describe(executed.reply);
  } else {
    Witness(about, Integers(executed.reply));
    // The record of a clock fault may stay: it is not believed.
    const std::vector<int64_t> numbers = Integers(executed.reply);
    const bool fault = !numbers.empty() && numbers.back() == 1;
    if (about.op == Op::kTake && !fault && !split()) CheckRecord(about.key);
  }
  if (old) std::swap(lua_.keys(), *old_keys_);
  return executed;
}

void SimStore::Witness(const About& about, const std::vector<int64_t>& numbers) {
  if (about.op != Op::kTake || numbers.size() < 4) return;
  const auto granted = static_cast<uint64_t>(numbers[2]);
  granted_since_snapshot_[static_cast<std::size_t>(about.key)] += granted;
  if (granted > about.hits) {
    leased_[Index(about.node, about.key)] += granted - about.hits;
    NoteOut(static_cast<std::size_t>(about.key), granted - about.hits);
  }
}

// I3: a bucket is never further than empty, the window of a fixed window never goes back.
void SimStore::CheckRecord(int key) {
  const KeySpec& spec = keys_[static_cast<std::size_t>(key)];
  const test::StoreKeys::Record* record = lua_.Find(spec.store_key);
  if (record == nullptr) return;
  const auto* text = std::get_if<std::string>(&record->value);
  if (text == nullptr) return;
  if (spec.limit.algorithm == Algorithm::kTokenBucket) {
    const int64_t tat_ns = NumberOf(*text);
    if (tat_ns - lua_.now_us() * kUs > spec.limit.burst_ns) broken_ = "rel > BE in " + *text;
  } else if (spec.limit.algorithm == Algorithm::kFixedWindow) {
    int64_t& newest = window_[static_cast<std::size_t>(key)];
    const int64_t window = NumberOf(*text);
    if (window < newest) broken_ = "the window went back in " + *text;
    newest = window;
  }
}

Decision SimStore::Peek(int key, uint64_t hits) {
  const KeySpec& spec = keys_[static_cast<std::size_t>(key)];
  const ScriptCall call = {.limit = spec.limit, .op = Op::kPeek, .hits = hits, .lease = {}};
  if (const auto decided = DecidedWithoutCall(call); decided.has_value()) return *decided;
  std::string wire;
  AppendCall(call, spec.store_key, wire);
  std::string_view rest = wire;
  lua_.set_now_us(Now().wall_ns / kUs);
  const absl::StatusOr<ScriptReply> reply =
      ReadReply(call, Integers(lua_.Command(test::TakeCommand(rest))));
  return reply.ok() ? reply->decision : Decision();
}

void SimStore::Thaw() {
  frozen_ = false;
  int64_t after_ns = 0;
  for (World::Task& task : backlog_) world_.After(after_ns += 10 * kUs, std::move(task));
  backlog_.clear();
}

void SimStore::NoteOut(std::size_t key, uint64_t hits) {
  const int64_t window = Now().wall_ns / keys_[key].limit.window_ns;
  if (out_[key].window != window) out_[key] = {window, 0};
  out_[key].hits += hits;
}

void SimStore::StepClock(int64_t ns) {
  Exception exception;
  exception.kind = Exception::Kind::kStep;
  exception.before = Now();
  clock_.StepWall(ns);
  exception.after = Now();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const Limit& limit = keys_[i].limit;
    // Only a window's count is lost by a step back; a clamped bucket only has less. What is out on
    // leases of the window that was is then spent in the one that comes again.
    const bool fixed = limit.algorithm == Algorithm::kFixedWindow;
    const uint64_t out = fixed && ns < 0 ? out_[i].hits : 0;
    exception.hits.push_back(ns > 0 || fixed ? limit.capacity + out : 0);
  }
  if (old_keys_.has_value()) {
    // The windows of before and after the step are not neighbours.
    NoteTwoPrimaries(split_stepped_, exception.before, true);
    split_stepped_ = exception.after;
  }
  exceptions_.push_back(std::move(exception));
  std::fill(window_.begin(), window_.end(), -1);
  disturbed_ns_ = world_.now_ns();
}

void SimStore::TakeSnapshot() {
  snapshot_ = lua_.keys();
  std::fill(granted_since_snapshot_.begin(), granted_since_snapshot_.end(), 0);
}

void SimStore::FailOver() {
  lua_.keys() = *std::exchange(snapshot_, std::nullopt);
  NoteLostWrites(granted_since_snapshot_);
}

void SimStore::Split() {
  old_keys_ = std::exchange(lua_.keys(), *std::exchange(snapshot_, std::nullopt));
  old_id_ = replication_id_++;
  split_since_ = split_stepped_ = Now();
}

void SimStore::EndSplit() {
  old_keys_.reset();
  NoteTwoPrimaries(split_since_, Now(), false);
  NoteTwoPrimaries(split_stepped_, Now(), true);
  std::fill(window_.begin(), window_.end(), -1);
  disturbed_ns_ = world_.now_ns();
}

void SimStore::NoteTwoPrimaries(const StoreTime& since, const StoreTime& until, bool fixed) {
  Exception exception;
  exception.kind = Exception::Kind::kTwoPrimaries;
  exception.before = since;
  exception.after = until;
  const int64_t lasted_ns = until.mono_ns - since.mono_ns;
  for (const KeySpec& spec : keys_) {
    // Each of the two kept the promise: as much again as one may admit in that time.
    const Limit& limit = spec.limit;
    uint64_t hits = limit.capacity;
    if (limit.algorithm == Algorithm::kTokenBucket) {
      hits += static_cast<uint64_t>(lasted_ns / limit.emission_ns + 1);
    }
    exception.hits.push_back(fixed == (limit.algorithm == Algorithm::kFixedWindow) ? hits : 0);
  }
  exceptions_.push_back(std::move(exception));
}

void SimStore::LoseEverything() {
  lua_.keys() = {};
  NoteLostWrites(std::vector<uint64_t>(keys_.size(), UINT64_MAX));
}

void SimStore::NoteLostWrites(const std::vector<uint64_t>& lost) {
  Exception exception;
  exception.kind = Exception::Kind::kLostWrites;
  exception.before = exception.after = Now();
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    exception.hits.push_back(std::min<uint64_t>(keys_[i].limit.capacity, lost[i]));
  }
  exceptions_.push_back(std::move(exception));
  std::fill(window_.begin(), window_.end(), -1);
  ++replication_id_;
  Thaw();
  running_ = true;
  disturbed_ns_ = world_.now_ns();
}

void SimStore::Start() {
  ++replication_id_;
  running_ = true;
}

}  // namespace weir::sim
