#include "limiter/admin/status_html.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "limiter/admin/html.h"

namespace weir {
namespace {

std::string Head(const std::string& title, int refresh_s) {
  std::string html = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
  html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  if (refresh_s > 0) {
    absl::StrAppend(&html, "<meta http-equiv=\"refresh\" content=\"", refresh_s, "\">\n");
  }
  absl::StrAppend(&html, "<title>", EscapeHtml(title), "</title>\n<style>", StatusStyle(),
                  "</style>\n</head>\n<body>\n");
  return html;
}

constexpr char kTail[] = "</main>\n</body>\n</html>\n";

std::string Tag(const std::string& style, const std::string& text) {
  return absl::StrCat("<span class=\"tag ", style, "\">", EscapeHtml(text), "</span>");
}

// A cell of a table; `name` is that of its column, shown where the page is narrow.
std::string Cell(const std::string& name, const std::string& html) {
  return absl::StrCat("<td data-name=\"", name, "\">", html, "</td>");
}
std::string NumberCell(const std::string& name, const std::string& text) {
  return absl::StrCat("<td class=\"n\" data-name=\"", name, "\">", text, "</td>");
}

std::string Header(const std::vector<const char*>& names, std::size_t numbers_from) {
  std::string html = "<thead><tr>";
  for (std::size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&html, "<th scope=\"col\"", i >= numbers_from ? " class=\"n\"" : "", ">",
                    names[i], "</th>");
  }
  return html + "</tr></thead>\n";
}

std::string Banner(const std::string& html) {
  return absl::StrCat("<div class=\"banner\" role=\"alert\">", html, "</div>\n");
}

// What an operator must not overlook.
std::string Banners(const Status& status) {
  std::string html;
  if (!status.enforcement_off_domains.empty()) {
    const auto name = [](std::string* out, const std::string& domain) {
      out->append(domain == "*" ? "all domains" : IsolatedHtml(domain));
    };
    html += Banner(absl::StrCat("Enforcement is switched off for ",
                                absl::StrJoin(status.enforcement_off_domains, ", ", name),
                                ": denials are only counted, and answered OK."));
  }
  if (status.shadow_mode) {
    html += Banner(
        "Global shadow mode (shadow-mode): no limit is enforced; denials are only counted, and "
        "answered OK.");
  }
  if (!status.reloads.empty() && !status.reloads.front().in_force) {
    html += Banner(status.rules_count > 0
                       ? "The rules read last were refused; the ones before stay in force. See the "
                         "<a href=\"#reloads\">reload history</a>."
                       : "The rules were refused; none are in force.");
  }
  return html;
}

const char* StateStyle(const std::string& state) {
  if (state == "connected") return "good";
  return state == "suspect" ? "warn" : "bad";
}

std::string Facts(const Status& status) {
  double per_s = 0;
  double denied_per_s = 0;
  for (const RuleStatus& rule : status.rules) {
    per_s += rule.decisions_per_s;
    if (rule.decisions_per_s > 0) denied_per_s += rule.decisions_per_s * rule.denied_ratio;
  }
  std::string html = "<dl class=\"facts\">\n";
  const auto fact = [&](const std::string& name, const std::string& value) {
    absl::StrAppend(&html, "<div><dt>", name, "</dt><dd>", value, "</dd></div>\n");
  };
  fact("Rules in force", NumberText(static_cast<double>(status.rules_count)));
  fact("Decisions per second", NumberText(per_s));
  fact("Denied", per_s > 0 ? PercentText(denied_per_s / per_s) : "–");
  const StoreSummary& store = status.store;
  fact("Store", store.state.empty() ? EscapeHtml(store.kind)
                                    : absl::StrCat(EscapeHtml(store.kind), " <span class=\"",
                                                   StateStyle(store.state), "\">",
                                                   EscapeHtml(store.state), "</span>"));
  if (!store.state.empty()) {
    fact("Nodes", store.nodes > 0 ? NumberText(store.nodes) : "not known yet");
    fact("Failovers", NumberText(static_cast<double>(store.failovers)));
  }
  return html + "</dl>\n";
}

std::string ModeText(const RuleStatus& rule) {
  std::vector<std::string> tags;
  if (rule.unlimited) tags.push_back(Tag("dim", "unlimited"));
  if (!rule.unlimited)
    tags.push_back(Tag(rule.leased ? "good" : "dim", rule.leased ? "leased" : "exact"));
  if (rule.shadow) tags.push_back(Tag("warn", "shadow"));
  if (rule.quota) tags.push_back(Tag("warn", "quota"));
  std::string html = absl::StrJoin(tags, " ");
  if (!rule.exact_because.empty()) {
    absl::StrAppend(&html, " <span class=\"dim\">", EscapeHtml(rule.exact_because), "</span>");
  }
  return html;
}

std::string TopLink(const std::string& domain, const std::string& label) {
  return absl::StrCat("/top?domain=", EscapeQuery(domain), "&amp;rule=", EscapeQuery(label));
}

std::string RuleRow(const RuleStatus& rule) {
  const std::string name = rule.unlimited
                               ? IsolatedHtml(rule.label)
                               : absl::StrCat("<a href=\"", TopLink(rule.domain, rule.label), "\">",
                                              IsolatedHtml(rule.label), "</a>");
  std::string html = absl::StrCat("<tr><th scope=\"row\">", IsolatedHtml(rule.domain), " · ", name,
                                  "<br><span class=\"dim\">", EscapeHtml(rule.limit), "; ",
                                  EscapeHtml(rule.place), "</span></th>");
  html += Cell("mode", ModeText(rule));
  html +=
      NumberCell("decisions/s", rule.unlimited ? "not counted" : NumberText(rule.decisions_per_s));
  html += NumberCell("denied", PercentText(rule.denied_ratio));
  const auto leased = [&](uint64_t hits) {
    return rule.leased ? NumberText(static_cast<double>(hits)) : "–";
  };
  html += NumberCell("granted", leased(rule.sums.granted));
  html += NumberCell("live", leased(rule.sums.live()));
  html += NumberCell("admitted", leased(rule.sums.admitted));
  return html + "</tr>\n";
}

std::string Rules(const Status& status) {
  std::string html = "<section aria-labelledby=\"rules\">\n<h2 id=\"rules\">Rules</h2>\n";
  if (status.rules.empty()) return html + "<p>No rules are in force.</p>\n</section>\n";
  std::string caption = absl::StrCat(
      "Over the last ", DurationText(status.interval_ns),
      status.since_start ? ", since the start" : ", since an earlier look at this page",
      "; denied includes what shadow mode let pass. Leased hits are since the start.");
  if (status.rules.size() < status.rules_count) {
    absl::StrAppend(&caption, " The ", status.rules.size(), " busiest of ", status.rules_count,
                    " rules; <a href=\"/rules\">all</a>.");
  }
  absl::StrAppend(&html, "<table>\n<caption>", caption, "</caption>\n");
  html +=
      Header({"rule", "mode", "decisions/s", "denied", "leased: granted", "live", "admitted"}, 2);
  html += "<tbody>\n";
  for (const RuleStatus& rule : status.rules) html += RuleRow(rule);
  return html + "</tbody>\n</table>\n</section>\n";
}

std::string KeyTable(const TopKeys& top, bool show_keys, const std::string& caption) {
  std::string html = absl::StrCat("<table>\n<caption>", caption, "</caption>\n");
  html += Header({"key", "hits/min", "share", "denied"}, 1);
  html += "<tbody>\n";
  for (const KeyHits& key : top.keys) {
    const double share = top.hits > 0 ? key.hits / top.hits : 0;
    const std::string name =
        show_keys ? IsolatedHtml(key.text) : absl::StrCat("<code>", KeyDigits(key.key), "</code>");
    absl::StrAppend(
        &html, "<tr><th scope=\"row\">", name, "</th>",
        NumberCell("hits/min", NumberText(key.hits)),
        NumberCell("share", absl::StrFormat("<meter min=\"0\" max=\"1\" value=\"%.3f\"></meter> %s",
                                            share, PercentText(share))),
        NumberCell("denied", PercentText(key.hits > 0 ? key.denied / key.hits : 0)), "</tr>\n");
  }
  return html + "</tbody>\n</table>\n";
}

std::string KeysNote(bool show_keys) {
  return show_keys ? "<p class=\"dim\">Estimated from samples, faded over a minute.</p>\n"
                   : "<p class=\"dim\">Estimated from samples, faded over a minute. Keys are shown "
                     "as keyed hashes; <code>show-keys</code> shows their values.</p>\n";
}

std::string Top(const Status& status) {
  std::string html = "<section aria-labelledby=\"top\">\n<h2 id=\"top\">Top keys</h2>\n";
  html += KeysNote(status.show_keys) + "<div class=\"cols\">\n";
  bool any = false;
  for (const RuleStatus& rule : status.rules) {
    if (rule.top.keys.empty()) continue;
    any = true;
    html +=
        KeyTable(rule.top, status.show_keys,
                 absl::StrCat("<a href=\"", TopLink(rule.domain, rule.label), "\">",
                              IsolatedHtml(rule.domain), " · ", IsolatedHtml(rule.label), "</a>"));
  }
  html += "</div>\n";
  if (!any) html += "<p>None yet.</p>\n";
  return html + "</section>\n";
}

std::string StoreSection(const StoreSummary& store) {
  std::string html = "<section aria-labelledby=\"store\">\n<h2 id=\"store\">Store</h2>\n";
  if (store.state.empty()) {
    return html + "<p>In this process (" + EscapeHtml(store.kind) +
           "): limits hold for its callers.</p>\n</section>\n";
  }
  absl::StrAppend(&html, "<p>", EscapeHtml(store.kind), ", ",
                  Tag(StateStyle(store.state), store.state), ", shared by ",
                  store.nodes > 0 ? absl::StrCat(store.nodes) : "a number of nodes not known yet",
                  store.nodes == 1  ? " node, "
                  : store.nodes > 1 ? " nodes, "
                                    : ", ",
                  store.failovers, store.failovers == 1 ? " failover" : " failovers",
                  " since the start</p>\n<table>\n<caption>Primaries</caption>\n");
  html += Header({"address", "state"}, 2) + "<tbody>\n";
  for (const StoreSummary::Server& server : store.servers) {
    absl::StrAppend(&html, "<tr><th scope=\"row\">",
                    server.address.empty() ? "no address yet" : IsolatedHtml(server.address),
                    "</th>", Cell("state", Tag(StateStyle(server.state), server.state)), "</tr>\n");
  }
  return html + "</tbody>\n</table>\n</section>\n";
}

std::string Names(const std::string& sign, const RuleNames& rules) {
  if (rules.count == 0) return "";
  std::string html = "<br>";
  html += absl::StrJoin(rules.names, " ", [&](std::string* out, const std::string& name) {
    absl::StrAppend(out, "<code>", sign, IsolatedHtml(name), "</code>");
  });
  if (rules.names.size() < rules.count) {
    absl::StrAppend(&html, " and ", rules.count - rules.names.size(), " more");
  }
  return html;
}

std::string ReloadRow(const Reload& reload) {
  std::string html = absl::StrCat(
      "<tr><th scope=\"row\">", TimeText(reload.wall_ns), "</th>",
      Cell("result", reload.in_force ? Tag("good", "in force") : Tag("bad", "refused")));
  html += NumberCell("rules", NumberText(static_cast<double>(reload.rules)));
  std::string what;
  if (reload.in_force) {
    what = absl::StrCat("+", reload.added.count, " ~", reload.changed.count, " −",
                        reload.removed.count, " rules", Names("+", reload.added),
                        Names("~", reload.changed), Names("−", reload.removed));
  }
  for (const std::string& error : reload.errors) {
    absl::StrAppend(&what, what.empty() ? "" : "<br>", "<code>", EscapeHtml(error), "</code>");
  }
  if (reload.errors.size() < reload.errors_count) {
    absl::StrAppend(&what, "<br>and ", reload.errors_count - reload.errors.size(), " more errors");
  }
  return html + Cell("difference", what) + "</tr>\n";
}

std::string Reloads(const Status& status) {
  std::string html = "<section aria-labelledby=\"reloads\">\n<h2 id=\"reloads\">Reloads</h2>\n";
  if (status.reloads.empty()) return html + "<p>None yet.</p>\n</section>\n";
  absl::StrAppend(&html, "<table>\n<caption>The last ", ReloadHistory::kReloadsMax,
                  " times that rules were read, newest first</caption>\n<thead><tr>"
                  "<th scope=\"col\">time</th><th scope=\"col\">result</th>"
                  "<th scope=\"col\" class=\"n\">rules</th>"
                  "<th scope=\"col\">difference</th></tr></thead>\n<tbody>\n");
  for (const Reload& reload : status.reloads) html += ReloadRow(reload);
  return html + "</tbody>\n</table>\n</section>\n";
}

std::string Build(const Status& status) {
  std::string html =
      "<section aria-labelledby=\"build\">\n<h2 id=\"build\">Build and settings</h2>\n<p>";
  for (const auto& [name, value] : status.build) {
    absl::StrAppend(&html, EscapeHtml(name), " ", EscapeHtml(value), " &nbsp; ");
  }
  absl::StrAppend(&html,
                  "</p>\n<details>\n<summary>Settings in force, secrets masked</summary>\n<pre>",
                  EscapeHtml(status.settings), "</pre>\n</details>\n</section>\n");
  return html;
}

}  // namespace

std::string StatusHtml(const Status& status) {
  std::string html = Head("weir", status.refresh_s);
  absl::StrAppend(&html, "<header>\n<h1>Weir <small>", EscapeHtml(status.version),
                  "</small></h1>\n<p class=\"dim\">", TimeText(status.wall_ns), "; ",
                  status.refresh_s > 0
                      ? absl::StrCat("again every ", status.refresh_s, " s; <a href=\"/\">stop</a>")
                      : "<a href=\"/?refresh=5\">look again every 5 s</a>",
                  "</p>\n<nav aria-label=\"Other pages\"><a href=\"/rules\">/rules</a> "
                  "<a href=\"/top\">/top</a> <a href=\"/keys\">/keys</a> "
                  "<a href=\"/reloads\">/reloads</a> <a href=\"/config\">/config</a> "
                  "<a href=\"/rlconfig\">/rlconfig</a> <a href=\"/stats\">/stats</a></nav>\n"
                  "</header>\n<main>\n");
  absl::StrAppend(&html, Banners(status), Facts(status), Rules(status), Top(status),
                  StoreSection(status.store), Reloads(status), Build(status), kTail);
  return html;
}

std::string TopHtml(const std::vector<TopPage>& rules, bool show_keys, int refresh_s) {
  std::string html = Head("weir: top keys", refresh_s);
  absl::StrAppend(&html, "<header>\n<h1>Top keys</h1>\n<p><a href=\"/\">status</a></p>\n",
                  "</header>\n<main>\n", KeysNote(show_keys));
  if (rules.empty()) html += "<p>Nothing is known of the keys of such a rule.</p>\n";
  for (const TopPage& rule : rules) {
    absl::StrAppend(&html, "<h2>", IsolatedHtml(rule.domain), " · ", IsolatedHtml(rule.label),
                    "</h2>\n");
    html += KeyTable(rule.top, show_keys,
                     absl::StrCat("About ", NumberText(rule.top.hits), " hits in a minute"));
  }
  return html + kTail;
}

}  // namespace weir
