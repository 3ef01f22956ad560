#pragma once

// The part of Redis that Weir's scripts use, in memory and with a clock that the test sets: the
// same script texts run in the same Lua 5.1. Knows no test framework, so that simulations can use
// it.
//
// It is stricter than Redis where that finds bugs: a number given to redis.call without formatting,
// an undeclared global and an unknown command are errors.
//
// Thread safety: one thread at a time.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

struct lua_State;

namespace weir::test {

// A reply as RESP2 knows it.
struct StoreReply {
  enum class Kind : uint8_t { kNil, kInteger, kString, kStatus, kError, kArray };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // of a string, a status or an error
  std::vector<StoreReply> items;

  bool operator==(const StoreReply&) const = default;
  bool error() const { return kind == Kind::kError; }
};

std::string Describe(const StoreReply& reply);

// What a Redis holds. Copy it to keep a moment of it: a replica that lags, a failover that loses.
struct StoreKeys {
  using Hash = std::map<std::string, std::string>;
  using SortedSet = std::map<std::string, double>;
  struct Record {
    std::variant<std::string, Hash, SortedSet> value;
    std::optional<int64_t> expires_ms;
    bool operator==(const Record&) const = default;
  };
  std::map<std::string, Record, std::less<>> records;
};

class LuaStore {
 public:
  LuaStore();
  ~LuaStore();
  LuaStore(const LuaStore&) = delete;
  LuaStore& operator=(const LuaStore&) = delete;

  void set_now_us(int64_t now_us) { now_us_ = now_us; }
  int64_t now_us() const { return now_us_; }

  // What SCRIPT LOAD does, under a name the caller computed.
  void Load(std::string_view sha1, std::string_view text);
  void FlushScripts();

  // One command, its name first: EVALSHA, EVAL, DEL, GET and those the scripts call.
  StoreReply Command(std::span<const std::string> arguments);

  StoreKeys& keys() { return keys_; }
  // The record of a key that has not expired, or nullptr.
  const StoreKeys::Record* Find(std::string_view key);

 private:
  struct Commands;

  StoreReply Eval(int function, std::span<const std::string> arguments);

  int64_t now_us_ = 0;
  StoreKeys keys_;
  std::map<std::string, int, std::less<>> scripts_;  // SHA-1 to the function in Lua's registry
  std::unique_ptr<lua_State, void (*)(lua_State*)> lua_;
};

// Takes the first command off RESP bytes as a client sends them. Empty: there is none, or it is not
// whole or malformed.
std::vector<std::string> TakeCommand(std::string_view& wire);

}  // namespace weir::test
