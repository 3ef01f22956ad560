#include "tests/differential/stores.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "limiter/store/redis/scripts.h"

namespace weir::test {
namespace {

// The time comes as one more argument.
constexpr std::string_view kPrelude = R"lua(
local redis = (function(real)
  local now = tonumber(table.remove(ARGV))
  local expires = KEYS[1] .. ':expires'
  local function text(number) return string.format('%.0f', number) end
  local function call(name, key, ...)
    if name == 'TIME' then
      return {text(math.floor(now / 1000000)), text(now % 1000000)}
    elseif name == 'SET' then
      local value, word, px = ...
      assert(word == 'PX' and string.find(px, '^[1-9]%d*$'), 'no expiry')
      real.call('SET', expires, text(math.floor(now / 1000) + px))
      return real.call('SET', key, value)
    elseif name == 'GET' then
      local at = real.call('GET', expires)
      if at and math.floor(now / 1000) >= tonumber(at) then real.call('DEL', key, expires) end
    elseif name == 'DEL' then
      real.call('DEL', expires)
    end
    return real.call(name, key, ...)
  end
  return {call = call, error_reply = real.error_reply}
end)(redis)
)lua";

int64_t SteadyNs() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// An error is the same if its code is.
bool Same(const StoreReply& a, const StoreReply& b) {
  if (!a.error() || !b.error()) return a == b;
  return a.text.substr(0, a.text.find(' ')) == b.text.substr(0, b.text.find(' '));
}

}  // namespace

RedisProcess* SharedRedis() {
  static const std::unique_ptr<RedisProcess> redis = [] {
    std::string problem;
    std::unique_ptr<RedisProcess> started = RedisProcess::Start({}, &problem);
    if (started == nullptr) std::fprintf(stderr, "%s\n", problem.c_str());
    return started;
  }();
  return redis.get();
}

double TestSeconds() {
  const char* const soak = std::getenv("WEIR_SOAK_SECONDS");
  return soak == nullptr ? 1.5 : std::strtod(soak, nullptr);
}

Budget::Budget(double seconds) : end_ns_(SteadyNs() + static_cast<int64_t>(seconds * 1e9)) {}

bool Budget::Left() const { return SteadyNs() < end_ns_; }

uint64_t TestSeed() {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t seed =
      given == nullptr ? static_cast<uint64_t>(SteadyNs()) : std::strtoull(given, nullptr, 10);
  std::printf("WEIR_SEED=%llu\n", static_cast<unsigned long long>(seed));
  return seed;
}

Stores::Stores(RedisProcess* redis) {
  for (const Script& script : AllScripts()) embedded_.Load(script.sha1, script.text);
  if (redis == nullptr) return;
  client_ = RedisClient::Connect(redis->unix_path());
  if (client_ == nullptr) return;
  client_->Command(std::vector<std::string>{"FLUSHALL"});
  for (const Script& script : AllScripts()) {
    const StoreReply loaded = client_->Command(std::vector<std::string>{
        "SCRIPT", "LOAD", std::string(kPrelude) + std::string(script.text)});
    real_sha1_.push_back(loaded.text);
  }
}

void Stores::NewKey() {
  embedded_.keys().records.clear();
  key_ = "weir1:{s" + std::to_string(keys_ % 256) + "}:" + std::to_string(keys_);
  ++keys_;
  wire_.clear();
  replies_.clear();
}

StoreReply Stores::Run(const std::string& wire, int64_t now_us) {
  std::string_view rest = wire;
  std::vector<std::string> command = TakeCommand(rest);
  embedded_.set_now_us(now_us);
  const StoreReply reply = rest.empty() ? embedded_.Command(command) : StoreReply{};
  replies_.push_back(reply);
  if (client_ != nullptr && !command.empty()) {
    if (command[0] == "EVALSHA") {
      for (const Script& script : AllScripts()) {
        if (command[1] != script.sha1) continue;
        command[1] = real_sha1_[static_cast<std::size_t>(&script - AllScripts().data())];
        break;
      }
      command.push_back(std::to_string(now_us));
    }
    // A record past the time the test sets is gone in the embedded store only: not compared.
    if (command[0] == "DEL") {
      command.push_back(key_ + ":expires");
      replies_.back().reset();
    }
    wire_ += EncodeCommand(command);
  }
  return reply;
}

void Stores::Spoil(const std::string& text) {
  embedded_.keys().records[key_] = {.value = text, .expires_ms = std::nullopt};
  client_->Command(std::vector<std::string>{"DEL", key_ + ":expires"});
  client_->Command(std::vector<std::string>{"SET", key_, text});
}

void Stores::SpoilType() {
  embedded_.keys().records[key_] = {.value = StoreKeys::Hash{{"field", "1"}},
                                    .expires_ms = std::nullopt};
  client_->Command(std::vector<std::string>{"DEL", key_, key_ + ":expires"});
  client_->Command(std::vector<std::string>{"HSET", key_, "field", "1"});
}

std::vector<Stores::Difference> Stores::Differences() {
  std::vector<Difference> differences;
  if (client_ == nullptr) return differences;
  const std::vector<std::string> get = {"GET", key_};
  wire_ += EncodeCommand(get);
  replies_.push_back(embedded_.Command(get));
  client_->Send(wire_);
  for (std::size_t i = 0; i < replies_.size(); ++i) {
    const StoreReply real = client_->Receive();
    if (replies_[i].has_value() && !Same(*replies_[i], real)) {
      differences.push_back({i, Describe(*replies_[i]), Describe(real)});
    }
  }
  client_->Command(std::vector<std::string>{"DEL", key_, key_ + ":expires"});
  wire_.clear();
  replies_.clear();
  return differences;
}

std::vector<int64_t> Integers(const StoreReply& reply) {
  std::vector<int64_t> integers;
  for (const StoreReply& item : reply.items) {
    if (item.kind != StoreReply::Kind::kInteger) return {};
    integers.push_back(item.integer);
  }
  return integers;
}

}  // namespace weir::test
