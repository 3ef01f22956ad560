"""The debug pages over HTTP and in headless Chromium: inert, self-contained, narrow, themes."""

import json

import pytest

import program
from conftest import RULES, SCRIPT

PAGES = ("/", "/?refresh=5", "/top",
         "/top?k=100&domain=%3Cscript%3Ewindow.pwned%3D1%3C%2Fscript%3E")
# What can be read of text on its ground, after WCAG 2.1 (relative luminance, contrast ratio).
CONTRASTS = """(() => {
  const part = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * part(c[0]) + 0.7152 * part(c[1]) + 0.0722 * part(c[2]);
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const [a, b] = [light(colour(getComputedStyle(e).color)), light(ground(e))];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    });
})()"""


@pytest.mark.parametrize("path", PAGES)
def test_the_page_is_inert_and_asks_for_nothing_else(weir, browser, path):
    browser.open(weir.admin + path)
    assert browser.requests == [weir.admin + path]
    assert browser.complaints == []
    assert browser.evaluate("typeof window.pwned") == "undefined"
    assert browser.evaluate("document.querySelectorAll("
                            "'script,img,iframe,link,object,form,[style],[onerror]').length") == 0
    # What was sent is there, as text.
    assert SCRIPT in browser.evaluate("document.body.innerText")


def test_a_page_that_runs_and_fetches_would_be_noticed(browser):
    browser.open("data:text/html,<img src=https://weir.invalid/x><script>window.pwned=1</script>")
    assert len(browser.requests) == 2
    assert browser.evaluate("typeof window.pwned") == "number"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("theme", ("light", "dark"))
def test_both_themes_can_be_read(weir, hidden, browser, theme, path):
    for server in (weir, hidden):
        browser.open(server.admin + path, theme=theme)
        red = browser.evaluate("+getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]")
        assert red > 200 if theme == "light" else red < 60
        assert min(browser.evaluate(CONTRASTS)) >= 4.5


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("width", (320, 400, 700, 1100))
def test_nothing_overflows(weir, browser, width, path):
    browser.open(weir.admin + path, width=width)
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.documentElement.clientWidth") == width


def test_the_page_has_a_structure(weir, browser):
    browser.open(weir.admin + "/")
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate("[...document.querySelectorAll('h2')].map(h => h.innerText)") == [
        "Rules", "Top keys", "Store", "Reloads", "Build and settings"]
    assert browser.evaluate("[...document.querySelectorAll('table')].every(t => t.caption"
                            " && t.tHead && [...t.querySelectorAll('th')].every(h => h.scope))")


def test_the_headers_are_strict(weir):
    for path in (*PAGES, "/rules", "/keys", "/config", "/reloads", "/rlconfig", "/stats", "/no"):
        _, headers, _ = weir.get(path)
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_programs_get_json(weir):
    status = json.loads(weir.get("/?format=json")[2])
    assert status["rules"][0]["decisions"] == 18
    assert status["rules"][0]["denied"] == 12
    assert json.loads(weir.get("/", accept="application/json")[2])["rules_count"] == 2
    top = json.loads(weir.get("/top?k=2&format=json")[2])["rules"]
    assert [len(rule["keys"]) for rule in top] == [2]
    assert top[0]["domain"] == SCRIPT
    assert json.loads(weir.get("/top?rule=other&format=json")[2]) == {"rules": []}
    assert json.loads(weir.get("/config?format=json")[2])["show-keys"]["value"] is True
    assert json.loads(weir.get("/rules")[2])["store"] == {"kind": "memory"}


def test_keys_are_hidden_unless_allowed(weir, hidden):
    listed = weir.get("/keys")
    assert listed[0] == 200 and f"user={SCRIPT}" in listed[2]
    assert weir.get("/keys?prefix=user%3Da")[2].count("\n") == 1
    assert hidden.get("/keys")[0] == 403
    for path in ("/", "/top", "/top?format=json", "/keys", "/?format=json"):
        assert "ada-is-private" not in hidden.get(path)[2], path
    assert "<code>" in hidden.get("/top")[2]


def test_secrets_are_masked(hidden):
    for path in ("/", "/config", "/config?format=json"):
        text = hidden.get(path)[2]
        assert "planted-secret" not in text and "(masked)" in text, path


def test_shadow_mode_is_loud(weir, hidden, browser):
    browser.open(hidden.admin + "/")
    assert "no limit is enforced" in browser.evaluate(
        "document.querySelector('[role=alert]').innerText")
    browser.open(weir.admin + "/")
    assert browser.evaluate("document.querySelector('[role=alert]')") is None


def test_a_refused_reload_is_in_the_history(weir):
    def reloads():
        return json.loads(weir.get("/reloads")[2])["reloads"]
    assert [r["in_force"] for r in reloads()] == [True]
    file = weir.running.rules / "hostile.yaml"
    file.write_text(RULES.replace("unit: hour", "unit: fortnight", 1))
    program.poll(lambda: len(reloads()) == 2, 60, "the reload")
    refused = reloads()[0]
    assert not refused["in_force"] and refused["rules"] == 2
    assert refused["errors"][0].startswith("config.hostile:4:") or \
        refused["errors"][0].startswith("hostile.yaml:4:")
    assert "stay in force" in weir.get("/")[2]
    file.write_text(RULES.replace("requests_per_unit: 1", "requests_per_unit: 2", 1))
    program.poll(lambda: len(reloads()) == 3, 60, "the reload")
    assert reloads()[0]["changed"]["count"] == 1
    assert reloads()[0]["added"]["count"] == reloads()[0]["removed"]["count"] == 0
    assert 'role="alert"' not in weir.get("/")[2]
