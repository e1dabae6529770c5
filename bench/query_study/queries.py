"""The built-in queries, in the SQL that Presto's dialect and DuckDB's have in common.

Where a query's shape fits, so that every engine can run all of it or its relational part: scans of
Parquet files, joins on equal keys, filters, networks over the image of a row, GROUP BY with count,
sum, avg, min and max of numbers, ORDER BY, LIMIT. Keys and numbers of the result are integers and
texts, so that rows of two engines are equal or not.
"""

from __future__ import annotations

from adapters.queries.query import Query
from columnar_nn.errors import UsageError

QUERIES = {
    query.name: query
    for query in (
        Query(
            name="confusion",
            meaning="what a network takes the images of five of the ten photographs for",
            tables=("images",),
            keys=("label",),
            source="images WHERE label < 5",
            networks=("plain9",),
            answer="SELECT label, plain9 AS predicted, count(*) AS images\n"
            "FROM predictions GROUP BY label, plain9 ORDER BY label, predicted",
        ),
        Query(
            name="sites",
            meaning="the ten sites with most errors of a network after the first week",
            tables=("images", "metadata"),
            keys=("label", "site"),
            source="images i JOIN metadata m ON i.id = m.id WHERE day > 7",
            networks=("plain9",),
            answer="SELECT site, count(*) AS images,\n"
            "  count(CASE WHEN plain9 <> label THEN 1 END) AS errors\n"
            "FROM predictions GROUP BY site ORDER BY errors DESC, site LIMIT 10",
        ),
        Query(
            name="agreement",
            meaning="how many images two networks agree on, and how many of these are right",
            tables=("images",),
            keys=("label",),
            source="images",
            networks=("plain9", "resnet20"),
            answer="SELECT label, count(*) AS agreed,\n"
            "  count(CASE WHEN plain9 = label THEN 1 END) AS correct\n"
            "FROM predictions WHERE plain9 = resnet20 GROUP BY label ORDER BY label",
        ),
    )
}
"""By name: filter, network and group; join, network and the first ten; two networks."""


def named(name: str) -> Query:
    """The query of that name; raises UsageError if there is none."""
    if name not in QUERIES:
        raise UsageError(f"--query {name!r}: choose from {', '.join(QUERIES)}")
    return QUERIES[name]
