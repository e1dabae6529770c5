"""HTML of tables, bars and trees, that needs nothing beside it and follows a notebook's colours.

Whatever is put into an element is escaped unless it is an element itself: names come from anyone's
file. There is no script, and what is folded away needs none.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from columnar_nn.errors import printable

Item = TypeVar("Item")

STYLE = """
.columnar-nn{font:13px/1.45 system-ui,sans-serif;color:inherit;overflow-x:auto}
.columnar-nn h4{font:inherit;font-weight:600;margin:.6em 0 .2em}
.columnar-nn p{margin:.2em 0;opacity:.75}
.columnar-nn table{border-collapse:collapse;border:0;margin:.3em 0;font-size:inherit;
  font-variant-numeric:tabular-nums}
.columnar-nn th,.columnar-nn td{padding:.15em .7em;text-align:right;white-space:nowrap;border:0;
  border-bottom:1px solid rgba(128,128,128,.3);background:none;color:inherit;font-weight:400}
.columnar-nn thead th{font-weight:600}
.columnar-nn .text{text-align:left}
.columnar-nn .bar{min-width:8em;background-repeat:no-repeat;
  background-image:linear-gradient(rgba(70,130,220,.4),rgba(70,130,220,.4))}
.columnar-nn ul{list-style:none;margin:0 0 0 .4em;padding:0 0 0 1em;
  border-left:1px solid rgba(128,128,128,.4)}
.columnar-nn li{margin:.15em 0}
.columnar-nn summary{cursor:pointer}
.columnar-nn code{font:12px/1.4 ui-monospace,monospace;color:inherit;background:none;padding:0;
  white-space:pre-wrap;overflow-wrap:anywhere}
"""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(text: str) -> Html:
    """Any text as HTML; characters that are not printed are spelled out."""
    return text if isinstance(text, Html) else Html(html.escape(printable(text)))


def element(tag: str, *content: str, **attributes: str) -> Html:
    """An element; an attribute that is a word of Python's has `_` behind its name."""
    named = "".join(
        f' {name.rstrip("_")}="{html.escape(value)}"' for name, value in attributes.items()
    )
    return Html(f"<{tag}{named}>{''.join(map(escaped, content))}</{tag}>")


def page(title: str, *parts: str) -> Html:
    """All that a notebook shows of an object."""
    return element(
        "div", element("style", Html(STYLE)), element("h4", title), *parts, class_="columnar-nn"
    )


def note(text: str) -> Html:
    """A line of small print."""
    return element("p", text)


def folded(summary: str, *parts: str) -> Html:
    """Parts that are seen once their summary is clicked on."""
    return element("details", element("summary", summary), *parts)


def bar(text: str, share: float) -> Html:
    """A figure as a table's cell, behind which a bar has `share` of the width."""
    width = min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.0
    return element("td", text, class_="bar", style=f"background-size:{width:.1%} 100%")


def indented(text: str, depth: int) -> Html:
    """A text as a table's cell, that far to the right."""
    return element("td", text, class_="text", style=f"padding-left:{0.7 + 1.2 * depth:.1f}em")


def table(heading: Sequence[str], rows: Iterable[Sequence[str]], num_texts: int) -> Html:
    """A row a line, the first `num_texts` columns aligned left; cells are texts or cells."""

    def line(tag: str, cells: Sequence[str]) -> Html:
        made = []
        for index, cell in enumerate(cells):
            kind = {"class_": "text"} if index < num_texts else {}
            made.append(cell if isinstance(cell, Html) else element(tag, cell, **kind))
        return element("tr", *made)

    body = (line("td", row) for row in rows)
    return element("table", element("thead", line("th", heading)), element("tbody", *body))


def tree(root: Item, text: Callable[[Item], str], below: Callable[[Item], Sequence[Item]]) -> Html:
    """An item and, under it, those below it."""

    def branch(item: Item) -> Html:
        under = [branch(each) for each in below(item)]
        return element("li", text(item), *([element("ul", *under)] if under else []))

    return element("ul", branch(root))
