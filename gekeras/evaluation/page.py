"""The HTML of a report: text and pictures in, one page out that needs no other file and no script."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import NamedTuple

import numpy as np
from PIL import Image

MARK = "<!DOCTYPE html><!-- gekeras eval -->"  # begins a page, by which it is known again
WORST = 0.5  # |x_hat - x|, mean over the channels, that is white in an error map; pictures are in [-1, 1]
_STYLE = (
    "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:1400px;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}.scroll{overflow-x:auto}td,th{padding:.25em .7em;text-align:left;vertical-align:top}"
    ".scores td,.scores th{border-bottom:1px solid #ddd}.panel td,.panel th{padding:2px 3px;font-size:12px;color:#555}"
    ".panel img{width:92px;height:92px;image-rendering:pixelated;display:block}svg text{font:11px sans-serif;fill:#333}"
)


class Row(NamedTuple):
    """A picture of a panel: its name, captions, the pictures uint8 `[h, w, c]`, and error maps where there is one."""

    name: str
    captions: list[str]
    pictures: list[np.ndarray]
    errors: list[np.ndarray | None]


class Section(NamedTuple):
    """An evaluation: its table, the scores of single pictures by score and method, and panels under their headings."""

    title: str
    about: str
    titles: list[str]
    cells: list[list[str]]
    scores: dict[str, dict[str, list[float]]]
    columns: list[str]
    panels: dict[str, list[Row]]
    files: list[str]


def render(sections: list[Section], left_out: list[str]) -> str:
    """The page. What comes in as text is escaped here."""
    parts = [
        MARK,
        '<html lang="en"><head><meta charset="utf-8"/><title>Evaluation</title>',
        f"<style>{_STYLE}</style></head>",
    ]
    parts += ["<body><h1>Evaluation</h1>", *(f"<p>Left out: {escape(line)}</p>" for line in left_out)]
    parts += [_section(section) for section in sections]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _section(section: Section) -> str:
    links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in section.files)
    parts = [f"<h2>{escape(section.title)}</h2><p>{escape(section.about)} Files: {links}.</p>"]
    head, lines = _cells("th", section.titles), "".join(f"<tr>{_cells('td', line)}</tr>" for line in section.cells)
    parts += [f'<div class="scroll"><table class="scores"><tr>{head}</tr>{lines}</table></div>']
    parts += ["<h3>Scores of single pictures</h3><p>Box: quartiles and median; line: least to greatest.</p>"]
    parts += [_boxes(name, values) for name, values in section.scores.items()]
    parts += [_panel(name, section.columns, rows) for name, rows in section.panels.items()]
    return "\n".join(parts)


def _cells(tag: str, texts: list[str]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)


def _panel(title: str, columns: list[str], rows: list[Row]) -> str:
    lines = [f"<tr>{_cells('th', ['', *columns])}</tr>"]
    for row in rows:
        cells = [f"<td>{_image(p)}{escape(text)}</td>" for p, text in zip(row.pictures, row.captions)]
        lines += [f"<tr><th>{escape(row.name)}</th>{''.join(cells)}</tr>"]
        cells = [f"<td>{'' if error is None else _image(_map(error))}</td>" for error in row.errors]
        lines += [f"<tr><th>error<br/>0 black,<br/>{WORST:g} or more white</th>{''.join(cells)}</tr>"]
    return f'<h3>{escape(title)}</h3><div class="scroll"><table class="panel">{"".join(lines)}</table></div>'


def _map(error: np.ndarray) -> np.ndarray:
    return np.rint(255 * np.clip(error / WORST, 0, 1)).astype(np.uint8)[..., None]


def _image(picture: np.ndarray) -> str:
    data = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(data, "PNG", optimize=True)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}"/>'


def _boxes(title: str, series: dict[str, list[float]]) -> str:
    """A box plot as SVG, a line a method, from the least to the greatest of all values."""
    low, high = min(map(min, series.values())), max(map(max, series.values()))
    span, height = (high - low) or 1.0, 40 + 20 * len(series)
    parts = [f'<svg width="640" height="{height}" role="img"><text x="150" y="12">{escape(title)}</text>']
    for k, (name, values) in enumerate(series.items()):
        y = 30 + 20 * k
        a, q1, median, q3, b = (150 + 470 * (v - low) / span for v in np.percentile(values, (0, 25, 50, 75, 100)))
        parts += [
            f'<text x="142" y="{y + 4}" text-anchor="end">{escape(name)}</text>',
            f'<line x1="{a:.1f}" x2="{b:.1f}" y1="{y}" y2="{y}" stroke="#888"/>',
            f'<rect x="{q1:.1f}" y="{y - 6}" width="{q3 - q1:.1f}" height="12" fill="#cfe0f3" stroke="#356"/>',
            f'<line x1="{median:.1f}" x2="{median:.1f}" y1="{y - 6}" y2="{y + 6}" stroke="#123" stroke-width="2"/>',
        ]
    parts += [f'<text x="150" y="{height - 3}">{low:.4g}</text>']
    return "".join([*parts, f'<text x="620" y="{height - 3}" text-anchor="end">{high:.4g}</text></svg>'])
