"""Small plots as inline SVG: axes with labels and units, colours from the page's style sheet.

Every text is escaped here. Coordinates are in a 360 x 250 view that scales with its column, so that labels
stay readable on a telephone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360.0, 250.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 20.0, 12.0, 44.0


@dataclass(frozen=True)
class Axis:
    """Title and range of one axis; `percent` writes 0..1 as 0..100 %."""

    title: str
    low: float
    high: float
    percent: bool = False


@dataclass(frozen=True)
class Line:
    """A polyline; `style` is a class of the style sheet (line, guide)."""

    xs: Sequence[float]
    ys: Sequence[float]
    style: str = "line"


def plot(label: str, x: Axis, y: Axis, body: str) -> str:
    """A framed plot with grid and ticks; `label` is what a screen reader says."""
    parts = []
    for value in ticks(x):
        at = px(x, value)
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(_text(at, HEIGHT - BOTTOM + 15, tick_text(x, value), "middle"))
    for value in ticks(y):
        at = py(y, value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(_text(LEFT - 6, at + 4, tick_text(y, value), "end"))
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x.title, "middle", "axis"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turn = f' transform="rotate(-90 11 {middle})"'
    parts.append(_text(11, middle, y.title, "middle", "axis", turn))
    frame = (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}">'
    )
    return frame + "".join(parts) + body + "</svg>"


def lines(x: Axis, y: Axis, series: Sequence[Line]) -> str:
    """Polylines over the axes."""
    drawn = []
    for one in series:
        points = " ".join(f"{px(x, a):.1f},{py(y, b):.1f}" for a, b in zip(one.xs, one.ys, strict=True))
        drawn.append(f'<polyline class="{one.style}" points="{points}"/>')
    return "".join(drawn)


def dots(x: Axis, y: Axis, xs: Sequence[float], ys: Sequence[float], radius: float = 2.2) -> str:
    """A scatter; dots outside the axes are left out."""
    shown = [(a, b) for a, b in zip(xs, ys, strict=True) if x.low <= a <= x.high and y.low <= b <= y.high]
    return "".join(
        f'<circle class="dot" cx="{px(x, a):.1f}" cy="{py(y, b):.1f}" r="{radius}"/>' for a, b in shown
    )


def whiskers(x: Axis, y: Axis, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> str:
    """A vertical interval at each x."""
    return "".join(
        f'<line class="whisker" x1="{px(x, a):.1f}" x2="{px(x, a):.1f}" '
        f'y1="{py(y, low):.1f}" y2="{py(y, high):.1f}"/>'
        for a, low, high in zip(xs, lows, highs, strict=True)
    )


def columns(x: Axis, y: Axis, edges: Sequence[float], counts: Sequence[float]) -> str:
    """A histogram."""
    base = py(y, 0.0)
    return "".join(
        f'<rect class="bar" x="{px(x, a) + 0.5:.1f}" width="{max(0.5, px(x, b) - px(x, a) - 1):.1f}" '
        f'y="{py(y, count):.1f}" height="{max(0.0, base - py(y, count)):.1f}"/>'
        for a, b, count in zip(edges, edges[1:], counts, strict=False)
    )


def bars(label: str, rows: Sequence[tuple[str, float, float | None]], title: str) -> str:
    """Horizontal bars: (name, value, error or None); long names are cut, the whole name is a tooltip."""
    step, left, right, top = 22.0, 128.0, 14.0, 6.0
    height = top + step * len(rows) + 40
    reach = [value + (error or 0) for _, value, error in rows]
    axis = Axis(title, min(0.0, *(value - (error or 0) for _, value, error in rows)), max([*reach, 1e-12]))
    span = WIDTH - left - right

    def at(value: float) -> float:
        return left + span * (value - axis.low) / (axis.high - axis.low)

    parts = []
    bottom = top + step * len(rows)
    for value in ticks(axis, 4):
        parts.append(
            f'<line class="grid" x1="{at(value):.1f}" x2="{at(value):.1f}" y1="{top}" y2="{bottom}"/>'
        )
        parts.append(_text(at(value), bottom + 14, tick_text(axis, value), "middle"))
    for index, (name, value, error) in enumerate(rows):
        y = top + step * index
        start, end = sorted((at(0.0), at(value)))
        parts.append(
            f'<rect class="bar" x="{start:.1f}" width="{max(0.8, end - start):.1f}" '
            f'y="{y + 4:.1f}" height="13"/>'
        )
        if error is not None:
            parts.append(
                f'<line class="whisker" x1="{at(value - error):.1f}" x2="{at(value + error):.1f}" '
                f'y1="{y + 10.5:.1f}" y2="{y + 10.5:.1f}"/>'
            )
        short = name if len(name) <= 19 else name[:18] + "…"
        parts.append(f"<g><title>{escape(name)}</title>{_text(left - 6, y + 14.5, short, 'end', 'name')}</g>")
    parts.append(_text(left + span / 2, height - 8, title, "middle", "axis"))
    return (
        f'<svg class="plot" role="img" aria-label="{escape(label)}" viewBox="0 0 {WIDTH:.0f} {height:.0f}">'
        + "".join(parts)
        + "</svg>"
    )


def px(axis: Axis, value: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - axis.low) / (axis.high - axis.low)


def py(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - axis.low) / (axis.high - axis.low)


def ticks(axis: Axis, about: int = 5) -> list[float]:
    """Round values inside the axis: steps of 1, 2 or 5 times a power of ten."""
    raw = (axis.high - axis.low) / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw * 0.999)
    first = math.ceil(axis.low / step - 1e-9)
    last = math.floor(axis.high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_text(axis: Axis, value: float) -> str:
    if axis.percent:
        return f"{100 * value:.3g} %"
    size = max(abs(axis.low), abs(axis.high))
    for limit, unit in ((1e9, "bn"), (1e6, "m"), (1e4, "k")):
        if size >= limit:
            return f"{value / (limit if unit != 'k' else 1e3):.3g}{unit}" if value else "0"
    return f"{value:.4g}"


def _text(x: float, y: float, text: str, anchor: str, style: str = "tick", extra: str = "") -> str:
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(text)}</text>'
    )
