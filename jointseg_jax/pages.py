"""Reports as lists of blocks: one self-contained HTML page, or Markdown with the pictures beside it."""

import base64
import dataclasses
import html
import io
from collections.abc import Sequence
from typing import Any

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 1080px; margin: 2em auto; padding: 0 1em; color: #222;
overflow-wrap: break-word }
table { border-collapse: collapse; margin: .6em 0 } td, th { padding: .2em .7em; border-bottom: 1px solid #ddd;
text-align: left; white-space: nowrap; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
.bad, .good { padding: .6em 1em; border-radius: 4px } .bad { background: #fde8e8 } .good { background: #e8f5e9 }
figure { display: inline-block; max-width: 100%; margin: .3em .6em .3em 0 } img { max-width: 100% }
.drawn { overflow-x: auto } .drawn img { min-width: 640px } figcaption { font-size: 13px; color: #444 }
pre { background: #f5f5f5; padding: .6em 1em; overflow-x: auto }
@page { size: A4; margin: 14mm }
@media print { body { max-width: none; margin: 0; padding: 0; font-size: 10pt } figure, tr, pre { break-inside: avoid }
h1, h2, h3 { break-after: avoid } p:has(+ figure), p:has(+ .wide) { break-after: avoid }
.wide, .drawn, pre { overflow: visible } pre { white-space: pre-wrap } table { font-size: 8.5pt }
td, th { padding: .15em .5em } th { white-space: normal }
.drawn img { min-width: 0; max-height: 80mm } img { max-height: 240mm } }
"""


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading; level 2 for a section, 3 for a part of it."""

    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True)
class Paragraph:
    """A paragraph; `tone` "good" or "bad" stands out in colour."""

    text: str
    tone: str = ""


@dataclasses.dataclass(frozen=True)
class Items:
    """A list; nothing if it is empty."""

    lines: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Code:
    """Commands, as they are typed."""

    text: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of cells that are shown by `str`."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG picture.

    Attributes:
        png: the file's content.
        caption: says what is seen; also what a screen reader says.
        name: of the file that Markdown refers to.
        drawn: a chart, which keeps a width at which its letters can be read.
    """

    png: bytes
    caption: str
    name: str
    drawn: bool = False


Block = Heading | Paragraph | Items | Code | Table | Picture


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """One HTML page with everything inside; nothing is loaded from elsewhere."""
    head = (
        "<meta charset=utf-8><meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
    )
    parts = [f"<h1>{html.escape(title)}</h1>", *(_html(block) for block in blocks)]
    return "\n".join(["<!doctype html><html lang=en>", head, *(part for part in parts if part), "</html>", ""])


def _html(block: Block) -> str:
    text = html.escape
    match block:
        case Heading():
            return f"<h{block.level}>{text(block.text)}</h{block.level}>"
        case Paragraph():
            return f"<p{f' class={block.tone}' if block.tone else ''}>{text(block.text)}</p>"
        case Items():
            listed = "".join(f"<li>{text(line)}</li>" for line in block.lines)
            return f"<ul>{listed}</ul>" if listed else ""
        case Code():
            return f"<pre>{text(block.text)}</pre>"
        case Table():
            rows = "".join(_row(cells, "td") for cells in block.rows)
            return f"<div class=wide><table>{_row(block.head, 'th')}{rows}</table></div>"
        case Picture():
            data, alt = base64.b64encode(block.png).decode(), text(block.caption, quote=True)
            shown = f'<img src="data:image/png;base64,{data}" alt="{alt}">'
            return f"<figure{' class=drawn' if block.drawn else ''}>{shown}<figcaption>{alt}</figcaption></figure>"


def _row(cells: Sequence[Any], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def to_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The same as Markdown; pictures are links to files in its folder."""
    return "\n\n".join([f"# {title}", *(part for block in blocks if (part := _markdown(block)))]) + "\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Paragraph():
            return block.text
        case Items():
            return "\n".join(f"- {line}" for line in block.lines)
        case Code():
            return f"```\n{block.text}\n```"
        case Table():
            lines = [block.head, ["---"] * len(block.head), *block.rows]
            return "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |" for cells in lines)
        case Picture():
            return f"![{block.caption}]({block.name})"


def chart(figure: Any, caption: str, name: str) -> Picture:
    """A matplotlib figure as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100, metadata={"Software": None})
    return Picture(buffer.getvalue(), caption, name, drawn=True)
