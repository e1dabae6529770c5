"""A query with networks in it, said so that engines without them can run what is around."""

from __future__ import annotations

from dataclasses import dataclass

IMAGES, PREDICTIONS = "images", "predictions"
"""The table that has the images, and what the rows that were chosen are called with classes."""


@dataclass(frozen=True)
class Query:
    """A query in three parts, each of which an engine can be given alone.

    1. From `source`, which is whatever follows FROM, the columns `keys` and `image` are chosen.
    2. Each of the `networks`, by name of a built-in one, adds a column of its name: the class that
       it takes the image for.
    3. `answer` makes the result of these rows, the table `predictions`. It has an ORDER BY that
       leaves no two rows without an order.

    The SQL is what Presto's dialect and DuckDB's have in common. `tables` are those that `source`
    reads, IMAGES first; `meaning` says in words what is asked.
    """

    name: str
    meaning: str
    tables: tuple[str, ...]
    keys: tuple[str, ...]
    source: str
    networks: tuple[str, ...]
    answer: str

    @property
    def chosen(self) -> str:
        """The first part alone."""
        return f"SELECT {', '.join((*self.keys, 'image'))}\n  FROM {self.source}"

    def whole(self, call: str = "argmax({}(image))", predictions: str = "AS") -> str:
        """All of it as one query; `call` is how a network by the name {} gives a class.

        `predictions` is the word, or words, between the name of that part and its text.
        """
        calls = [f"{call.format(network)} AS {network}" for network in self.networks]
        columns = ",\n    ".join((", ".join(self.keys), *calls))
        return (
            f"WITH chosen AS (\n  {self.chosen}\n), {PREDICTIONS} {predictions} (\n"
            f"  SELECT {columns}\n  FROM chosen\n)\n{self.answer}"
        )

    @property
    def relational(self) -> str:
        """The query over a table IMAGES that has the networks' columns in place of images."""
        columns = ", ".join((*self.keys, *self.networks))
        part = f"  SELECT {columns}\n  FROM {self.source}"
        return f"WITH {PREDICTIONS} AS (\n{part}\n)\n{self.answer}"
