"""Draws docs/figures/*.svg from what the simulator measures.

    python3 bench/figures.py [path of weir_sim]     default: build/release/weir_sim

Runs `weir_sim --experiment timeline` and `--experiment demand`, in simulated time, so that the
figures are the same on every machine. Their colours are of middle brightness and they have no
background: they are read on white and on black.
"""

import csv
import io
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FIGURES = ROOT / "docs" / "figures"
BYTES_MAX = 20_000

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 16, 78, 46
GREY, BLUE, ORANGE, GREEN, RED, PURPLE = (
    "#7d8590", "#3b82d6", "#d97a16", "#2a9d6f", "#dc4a5e", "#966fd6")


class Axis:
    """Values to pixels. `ticks`: the values that are labelled; the first and last are the ends."""

    def __init__(self, title, ticks, log=False, text=str):
        self.title, self.ticks, self.log, self.text = title, ticks, log, text

    def part(self, value):
        """0 at the first tick, 1 at the last; values beyond them are drawn at the end."""
        low, high = self.ticks[0], self.ticks[-1]
        value = min(max(value, low), high)
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)


class Chart:
    """One picture: axes, lines, and a legend above them."""

    def __init__(self, title, across, up):
        self.across, self.up = across, up
        self.legend_x, self.legend_y = LEFT, 42
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif" font-size="12" fill="{GREY}">',
            f"<title>{title}</title>",
            f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{title}</text>']
        self.axes()

    def x(self, value):
        return LEFT + self.across.part(value) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        return HEIGHT - BOTTOM - self.up.part(value) * (HEIGHT - TOP - BOTTOM)

    def axes(self):
        right, low = WIDTH - RIGHT, HEIGHT - BOTTOM
        for value in self.up.ticks:
            y = self.y(value)
            self.parts.append(f'<path d="M{LEFT} {y:.1f}H{right}" stroke="{GREY}" '
                              'stroke-opacity=".3"/>')
            self.parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">'
                              f"{self.up.text(value)}</text>")
        for value in self.across.ticks:
            x = self.x(value)
            self.parts.append(f'<path d="M{x:.1f} {low}v4" stroke="{GREY}"/>')
            self.parts.append(f'<text x="{x:.1f}" y="{low + 17}" text-anchor="middle">'
                              f"{self.across.text(value)}</text>")
        middle = (TOP + low) / 2
        self.parts.append(f'<text x="{(LEFT + right) / 2:.0f}" y="{HEIGHT - 8}" '
                          f'text-anchor="middle">{self.across.title}</text>')
        self.parts.append(f'<text transform="translate(14 {middle:.0f}) rotate(-90)" '
                          f'text-anchor="middle">{self.up.title}</text>')

    def line(self, name, points, colour, dashes="", width=2):
        pixels = thinned([(self.x(a), self.y(b)) for a, b in points])
        style = f'stroke="{colour}" stroke-width="{width}" fill="none"'
        if dashes:
            style += f' stroke-dasharray="{dashes}"'
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in pixels)
        self.parts.append(f'<path d="M{path}" {style} stroke-linejoin="round"/>')
        self.legend(name, style)

    def legend(self, name, style):
        width = 44 + round(6.3 * len(name))
        if self.legend_x + width > WIDTH - RIGHT:
            self.legend_x, self.legend_y = LEFT, self.legend_y + 18
        x, y = self.legend_x, self.legend_y
        self.parts.append(f'<path d="M{x} {y - 4}h22" {style}/>')
        self.parts.append(f'<text x="{x + 27}" y="{y}">{name}</text>')
        self.legend_x += width

    def save(self, name):
        text = "\n".join(self.parts + ["</svg>"]) + "\n"
        if len(text) > BYTES_MAX:
            raise SystemExit(f"{name} has {len(text)} bytes")
        FIGURES.mkdir(parents=True, exist_ok=True)
        (FIGURES / name).write_text(text, encoding="utf-8")
        print(f"docs/figures/{name}: {len(text)} bytes")


def thinned(pixels):
    """Without the points that lie within half a pixel of the line through those that stay."""
    if len(pixels) < 3:
        return pixels
    (x0, y0), (x1, y1) = pixels[0], pixels[-1]
    length = math.hypot(x1 - x0, y1 - y0) or 1
    away = [abs((x1 - x0) * (y0 - y) - (x0 - x) * (y1 - y0)) / length for x, y in pixels]
    most = max(range(len(pixels)), key=away.__getitem__)
    if away[most] < 0.5:
        return [pixels[0], pixels[-1]]
    return thinned(pixels[:most + 1])[:-1] + thinned(pixels[most:])


def measured(weir_sim, experiment):
    """The rows of an experiment, numbers as numbers."""
    ran = subprocess.run([weir_sim, "--experiment", experiment, "--csv"], check=True,
                         stdout=subprocess.PIPE, text=True)
    rows = list(csv.DictReader(io.StringIO(ran.stdout)))
    for row in rows:
        for column, value in row.items():
            try:
                row[column] = float(value)
            except ValueError:
                pass
    return rows


def admitted(rows):
    limit = rows[0]["limit"]
    chart = Chart(
        f"Ten nodes share {limit:,.0f} per second: a flash crowd, then twice the limit",
        Axis("seconds", [1, 2, 3, 4, 5, 6, 7, 8]),
        Axis("hits admitted in the last second", [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000],
             text=lambda hits: f"{hits:,}"))
    for scheme, name, colour, dashes in (
            ("local_count", "local counts, synced every 100 ms", RED, ""),
            ("static_split", "static split", PURPLE, ""),
            ("shared_store", "Weir, exact", GREEN, ""),
            ("shared_store_leased", "Weir, leased", BLUE, "")):
        points = [(row["time_s"], row["admitted"]) for row in rows
                  if row["scheme"] == scheme and row["time_s"] >= 1]
        chart.line(name, points, colour, dashes)
    chart.line("limit", [(1, limit), (8, limit)], GREY, "6 4", 1.5)
    chart.save("admitted.svg")


ALGORITHMS = (("token_bucket", "token bucket", BLUE), ("sliding_window", "sliding window", ORANGE),
              ("fixed_window", "fixed window", GREEN))


def by_demand(rows, title, up, value, name):
    across = Axis("demand over the limit (three nodes, 2,000 per second)",
                  [0.1, 0.2, 0.5, 1, 2, 5, 10, 20], log=True)
    chart = Chart(title, across, up)
    for mode, dashes in (("leased", ""), ("exact", "5 4")):
        for algorithm, label, colour in ALGORITHMS:
            points = [(row["demand"], value(row)) for row in rows
                      if row["algorithm"] == algorithm and row["mode"] == mode]
            chart.line(f"{label}, {mode}", points, colour, dashes)
    chart.save(name)


def main():
    weir_sim = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "release" / "weir_sim")
    admitted(measured(weir_sim, "timeline"))
    rows = measured(weir_sim, "demand")
    by_demand(rows, "Calls of the store for each decision",
              Axis("calls per decision", [0.0001, 0.001, 0.01, 0.1, 1], log=True),
              lambda row: row["calls"], "calls.svg")
    by_demand(rows, "Decisions answered at once; all others waited for one call of the store",
              Axis("share answered at once", [0, 0.2, 0.4, 0.6, 0.8, 1],
                   text=lambda share: f"{share:.0%}"),
              lambda row: 1 - row["waits"], "answered_at_once.svg")


if __name__ == "__main__":
    main()
