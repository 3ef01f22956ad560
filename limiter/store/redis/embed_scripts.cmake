# Writes the C++ file that holds the Lua scripts: cmake -D OUT=… -D SCRIPTS=a.lua,b.lua -P this.
# In the order of ScriptId (scripts.h). The SHA-1 is that of the text, as Redis names it.
string(REPLACE "," ";" SCRIPTS "${SCRIPTS}")
set(rows "")
foreach(path IN LISTS SCRIPTS)
  get_filename_component(name "${path}" NAME_WE)
  file(READ "${path}" text)
  file(SHA1 "${path}" sha1)
  string(APPEND rows "    {\"${name}\",\n     R\"lua(${text})lua\",\n     \"${sha1}\"},\n")
endforeach()
file(WRITE "${OUT}" "// Written from the .lua files by embed_scripts.cmake.
#include \"limiter/store/redis/scripts.h\"

#include <array>

namespace weir {
namespace {

constexpr std::array<Script, kScripts> kAll = {{
${rows}}};

}  // namespace

std::span<const Script> AllScripts() { return kAll; }

}  // namespace weir
")
