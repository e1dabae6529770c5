"""SQL texts with anything wrong in them: rows, or one line that says why not."""

from __future__ import annotations

import random
from pathlib import Path

from fuzz.outcome import MEBIBYTE, emptied, problem
from queries.random_query import query, tables

import columnar_nn

MEMORY = 512 * MEBIBYTE

_PIECES = (
    *("select", "from", "where", "group by", "order by", "having", "limit", "union all", "join"),
    *(
        "on",
        "using",
        "(",
        ")",
        ",",
        ".",
        "*",
        "'",
        '"',
        "::",
        "=>",
        "[",
        "]",
        "?",
        ":x",
        "--",
        "/*",
    ),
    *(
        "case",
        "when",
        "then",
        "end",
        "in",
        "between",
        "like",
        "escape",
        "is",
        "not",
        "null",
        "cast",
    ),
    *("over", "distinct", "with", "as", "unnest", "lateral", "array", "row", "interval", "exists"),
    *("t", "u", "t.a", "s", "count(*)", "sum(d)", "plain9(a)", "relu(d)", "decode_image(s)"),
    *("1", "-1", "1e9", "9223372036854775808", "0.5", "x'ff'", "\0", "\n", "é", "\ud7ff", ";"),
)


def broken(text: str, chance: random.Random) -> str:
    """The text with some words gone, doubled, swapped or replaced."""
    words = text.split(" ")
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(words))
        way = chance.randrange(5)
        if way == 0:
            words[place] = chance.choice(_PIECES)
        elif way == 1:
            words.insert(place, chance.choice(_PIECES))
        elif way == 2 and len(words) > 1:
            del words[place]
        elif way == 3:
            words[place : place + 3] = words[place : place + 3] * 2
        else:
            word = words[place]
            cut = chance.randrange(len(word) + 1)
            words[place] = word[:cut] + chance.choice(_PIECES) + word[cut:]
    return " ".join(words)


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the text of a seed ends; it is kept in `folder`."""
    chance = random.Random(seed)
    text = broken(query(seed).whole, chance)
    (emptied(folder) / "query.sql").write_text(text, encoding="utf-8", errors="backslashreplace")
    given = tables(seed % 17)
    return problem(lambda: columnar_nn.sql(text, **given), MEMORY)
