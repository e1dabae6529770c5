"""Rules of plans: what each does to a plan, and that the rows stay, whichever is left out."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from exec.networks import images, residual_network

from columnar_nn.exec import task_threads
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, Constant, Expression, argmax, column
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode, nodes
from columnar_nn.plan.rewrites import PLAN_RULES
from columnar_nn.plan.text import to_text

GRAPH = residual_network()
IMAGES = images(40)
CLASSES = pa.record_batch({"class": pa.array(range(10)), "name": [f"n{i}" for i in range(10)]})


def predicted() -> Expression:
    """A new expression of the same network whenever it is called."""
    return argmax(network(GRAPH, "image"))


def both(first: Expression, second: Expression) -> Expression:
    return Call("and", (first, second))


def compare(function: str, left: Expression, right: int) -> Expression:
    return Call(function, (left, Constant(right)))


def scan(builder: PlanBuilder | None = None) -> PlanBuilder:
    return (builder or PlanBuilder()).values(
        [IMAGES.slice(start, 10) for start in range(0, 40, 10)]
    )


def shape(plan: PlanNode) -> list[str]:
    """Names of the nodes, as the text lists them."""
    return [node.name for node in nodes(plan)]


def rewritten(builder: PlanBuilder, rule: str, threads: int = 1) -> Executable:
    """By one rule of plans alone, which has to say that it changed the plan."""
    others = set(PLAN_RULES) - {rule}
    executable = prepare(builder.plan(), threads, without=others)
    assert rule in executable.rules
    alone = prepare(builder.plan(), without=set(PLAN_RULES)).run().to_table()
    assert executable.run().to_table().to_pylist() == alone.to_pylist()
    assert executable.output_type == builder.plan().output_type
    return executable


def image_rows(executable: Executable) -> int:
    """Rows of which the kernels have computed a step, the most often computed one."""
    task = executable.run(profile=True)
    task.to_table()
    steps = [step.rows for step in task.stats().steps if "conv" in step.kernel]
    return sum(steps) // 2  # the network has two convolutions


def test_the_network_has_two_convolutions() -> None:
    executable = prepare(scan().project({"p": predicted()}).plan())
    assert image_rows(executable) == 40


def test_cheap_conditions_come_before_a_network_of_the_same_filter() -> None:
    builder = scan().filter(both(compare("lt", predicted(), 9), compare("lt", column("id"), 5)))
    executable = rewritten(builder, "filter_early")
    assert shape(executable.plan) == ["Filter", "Filter", "Values"]
    assert image_rows(executable) == 5


def test_cheap_conditions_go_below_projections_joins_groups_and_sorting() -> None:
    builder = scan().project({"id": "id + 0", "label": "cast(label as bigint)", "p": predicted()})
    right = builder.new_builder().values([CLASSES]).plan()
    builder.hash_join(["p"], ["class"], right, ["id", "label", "name"]).order_by(["id"])
    builder.aggregate(["label", "id", "name"], ["count() AS n"])
    builder.filter("label < 3 and id < 20 and n > 0 and name <> 'n9'")
    executable = rewritten(builder, "filter_early")
    above = ["Filter", "Aggregation", "OrderBy", "HashJoin", "Project"]
    assert shape(executable.plan)[:5] == above
    assert shape(executable.plan)[5:] == [*("Filter", "Filter", "Values"), *("Filter", "Values")]
    assert image_rows(executable) < 20


def images_beside_classes(condition: str | None = None, kind: str = "INNER") -> PlanBuilder:
    builder = scan()
    right = builder.new_builder().values([CLASSES]).plan()
    outputs = ["id", "label", "class", "name"]
    return builder.nested_loop_join(right, outputs, condition, kind)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "RIGHT", "FULL"])
def test_equalities_of_pairs_are_looked_up(kind: str) -> None:
    text = "cast(label as bigint) = class and id < 30 and name <> 'n2' and id > class"
    executable = rewritten(images_beside_classes(text, kind), "join_by_keys")
    assert shape(executable.plan) == ["HashJoin", "Project", "Values", "Values"]


def test_a_key_is_computed_where_it_may_fail() -> None:
    builder = images_beside_classes().filter("id = class + 1 and class < 4")
    executable = prepare(builder.plan())
    assert shape(executable.plan)[0] == "HashJoin"
    alone = prepare(builder.plan(), without=set(PLAN_RULES)).run().to_table()
    assert executable.run().to_table().to_pylist() == alone.to_pylist() != []


def test_conditions_of_joined_tables_become_keys() -> None:
    """As FROM a, b, c WHERE has them."""
    builder = images_beside_classes().project(["id", "cast(label as bigint) AS l", "class", "name"])
    again = builder.new_builder().values([CLASSES]).project(["class AS other"]).plan()
    builder.nested_loop_join(again).filter("l = class and class = other and other < 4 and id < 20")
    with prepare(builder.plan()) as executable:
        found = executable.run().to_table().to_pylist()
        assert shape(executable.plan).count("HashJoin") == 2
    alone = prepare(builder.plan(), without=set(PLAN_RULES)).run().to_table()
    assert found == alone.to_pylist() != []


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        ("INNER", ["Filter", "Values", "Filter", "Values"]),
        ("LEFT", ["Values", "Filter", "Values"]),
        ("RIGHT", ["Filter", "Values", "Values"]),
        ("FULL", ["Values", "Values"]),
        ("LEFT SEMI (FILTER)", ["Filter", "Values", "Filter", "Values"]),
        ("ANTI", ["Values", "Filter", "Values"]),
    ],
)
def test_conditions_of_one_side_of_a_join_are_asked_of_it(kind: str, asked: list[str]) -> None:
    builder = scan().project({"id": "id", "l": "cast(label as bigint)"}).local_partition()
    right = builder.new_builder().values([CLASSES]).plan()
    condition = "id < 30 and class > 2 and id > class"
    builder.hash_join(["l"], ["class"], right, ["id"], condition, kind)  # type: ignore[arg-type]
    builder.order_by(["id"])
    if kind == "FULL":
        assert "filter_early" not in prepare(builder.plan()).rules
        return
    executable = rewritten(builder, "filter_early")
    names = [name for name in shape(executable.plan) if name in ("Filter", "Values")]
    assert names == asked


def test_a_condition_on_what_an_outer_join_gives_stays_above_it() -> None:
    for kind in ("LEFT", "RIGHT", "FULL"):
        joined = images_beside_classes("id + 3 = class", kind)
        plan = joined.filter("id is null or class is null or id < 2 and class < 9").plan()
        plain = prepare(plan, without=set(PLAN_RULES)).run().to_table().to_pylist()
        assert prepare(plan).run().to_table().to_pylist() == plain != []


def test_a_condition_that_may_fail_passes_no_other() -> None:
    guarded = scan().filter("id <> 0").filter(compare("neq", predicted(), 99)).filter("10 / id > 0")
    executable = prepare(guarded.plan(), without=set(PLAN_RULES) - {"filter_early"})
    assert "filter_early" not in executable.rules
    assert executable.run().to_table().num_rows == 10


def test_a_limit_comes_before_a_network() -> None:
    builder = scan().project({"id": "id", "p": predicted()}).limit(3, 2)
    executable = rewritten(builder, "limit_early")
    assert shape(executable.plan) == ["Project", "Limit", "Values"]
    assert image_rows(executable) == 3


def test_the_first_rows_are_found_before_a_network() -> None:
    builder = scan().project({"number": "id", "p": predicted()}).order_by(["number DESC"]).limit(3)
    executable = rewritten(builder, "limit_early", threads=2)
    assert [name for name in shape(executable.plan) if name != "LocalPartition"] == [
        *("Project", "TopN", "TopN", "Values")
    ]
    assert image_rows(executable) == 3


def test_a_top_by_what_the_network_gives_stays() -> None:
    builder = scan().project({"id": "id", "p": predicted()}).top_n(["p", "id"], 3)
    executable = prepare(builder.plan(), without=set(PLAN_RULES) - {"limit_early"})
    assert shape(executable.plan) == ["TopN", "Project", "Values"]


def test_a_large_limit_leaves_the_network_to_all_threads() -> None:
    builder = scan().project({"p": predicted()}).limit(300)
    assert "limit_early" in prepare(builder.plan(), threads=1).rules
    assert "limit_early" not in prepare(builder.plan(), threads=2).rules


def test_what_nobody_asks_for_is_neither_computed_nor_read() -> None:
    builder = scan().project({"id": "id", "label": "cast(label as bigint)", "p": predicted()})
    right = builder.new_builder().values([CLASSES]).plan()
    builder.hash_join(["label"], ["class"], right).order_by(["id"])
    builder.aggregate(["label"], ["count() AS n", "max(id) AS most"]).project(["label", "n"])
    executable = rewritten(builder, "prune_columns")
    assert image_rows(executable) == 0
    columns = {node.id: node.output_type.names for node in nodes(executable.plan)}
    assert columns["0"] == ["id", "label"]
    assert columns["3"] == ["id", "label"]  # the join: id to sort by
    assert columns["2"] == ["class"]


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_counted_without_a_column(threads: int) -> None:
    builder = scan().project({"p": predicted()}).aggregate([], ["count() AS n"])
    executable = rewritten(builder, "prune_columns", threads)
    assert executable.run().to_table().to_pylist() == [{"n": 40}]
    assert image_rows(executable) == 0


def test_equal_calls_of_a_node_are_one() -> None:
    builder = scan().project({"p": predicted(), "q": predicted()})
    assert image_rows(prepare(builder.plan(), without=set(PLAN_RULES))) == 80
    assert image_rows(rewritten(builder, "share_networks")) == 40


def test_a_network_asked_for_again_above_a_filter_is_computed_once() -> None:
    builder = scan().filter(compare("lt", predicted(), 9))
    builder.project({"shared_0": "id", "p": predicted()})
    plain = prepare(builder.plan(), without=set(PLAN_RULES))
    executable = rewritten(builder, "share_networks")
    assert shape(executable.plan) == ["Project", "Filter", "Project", "Values"]
    assert image_rows(executable) == 40 < image_rows(plain)


def test_row_groups_outside_of_a_filter_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    ids = np.arange(1000)
    table = pa.table(
        {
            "id": ids,
            "short": pa.array(ids % 100, pa.int8()),
            "real": pa.array(np.where(ids % 7 == 0, np.nan, ids), pa.float32()),
            "text": [f"{i:04}" for i in ids],
            "nothing": pa.array([None] * 100 + [1] * 900),
        }
    )
    pq.write_table(table, path, row_group_size=100)
    read = {
        "id < 150": 200,
        "150 > id": 200,
        "id between 250 and 320": 200,
        "id >= 900 and short < 5": 100,
        "id = 500": 100,
        "text = '0123'": 100,
        "text > '0850'": 200,
        "real < 100.0": 200,
        "real > 900.5": 1000,  # NaN is greater
        "nothing = 1": 900,
        "id < -1": 0,
        "id + 1 < 5": 1000,
    }
    for condition, rows in read.items():
        plan = PlanBuilder().table_scan(path).filter(condition).plan()
        executable = prepare(plan)
        task = executable.run()
        expected = prepare(plan, without=set(PLAN_RULES)).run().to_table()
        assert repr(task.to_table().to_pylist()) == repr(expected.to_pylist()), condition
        assert task.stats().plan_node_stats()["0"].output_rows == rows, condition
    scan_text = to_text(prepare(PlanBuilder().table_scan(path).filter("id < 150").plan()).plan)
    assert "TableScan[0][table: hive_table, range filters: [id <= 150]]" in scan_text


def test_explain_shows_the_plan_before_and_after() -> None:
    executable = prepare(scan().project({"p": predicted()}).limit(1).plan())
    before, rules, after = executable.explain().split("\n\n")
    assert before.startswith("-- Limit[2][1] -> p:BIGINT\n  -- Project[1]")
    assert rules.startswith("rewritten by limit_early, prune_columns, ")
    assert after.startswith("-- Project[1]")
    plain = PlanBuilder().values([CLASSES]).limit(1)
    assert prepare(plain.plan()).explain() == to_text(plain.plan())


def filtered(chance: random.Random, builder: PlanBuilder) -> PlanBuilder:
    parts = [
        compare("lt", column("id"), chance.choice((5, 25, 39))),
        compare("neq", column("label"), chance.randrange(5)),
        compare("gt", predicted(), chance.randrange(4)),
        compare("lt", predicted(), 9),
    ]
    chosen = chance.sample(parts, chance.randint(1, 3))
    condition = chosen[0]
    for part in chosen[1:]:
        condition = both(condition, part)
    return builder.filter(condition)


def projected(chance: random.Random, builder: PlanBuilder) -> PlanBuilder:
    projections = {"id": column("id"), "label": column("label"), "image": column("image")}
    for name in ("p", "q")[: chance.randint(0, 2)]:
        projections[name] = predicted()
    return builder.project(projections)


def joined(chance: random.Random, builder: PlanBuilder) -> PlanBuilder:
    right = builder.new_builder().values([CLASSES]).filter("class < 7").plan()
    kind = chance.choice(("INNER", "LEFT", "LEFT SEMI (FILTER)", "ANTI"))
    return builder.hash_join(
        ["label"],
        ["class"],
        right,
        ["id", "label", "image"],
        None,
        kind,  # type: ignore[arg-type]
    )


STEPS: tuple[Callable[[random.Random, PlanBuilder], PlanBuilder], ...] = (
    filtered,
    filtered,
    projected,
    joined,
    lambda chance, builder: builder.order_by(["label", "id DESC"]),
    lambda chance, builder: builder.limit(chance.choice((3, 30)), chance.choice((0, 2))),
    lambda chance, builder: builder.top_n(["id DESC"], chance.choice((2, 20))),
    lambda chance, builder: builder.local_partition(),
)
ENDS: tuple[Callable[[PlanBuilder], PlanBuilder], ...] = (
    lambda builder: builder,
    lambda builder: builder.aggregate(["label"], ["count() AS n", "sum(id) AS s"]).order_by(
        ["label"]
    ),
    lambda builder: builder.aggregate([], ["count() AS n"]),
    lambda builder: builder.project({"p": predicted()}).aggregate(["p"], []).order_by(["p"]),
    lambda builder: builder.project(["label", "id"]).filter("id > 3"),
)


def random_plan(chance: random.Random) -> PlanBuilder:
    builder = PlanBuilder()
    if chance.random() < 0.3:
        parts = [filtered(chance, scan(builder.new_builder())) for _ in range(2)]
        builder.local_partition([part.plan() for part in parts])
    else:
        scan(builder)
    builder.project({"id": "id", "label": "cast(label as bigint)", "image": "image"})
    for step in chance.choices(STEPS, k=chance.randint(1, 4)):
        builder = step(chance, builder)
    return chance.choice(ENDS)(builder)


@pytest.mark.timeout(300, method="thread")
@pytest.mark.parametrize("first", range(6))
def test_the_rows_stay_whichever_rule_is_left_out(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(8 * first, 8 * first + 8):
        chance = random.Random(seed)
        plan = random_plan(chance).plan()
        expected = prepare(plan, without=set(PLAN_RULES)).run().to_table()
        for left_out in (set(), {chance.choice(list(PLAN_RULES))}):
            monkeypatch.setattr(task_threads, "SHORT_STREAM_ROWS", chance.choice((0, 256)))
            with prepare(plan, chance.randint(1, 2), without=left_out) as executable:
                found = executable.run().to_table()
            assert found.schema == expected.schema, f"seed {seed}"
            assert found.to_pylist() == expected.to_pylist(), f"seed {seed} without {left_out}"
