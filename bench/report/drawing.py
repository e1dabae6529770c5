"""Charts as SVG, the same bytes from run to run, and the scripts that make them interactive."""

from __future__ import annotations

import copy
import html
import re
from collections.abc import Mapping
from typing import Any

from bench.report import palette

LEGEND_COLUMN = "legend_column"
"""Name of the pixels that an entry of a chart's legend needs, in its `usermeta`."""

WIDE, NARROW = 660, 300
"""Pixels a static chart's plot is wide: on a screen or paper, and on a telephone."""


def svg(spec: Mapping[str, Any], title: str, width: int = WIDE) -> str:
    """A chart without scripts; colours change with the reader's theme where `dark_style` is.

    The same bytes whenever it is drawn: coordinates are rounded to hundredths of a pixel.
    """
    import vl_convert

    drawn = copy.deepcopy(dict(spec))
    drawn["width"] = width
    drawn["config"]["legend"]["columns"] = max(1, width // drawn["usermeta"][LEGEND_COLUMN])
    text = str(vl_convert.vegalite_to_svg(drawn)).strip()
    font = html.escape(drawn["config"]["font"], quote=False)
    text = _IDLE.sub("", text.replace(f' font-family="{font}"', ""))
    opening = f'<svg role="img" aria-label="{html.escape(title)}" font-family="{font}" '
    return re.sub(r"(?<=\d\.\d\d)\d+", "", text).replace("<svg ", opening, 1)


_IDLE = re.compile(
    r' opacity="1"| pointer-events="none"| aria-hidden="true"| class="background"'
    r'| aria-roledescription="[^"]*"| role="graphics-[a-z]+"'
    r'|<path class="foreground"[^>]* display="none"/>'
)
"""What Vega writes at every element and nobody needs."""


def standalone(drawing: str) -> str:
    """A drawing as a file of its own, on light and dark pages."""
    opening, _, rest = drawing.partition(">")
    dark = f"<style>@media (prefers-color-scheme:dark){{{dark_style('')}}}</style>"
    return f"{opening}>{dark}{rest}\n"


def dark_style(scope: str) -> str:
    """CSS that turns the palette's colours within `scope` into those of a dark page."""
    return "".join(
        f'{scope}[{kind}="{light}"]{{{kind}:{dark}}}'
        for light, dark in palette.DARK.items()
        for kind in ("fill", "stroke")
    )


def scripts() -> str:
    """Vega, Vega-Lite, Vega-Embed as one script that makes no request."""
    import vl_convert

    bundle: Any = vl_convert.javascript_bundle  # its stub asks for a snippet, which it needs not
    return str(bundle())
