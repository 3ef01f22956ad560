#include "limiter/admin/status_html.h"

namespace weir {

// Of kStyle: a test says what it must be.
const char kStatusStyleHash[] = "sha256-Q/25hfvtkEOgTCryO8uoM2VnxxEyZVwXTx6IWf9QCuk=";

namespace {

constexpr char kStyle[] = R"css(
:root{color-scheme:light dark;--bg:#fff;--fg:#1b2127;--dim:#56616c;--line:#d5dbe1;--card:#f4f6f8;
--link:#0a58b5;--good:#176a38;--warn:#8a4b00;--bad:#b3161b;--on:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#11161b;--fg:#e4e9ee;--dim:#a0acb8;--line:#333d47;
--card:#1a2128;--link:#7db8ff;--good:#6ccf8e;--warn:#f0b35a;--bad:#ff8d88;--on:#11161b}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:80rem;padding:1rem;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;margin:0}h1 small{font-size:.9rem;font-weight:400;color:var(--dim)}
h2{font-size:1.15rem;margin:2rem 0 .5rem}
p{margin:.25rem 0}a{color:var(--link)}a:focus-visible,summary:focus-visible{outline:2px solid}
nav a{margin-right:1rem}.dim{color:var(--dim)}
.banner{background:var(--bad);color:var(--on);padding:.75rem 1rem;margin:1rem 0;font-weight:600}
.banner a{color:inherit}
.facts{display:flex;flex-wrap:wrap;gap:.5rem;margin:1rem 0}
.facts div{background:var(--card);border:1px solid var(--line);padding:.5rem .75rem;min-width:8rem;
flex:1}
dt{color:var(--dim);font-size:.85rem}dd{margin:0;font-size:1.2rem;font-variant-numeric:tabular-nums}
table{border-collapse:collapse;width:100%}
caption{text-align:left;color:var(--dim);padding:.25rem 0}
th,td{text-align:left;padding:.35rem .75rem .35rem 0;border-bottom:1px solid var(--line);
vertical-align:top}th{font-weight:600}th .dim{font-weight:400}
thead th{color:var(--dim);font-size:.85rem}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
meter{width:4rem;height:.8rem}
.tag{border:1px solid;padding:0 .35rem;font-size:.85rem;white-space:nowrap}
.good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}
code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:var(--card);border:1px solid var(--line);padding:.75rem;white-space:pre-wrap}
.cols{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(22rem,100%),1fr));gap:0 2rem}
@media(max-width:48rem){thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;
overflow:hidden}
table,tbody,tr,th,td,caption{display:block}tr{border-bottom:1px solid var(--line);padding:.4rem 0}
th,td,.n{border:0;padding:.1rem 0;text-align:left;white-space:normal}
td[data-name]::before{content:attr(data-name) " ";color:var(--dim)}}
)css";

}  // namespace

const char* StatusStyle() { return kStyle; }

}  // namespace weir
