"""Curves over time as SVG, without a library: one row of the picture for each figure. Touches nothing."""

from collections.abc import Mapping, Sequence
from html import escape

# Colours that people with colour blindness can tell apart (Okabe and Ito).
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777")
WIDTH, ROW_HEIGHT = 900, 170
LEFT, RIGHT, TOP, BOTTOM = 70, 190, 24, 26
# A line of more points is wider than the picture.
POINTS_MAX = 600

Curve = Sequence[tuple[float, float]]


def svg(rows: Mapping[str, Mapping[str, Curve]]) -> str:
    """`rows`: by the title of a row, its curves by name, each of (minutes, value). The text of an SVG file."""
    height = ROW_HEIGHT * len(rows) or ROW_HEIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (title, curves) in enumerate(rows.items()):
        parts += _row(number * ROW_HEIGHT, title, curves)
    return "\n".join([*parts, "</svg>", ""])


def _row(top: int, title: str, curves: Mapping[str, Curve]) -> list[str]:
    points = [point for curve in curves.values() for point in curve]
    last = max((at for at, _ in points), default=0.0) or 1.0
    largest = max((value for _, value in points), default=0.0) or 1.0
    right, bottom = WIDTH - RIGHT, top + ROW_HEIGHT - BOTTOM
    wide, high = right - LEFT, bottom - top - TOP
    parts = [
        f'<text x="{LEFT}" y="{top + 15}" font-weight="bold">{escape(title)}</text>',
        f'<path d="M{LEFT} {top + TOP}V{bottom}H{right}" fill="none" stroke="#999999"/>',
        f'<text x="{LEFT - 6}" y="{top + TOP + 8}" text-anchor="end">{largest:.4g}</text>',
        f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>',
        f'<text x="{right}" y="{bottom + 15}" text-anchor="end">{last:.4g} min</text>',
    ]
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{LEFT + at / last * wide:.1f},{bottom - value / largest * high:.1f}" for at, value in _thinned(curve))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        parts.append(f'<text x="{right + 8}" y="{top + TOP + 9 + 14 * number}" fill="{colour}">{escape(name)}</text>')
    return parts


def _thinned(curve: Curve) -> Curve:
    step = max(1, -(-len(curve) // POINTS_MAX))
    return curve[::step]
