"""Random plans, unions of unions among them, against the same steps in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pytest

from columnar_nn.data.arrow_source import from_batches
from columnar_nn.exec import task_threads
from columnar_nn.exec.executable import prepare
from columnar_nn.plan.builder import PlanBuilder

SEEDS, SEEDS_EACH = range(8), 10
SCHEMA = pa.schema([("id", pa.int64()), ("kind", pa.int64())])
Row = tuple[int, "int | None"]


class Drawn(NamedTuple):
    """A plan, its rows, and whether they come in that order."""

    builder: PlanBuilder
    rows: list[Row]
    ordered: bool


def scan(chance: random.Random, builder: PlanBuilder) -> Drawn:
    batches, rows = [], list[Row]()
    for _ in range(chance.choice((0, 1, 2, 5, 12))):
        drawn = [
            (chance.randrange(1000), chance.choice((0, 1, 2, None)))
            for _ in range(chance.choice((0, 1, 3, 40, 257, 600)))
        ]
        columns = list(zip(*drawn, strict=True)) or [(), ()]
        arrays = [pa.array(column, pa.int64()) for column in columns]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
        rows += drawn
    if batches and chance.random() < 0.5:
        return Drawn(builder.values(batches), rows, True)
    return Drawn(builder.table_scan(from_batches(SCHEMA, batches)), rows, True)


def filtered(chance: random.Random, plan: Drawn) -> Drawn:
    return plan._replace(
        builder=plan.builder.filter("id % 3 = 1"), rows=[r for r in plan.rows if r[0] % 3 == 1]
    )


def projected(chance: random.Random, plan: Drawn) -> Drawn:
    builder = plan.builder.project({"id": "id + 1", "kind": "kind"})
    return plan._replace(builder=builder, rows=[(row + 1, kind) for row, kind in plan.rows])


def limited(chance: random.Random, plan: Drawn) -> Drawn:
    if not plan.ordered:
        return plan
    count, offset = chance.choice(((1, 0), (5, 2), (300, 0), (300, 100)))
    rows = plan.rows[offset : offset + count]
    return Drawn(plan.builder.limit(count, offset), rows, True)


def sort_key(row: Row) -> tuple[int, bool, int]:
    return -row[0], row[1] is None, row[1] or 0


def sorted_(chance: random.Random, plan: Drawn) -> Drawn:
    return Drawn(plan.builder.order_by(["id DESC", "kind"]), sorted(plan.rows, key=sort_key), True)


def grouped(chance: random.Random, plan: Drawn) -> Drawn:
    builder = plan.builder.aggregate(["kind"], ["sum(id) AS id"]).project(["id", "kind"])
    sums = Counter[int | None]()
    for row, kind in plan.rows:
        sums[kind] += row
    return Drawn(builder, [(total, kind) for kind, total in sums.items()], False)


def gathered(chance: random.Random, plan: Drawn) -> Drawn:
    return plan._replace(builder=plan.builder.local_partition())


STEPS: tuple[Callable[[random.Random, Drawn], Drawn], ...] = (
    *(filtered, projected, limited),
    *(sorted_, grouped, gathered),
)


def tree(chance: random.Random, root: PlanBuilder, depth: int) -> Drawn:
    """A scan, or a union of smaller trees; then some steps."""
    builder = root.new_builder()
    if depth == 0 or chance.random() < 0.3:
        plan = scan(chance, builder)
    else:
        parts = [tree(chance, root, depth - 1) for _ in range(chance.randint(1, 3))]
        builder.local_partition([part.builder.plan() for part in parts])
        rows = [row for part in parts for row in part.rows]
        plan = Drawn(builder, rows, all(part.ordered for part in parts))
    for step in chance.choices(STEPS, k=chance.randint(0, 3)):
        plan = step(chance, plan)
    return plan


@pytest.mark.timeout(120, method="thread")
@pytest.mark.parametrize("first", SEEDS)
def test_the_rows_are_those_of_plain_python(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(SEEDS_EACH * first, SEEDS_EACH * (first + 1)):
        chance = random.Random(seed)
        plan = tree(chance, PlanBuilder(), chance.randint(1, 3))
        monkeypatch.setattr(task_threads, "SHORT_STREAM_ROWS", chance.choice((0, 0, 256)))
        with prepare(plan.builder.plan(), chance.randint(1, 8)) as executable:
            for _ in range(2):
                if chance.random() < 0.2:  # an early end
                    batches = iter(executable.run())
                    next(batches, None)
                    del batches
                    continue
                table = executable.run(profile=chance.random() < 0.3).to_table()
                found = [(row["id"], row["kind"]) for row in table.to_pylist()]
                expected = plan.rows
                if not plan.ordered:
                    found, expected = sorted(found, key=sort_key), sorted(expected, key=sort_key)
                assert found == expected, f"seed {seed}"
