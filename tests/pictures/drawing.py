"""A dashboard as a picture: the rooms of its panels, and in them what Prometheus answered. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import isfinite
from typing import Any, Final

COLUMN, ROW = 50, 20
"""Pixels of one column, of 24, and one row of Grafana's grid."""
COLOURS: Final = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22")
LEGEND: Final = 9
"""Lines of a panel that are named."""
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 26, 34
"""Room around a plot, in its panel."""
HEAD: Final = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"
 viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="10" fill="#333">
<rect width="{width}" height="{height}" fill="#fff"/>
<text x="10" y="20" font-size="15">{title}</text>
<text x="{right}" y="20" text-anchor="end" fill="#777">{about}</text>"""
FRAME: Final = '<rect x="2" y="2" width="{w}" height="{h}" rx="3" fill="#fafafa" stroke="#ddd"/>'


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a panel."""

    name: str
    points: Sequence[tuple[float, float]]
    """Seconds since the run began, and the value."""


def picture(board: Mapping[str, Any], lines: Mapping[int, Sequence[Line]], seconds: float, about: str) -> str:
    """The SVG of a dashboard whose panels, by id, show these lines."""
    places = [panel["gridPos"] for panel in board["panels"]]
    width = 24 * COLUMN
    height = 32 + ROW * max(place["y"] + place["h"] for place in places)
    head = HEAD.format(
        width=width,
        height=height,
        right=width - 10,
        title=escape(board["title"], quote=False),
        about=escape(about, quote=False),
    )
    rooms = [_room(panel, lines.get(panel["id"], ()), seconds) for panel in board["panels"]]
    return "\n".join([head, *rooms, "</svg>", ""])


def _room(panel: Mapping[str, Any], lines: Sequence[Line], seconds: float) -> str:
    place, unit = panel["gridPos"], panel["fieldConfig"]["defaults"]["unit"]
    w, h = place["w"] * COLUMN, place["h"] * ROW
    parts = [
        f'<g transform="translate({place["x"] * COLUMN},{32 + place["y"] * ROW})">',
        FRAME.format(w=w - 4, h=h - 4),
        f'<text x="10" y="18" font-weight="bold">{escape(panel["title"], quote=False)}</text>',
    ]
    shown = [line for line in lines if any(isfinite(value) for _, value in line.points)]
    if not shown:
        parts.append(f'<text x="{w / 2:g}" y="{h / 2 + 4:g}" text-anchor="middle" fill="#999">nothing</text>')
    elif panel["type"] == "stat":
        last = f'<text x="{w / 2:g}" y="{h / 2 + 14:g}" text-anchor="middle" font-size="30">'
        parts.append(f"{last}{_said(shown[0].points[-1][1], unit)}</text>")
    else:
        parts += _plot(shown, seconds, unit, w, h)
    return "\n".join([*parts, "</g>"])


def _plot(lines: Sequence[Line], seconds: float, unit: str, w: int, h: int) -> list[str]:
    top = max(value for line in lines for _, value in line.points if isfinite(value)) or 1.0
    across, down = (w - LEFT - RIGHT) / seconds, (h - TOP - BOTTOM) / top
    floor = h - BOTTOM
    rules = "".join(f"M{LEFT} {y:g}H{w - RIGHT}" for y in (TOP, (TOP + floor) / 2, floor))
    parts = [
        f'<path d="{rules}" stroke="#e4e4e4"/>',
        f'<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">{_said(top, unit)}</text>',
        f'<text x="{LEFT - 5}" y="{floor + 3}" text-anchor="end">0</text>',
        f'<text x="{LEFT}" y="{floor + 12}" fill="#999">0:00</text>',
        f'<text x="{w - RIGHT}" y="{floor + 12}" text-anchor="end" fill="#999">{_clock(seconds)}</text>',
    ]
    at = float(LEFT)
    for line, colour in zip(lines, COLOURS * (len(lines) // len(COLOURS) + 1), strict=False):
        points = [(LEFT + x * across, floor - y * down) for x, y in line.points if isfinite(y)]
        parts.append(f'<path d="{_path(points)}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    for line, colour in list(zip(lines, COLOURS, strict=False))[:LEGEND]:
        name = line.name or "value"
        if at + 5.6 * len(name) > w - RIGHT:
            break
        parts.append(f'<text x="{at:.0f}" y="{h - 9}" fill="{colour}">{escape(name, quote=False)}</text>')
        at += 5.6 * len(name) + 12
    return parts


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Without the points in the middle of what lies level."""
    kept = [
        point
        for before, point, after in zip([None, *points[:-1]], points, [*points[1:], None], strict=True)
        if before is None or after is None or not before[1] == point[1] == after[1]
    ]
    return "M" + "L".join(f"{x:.0f} {y:.1f}" for x, y in kept)


def _said(value: float, unit: str) -> str:
    match unit:
        case "s":
            return f"{value:.3g} s"
        case "ops":
            return f"{value:.3g}/s"
        case "percentunit":
            return f"{value * 100:.3g} %"
        case _:
            return f"{value:.4g}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
