"""The picture: bars of wall time, processor time and bytes, sources below each other. Readable on dark and light pages."""

from html import escape
from statistics import median

METRICS = (("wall", "wall time, s"), ("cpu", "processor time, s"), ("bytes", "bytes of all rungs, MB"))
NAMES = {"film": "Film", "slides": "Slides", "inset": "Slides with a moving inset"}
LABELS_W, PANEL_W, BAR_W, GAP = 200, 250, 165, 20
BAR_H, BAR_STEP, TOP, TITLE_H = 18, 26, 64, 34
WIDTH = LABELS_W + 3 * (PANEL_W + GAP)

STYLE = """\
text { font: 14px system-ui, sans-serif; fill: #1b1f24 }
.paper { fill: #ffffff } .heading { font-weight: 600 } .metric { fill: #59636e }
.lectern { fill: #0b6bcb } .same { fill: #6e7781 } .usual { fill: #a3abb3 } .shaka { fill: #b8860b }
text.strong { fill: #1b1f24; font-weight: 600 }
@media (prefers-color-scheme: dark) {
  text, text.strong { fill: #e6edf3 } .paper { fill: #0d1117 } .metric { fill: #9198a1 }
  .lectern { fill: #58a6ff } .same { fill: #9198a1 } .usual { fill: #656c76 } .shaka { fill: #d4a72c }
}"""


def value(source, side, metric):
    if metric == "bytes":
        return sum(rendition["bytes"] for rendition in source["made"][side].values()) / 1e6
    return median(cost[metric] for cost in source["costs"][side])


def figure(amount):
    return f"{amount:.0f}" if amount >= 100 else f"{amount:.1f}" if amount >= 1 else f"{amount:.2f}"


def picture(figures):
    drawn, said, y = [], [], TOP
    for at, (_, title) in enumerate(METRICS):
        drawn.append(f'<text class="metric" x="{LABELS_W + at * (PANEL_W + GAP)}" y="40">{title}</text>')
    for name, source in figures["sources"].items():
        sides = [side for side in source["labels"] if side in source["made"]]
        drawn.append(f'<text class="heading" x="16" y="{y + 14}">{NAMES[name]}</text>')
        y += TITLE_H
        for row, side in enumerate(sides):
            top = y + row * BAR_STEP
            strong = ' class="strong"' if side == "lectern" else ""
            drawn.append(f'<text{strong} x="16" y="{top + 14}">{escape(source["labels"][side])}</text>')
            for at, (metric, _) in enumerate(METRICS):
                amount, most = value(source, side, metric), max(value(source, other, metric) for other in sides)
                left, width = LABELS_W + at * (PANEL_W + GAP), max(2, BAR_W * amount / most)
                drawn.append(f'<rect class="{side}" x="{left}" y="{top}" width="{width:.1f}" height="{BAR_H}" rx="2"/>')
                drawn.append(f'<text{strong} x="{left + width + 6:.1f}" y="{top + 14}">{figure(amount)}</text>')
        for metric, title in METRICS:
            said.append(f"{NAMES[name]}, {title}: " + ", ".join(f"{source['labels'][side]} {figure(value(source, side, metric))}" for side in sides) + ".")
        y += len(sides) * BAR_STEP + 22
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" aria-labelledby="title desc">',
        '<title id="title">What encoding costs: Lectern beside its peers</title>',
        f'<desc id="desc">{escape(" ".join(said))}</desc>',
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="paper" width="{WIDTH}" height="{y}"/>',
        *drawn, "</svg>", "",
    ])
