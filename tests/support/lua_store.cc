#include "tests/support/lua_store.h"

extern "C" {
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
}

#include <charconv>
#include <cstdlib>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace weir::test {
namespace {

using Kind = StoreReply::Kind;
using Arguments = std::span<const std::string>;

StoreReply Integer(int64_t integer) {
  return {.kind = Kind::kInteger, .integer = integer, .text = "", .items = {}};
}
StoreReply Text(Kind kind, std::string text) {
  return {.kind = kind, .integer = 0, .text = std::move(text), .items = {}};
}
StoreReply Error(std::string text) { return Text(Kind::kError, std::move(text)); }
StoreReply WrongType() {
  return Error("WRONGTYPE Operation against a key holding the wrong kind of value");
}
StoreReply Array(std::vector<StoreReply> items) {
  return {.kind = Kind::kArray, .integer = 0, .text = "", .items = std::move(items)};
}

std::optional<int64_t> ToInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// What a script sees of a reply (Redis, "Lua API reference", data type conversion).
void Push(lua_State* lua, const StoreReply& reply) {
  switch (reply.kind) {
    case Kind::kInteger:
      lua_pushnumber(lua, static_cast<double>(reply.integer));
      break;
    case Kind::kString:
      lua_pushlstring(lua, reply.text.data(), reply.text.size());
      break;
    case Kind::kNil:
      lua_pushboolean(lua, 0);
      break;
    case Kind::kStatus:
    case Kind::kError:
      lua_createtable(lua, 0, 1);
      lua_pushlstring(lua, reply.text.data(), reply.text.size());
      lua_setfield(lua, -2, reply.kind == Kind::kError ? "err" : "ok");
      break;
    case Kind::kArray:
      lua_createtable(lua, static_cast<int>(reply.items.size()), 0);
      for (std::size_t i = 0; i < reply.items.size(); ++i) {
        Push(lua, reply.items[i]);
        lua_rawseti(lua, -2, static_cast<int>(i) + 1);
      }
      break;
  }
}

std::string StringAt(lua_State* lua, int index) {
  std::size_t size = 0;
  const char* const data = lua_tolstring(lua, index, &size);
  return data == nullptr ? "" : std::string(data, size);
}

// What a client sees of the value at the top of the stack.
StoreReply ReplyOf(lua_State* lua) {
  switch (lua_type(lua, -1)) {
    case LUA_TNUMBER:
      return Integer(static_cast<int64_t>(lua_tonumber(lua, -1)));
    case LUA_TSTRING:
      return Text(Kind::kString, StringAt(lua, -1));
    case LUA_TBOOLEAN:
      return lua_toboolean(lua, -1) != 0 ? Integer(1) : StoreReply{};
    case LUA_TTABLE:
      break;
    default:
      return {};
  }
  for (const auto& [field, kind] : {std::pair{"err", Kind::kError}, {"ok", Kind::kStatus}}) {
    lua_getfield(lua, -1, field);
    if (lua_type(lua, -1) == LUA_TSTRING) {
      StoreReply reply = Text(kind, StringAt(lua, -1));
      lua_pop(lua, 1);
      return reply;
    }
    lua_pop(lua, 1);
  }
  std::vector<StoreReply> items;
  for (int i = 1;; ++i) {
    lua_rawgeti(lua, -1, i);
    const bool end = lua_isnil(lua, -1);
    if (!end) items.push_back(ReplyOf(lua));
    lua_pop(lua, 1);
    if (end) return Array(std::move(items));
  }
}

// redis.call: a table {err = …} in place of a reply ends the script.
int Call(lua_State* lua) {
  auto& store = *static_cast<LuaStore*>(lua_touserdata(lua, lua_upvalueindex(1)));
  bool failed = false;
  {
    std::vector<std::string> arguments;
    for (int i = 1; i <= lua_gettop(lua); ++i) {
      // A number would be written by rules of Redis' own, with 17 digits or as an exponent.
      failed |= lua_type(lua, i) != LUA_TSTRING;
      if (!failed) arguments.push_back(StringAt(lua, i));
    }
    const StoreReply reply =
        failed ? Error("ERR an argument of redis.call is not a string") : store.Command(arguments);
    failed = reply.error();
    Push(lua, reply);
  }
  return failed ? lua_error(lua) : 1;
}

int ErrorReply(lua_State* lua) {
  luaL_checkstring(lua, 1);
  lua_createtable(lua, 0, 1);
  lua_pushvalue(lua, 1);
  lua_setfield(lua, -2, "err");
  return 1;
}

int Undeclared(lua_State* lua) {
  return luaL_error(lua, "ERR script uses the undeclared global '%s'",
                    lua_type(lua, 2) == LUA_TSTRING ? lua_tostring(lua, 2) : "?");
}

void SetStrings(lua_State* lua, const char* name, Arguments strings) {
  lua_pushstring(lua, name);
  lua_createtable(lua, static_cast<int>(strings.size()), 0);
  for (std::size_t i = 0; i < strings.size(); ++i) {
    lua_pushlstring(lua, strings[i].data(), strings[i].size());
    lua_rawseti(lua, -2, static_cast<int>(i) + 1);
  }
  lua_rawset(lua, LUA_GLOBALSINDEX);
}

void PrepareGlobals(lua_State* lua, LuaStore* store) {
  for (const auto& [name, open] : {std::pair<const char*, lua_CFunction>{"", luaopen_base},
                                   {LUA_TABLIBNAME, luaopen_table},
                                   {LUA_STRLIBNAME, luaopen_string},
                                   {LUA_MATHLIBNAME, luaopen_math}}) {
    lua_pushcfunction(lua, open);
    lua_pushstring(lua, name);
    lua_call(lua, 1, 0);
  }
  lua_createtable(lua, 0, 2);
  lua_pushlightuserdata(lua, store);
  lua_pushcclosure(lua, Call, 1);
  lua_setfield(lua, -2, "call");
  lua_pushcfunction(lua, ErrorReply);
  lua_setfield(lua, -2, "error_reply");
  lua_setglobal(lua, "redis");
  lua_pushvalue(lua, LUA_GLOBALSINDEX);
  lua_createtable(lua, 0, 2);
  for (const char* const event : {"__index", "__newindex"}) {
    lua_pushcfunction(lua, Undeclared);
    lua_setfield(lua, -2, event);
  }
  lua_setmetatable(lua, -2);
  lua_pop(lua, 1);
}

// "(5", "5", "-inf", "+inf": whether `score` lies on the inner side of the bound.
bool Within(double score, const std::string& bound, bool lower) {
  const bool open = bound[0] == '(';
  const double edge = std::strtod(bound.c_str() + (open ? 1 : 0), nullptr);
  if (score == edge) return !open;
  return lower ? score > edge : score < edge;
}

}  // namespace

// The commands, each with its arguments after the name. Only what the scripts use of each.
struct LuaStore::Commands {
  template <typename T>
  static T* ValueOf(LuaStore& store, const std::string& key, bool* wrong_type) {
    StoreKeys::Record* record = const_cast<StoreKeys::Record*>(store.Find(key));
    *wrong_type = record != nullptr && !std::holds_alternative<T>(record->value);
    return record == nullptr || *wrong_type ? nullptr : &std::get<T>(record->value);
  }
  template <typename T>
  static T* Made(LuaStore& store, const std::string& key, bool* wrong_type) {
    T* value = ValueOf<T>(store, key, wrong_type);
    if (value != nullptr || *wrong_type) return value;
    StoreKeys::Record& record = store.keys_.records[key];
    record.value = T();
    return &std::get<T>(record.value);
  }

  static StoreReply Time(LuaStore& store, Arguments) {
    return Array({Text(Kind::kString, std::to_string(store.now_us_ / 1'000'000)),
                  Text(Kind::kString, std::to_string(store.now_us_ % 1'000'000))});
  }
  static StoreReply Get(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    const auto* value = ValueOf<std::string>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    return value == nullptr ? StoreReply{} : Text(Kind::kString, *value);
  }
  static StoreReply Set(LuaStore& store, Arguments in) {
    StoreKeys::Record record;
    record.value = in[1];
    if (in.size() == 4 && in[2] == "PX") {
      const std::optional<int64_t> px = ToInteger(in[3]);
      if (!px.has_value()) return Error("ERR value is not an integer or out of range");
      if (*px <= 0) return Error("ERR invalid expire time in 'set' command");
      record.expires_ms = store.now_us_ / 1'000 + *px;
    } else if (in.size() != 2) {
      return Error("ERR syntax error");
    }
    store.keys_.records[in[0]] = std::move(record);
    return Text(Kind::kStatus, "OK");
  }
  static StoreReply Del(LuaStore& store, Arguments in) {
    const bool held = store.Find(in[0]) != nullptr;
    store.keys_.records.erase(in[0]);
    return Integer(held ? 1 : 0);
  }
  static StoreReply Expire(LuaStore& store, Arguments in) {
    auto* record = const_cast<StoreKeys::Record*>(store.Find(in[0]));
    const std::optional<int64_t> px = ToInteger(in[1]);
    if (!px.has_value()) return Error("ERR value is not an integer or out of range");
    if (record != nullptr) record->expires_ms = store.now_us_ / 1'000 + *px;
    return Integer(record == nullptr ? 0 : 1);
  }
  static StoreReply AddScored(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    auto* set = Made<StoreKeys::SortedSet>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    const bool added = set->insert_or_assign(in[2], std::strtod(in[1].c_str(), nullptr)).second;
    return Integer(added ? 1 : 0);
  }
  static StoreReply RemoveScored(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    auto* set = ValueOf<StoreKeys::SortedSet>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    if (set == nullptr) return Integer(0);
    const std::size_t removed = std::erase_if(*set, [&in](const auto& member) {
      return Within(member.second, in[1], true) && Within(member.second, in[2], false);
    });
    if (set->empty()) store.keys_.records.erase(in[0]);
    return Integer(static_cast<int64_t>(removed));
  }
  static StoreReply CountScored(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    auto* set = ValueOf<StoreKeys::SortedSet>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    return Integer(set == nullptr ? 0 : static_cast<int64_t>(set->size()));
  }
  static StoreReply SetFieldOnce(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    auto* hash = Made<StoreKeys::Hash>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    return Integer(hash->try_emplace(in[1], in[2]).second ? 1 : 0);
  }
  static StoreReply GetFields(LuaStore& store, Arguments in) {
    bool wrong_type = false;
    auto* hash = ValueOf<StoreKeys::Hash>(store, in[0], &wrong_type);
    if (wrong_type) return WrongType();
    std::vector<StoreReply> items;
    for (const std::string& field : in.subspan(1)) {
      const bool held = hash != nullptr && hash->count(field) != 0;
      items.push_back(held ? Text(Kind::kString, hash->at(field)) : StoreReply{});
    }
    return Array(std::move(items));
  }
  static StoreReply EvalSha(LuaStore& store, Arguments in) {
    const auto script = store.scripts_.find(in[0]);
    if (script == store.scripts_.end()) {
      return Error("NOSCRIPT No matching script. Please use EVAL.");
    }
    return store.Eval(script->second, in.subspan(1));
  }

  struct Row {
    std::size_t arguments_min;
    StoreReply (*run)(LuaStore&, Arguments);
  };
  static const std::map<std::string, Row, std::less<>>& Table() {
    static const std::map<std::string, Row, std::less<>> table = {
        {"TIME", {0, &Time}},
        {"GET", {1, &Get}},
        {"SET", {2, &Set}},
        {"DEL", {1, &Del}},
        {"PEXPIRE", {2, &Expire}},
        {"ZADD", {3, &AddScored}},
        {"ZREMRANGEBYSCORE", {3, &RemoveScored}},
        {"ZCARD", {1, &CountScored}},
        {"HSETNX", {3, &SetFieldOnce}},
        {"HMGET", {2, &GetFields}},
        {"EVALSHA", {2, &EvalSha}},
    };
    return table;
  }
};

std::string Describe(const StoreReply& reply) {
  switch (reply.kind) {
    case Kind::kNil:
      return "nil";
    case Kind::kInteger:
      return std::to_string(reply.integer);
    case Kind::kString:
      return '"' + reply.text + '"';
    case Kind::kStatus:
      return '+' + reply.text;
    case Kind::kError:
      return '-' + reply.text;
    case Kind::kArray:
      break;
  }
  std::string text = "[";
  for (const StoreReply& item : reply.items) {
    if (text.size() > 1) text += ", ";
    text += Describe(item);
  }
  return text + "]";
}

LuaStore::LuaStore() : lua_(luaL_newstate(), lua_close) { PrepareGlobals(lua_.get(), this); }

LuaStore::~LuaStore() = default;

void LuaStore::Load(std::string_view sha1, std::string_view text) {
  lua_State* const lua = lua_.get();
  if (luaL_loadbuffer(lua, text.data(), text.size(), "@user_script") != 0) {
    // As Redis: the text is refused, and then there is no such script.
    lua_pop(lua, 1);
    return;
  }
  scripts_.insert_or_assign(std::string(sha1), luaL_ref(lua, LUA_REGISTRYINDEX));
}

void LuaStore::FlushScripts() { scripts_.clear(); }

const StoreKeys::Record* LuaStore::Find(std::string_view key) {
  const auto found = keys_.records.find(key);
  if (found == keys_.records.end()) return nullptr;
  const std::optional<int64_t> expires_ms = found->second.expires_ms;
  if (expires_ms.has_value() && now_us_ / 1'000 >= *expires_ms) {
    keys_.records.erase(found);
    return nullptr;
  }
  return &found->second;
}

StoreReply LuaStore::Command(std::span<const std::string> arguments) {
  if (arguments.empty()) return Error("ERR no command");
  const auto row = Commands::Table().find(arguments[0]);
  if (row == Commands::Table().end()) return Error("ERR unknown command '" + arguments[0] + "'");
  if (arguments.size() - 1 < row->second.arguments_min) {
    return Error("ERR wrong number of arguments for '" + arguments[0] + "' command");
  }
  return row->second.run(*this, arguments.subspan(1));
}

// arguments: the number of keys, the keys, the arguments.
StoreReply LuaStore::Eval(int function, std::span<const std::string> arguments) {
  lua_State* const lua = lua_.get();
  const std::optional<int64_t> keys = ToInteger(arguments[0]);
  if (!keys.has_value() || *keys < 0 || static_cast<std::size_t>(*keys) >= arguments.size()) {
    return Error("ERR Number of keys can't be greater than number of args");
  }
  SetStrings(lua, "KEYS", arguments.subspan(1, static_cast<std::size_t>(*keys)));
  SetStrings(lua, "ARGV", arguments.subspan(1 + static_cast<std::size_t>(*keys)));
  lua_rawgeti(lua, LUA_REGISTRYINDEX, function);
  const bool failed = lua_pcall(lua, 0, 1, 0) != 0;
  StoreReply reply = ReplyOf(lua);
  lua_pop(lua, 1);
  // A Lua error is a text, one of redis.call a table.
  if (failed && !reply.error()) reply = Error("ERR " + reply.text);
  return reply;
}

std::vector<std::string> TakeCommand(std::string_view& wire) {
  std::string_view rest = wire;
  const auto number = [&rest](char type) -> std::optional<int64_t> {
    const std::size_t end = rest.find("\r\n");
    if (end == std::string_view::npos || end == 0 || rest[0] != type) return std::nullopt;
    const std::optional<int64_t> value = ToInteger(rest.substr(1, end - 1));
    rest.remove_prefix(end + 2);
    return value;
  };
  std::vector<std::string> command;
  const int64_t count = number('*').value_or(0);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t size = number('$').value_or(-1);
    if (size < 0 || rest.size() < static_cast<std::size_t>(size) + 2) return {};
    command.emplace_back(rest.substr(0, static_cast<std::size_t>(size)));
    rest.remove_prefix(static_cast<std::size_t>(size));
    if (!rest.starts_with("\r\n")) return {};
    rest.remove_prefix(2);
  }
  wire = rest;
  return command;
}

}  // namespace weir::test
