"""Queries in SQL: what they give, against plain Python, and what is refused, with its place."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from exec import declared

import columnar_nn
from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError, InvalidDataError, InvalidPlanError, UsageError
from columnar_nn.functions.declared import vector_function


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    with declared.own_tables():
        yield


T = pa.table(
    {
        "id": [1, 2, 3, 4, None],
        "Label": pa.array([1, 0, 1, 1, 2], pa.uint8()),
        "x": pa.array([1.5, 2.5, None, -1.0, 0.0], pa.float32()),
        "s": ["a", "b", "a", None, "c"],
        "odd name": [1, 2, 3, 4, 5],
    }
)
U = pa.table(
    {"id": [1, 2, 2, 9], "name": ["one", "two", "zwei", "neun"], "l": [[1, 2], [3], [], None]}
)


ALONE = [(0.0, None), (None, 9)]
FULL = [(3, None, None), (4, -1.0, None), (9, None, "neun")]
DISTINCT = [(0, 1, 1), (1, 1, 2), (2, 1, 1)]
NOT = [("b",), ("a",), (None,), ("c",)]


def rows(text: str, **options: Any) -> list[tuple[Any, ...]]:
    found = columnar_nn.sql(text, t=T, u=U, **options)
    return list(zip(*(column.to_pylist() for column in found.columns), strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select ID from T where LABEL = 0", [(2,)]),
        ('select "odd name" + 1 from t where "odd name" > 4', [(6,)]),
        ("select x * 2 from t where x < 2 order by 1", [(-2.0,), (0.0,), (3.0,)]),
        ("select id from t order by s desc nulls first, id limit 2", [(4,), (None,)]),
        ("select id from t order by x limit 1 offset 1", [(None,)]),
        ("select s, count(*) from t group by s order by 2 desc, 1 limit 1", [("a", 2)]),
        ("select s, sum(id) from t group by 1 having count(*) > 1", [("a", 4)]),
        ("select sum(id) / count(id) from t", [(2,)]),
        ("select count(*), count(x), min(s) from t where id > 7", [(0, 0, None)]),
        ("select distinct Label from t order by 1", [(0,), (1,), (2,)]),
        ("select 1 as a union all select 2.5 order by a desc", [(2.5,), (1.0,)]),
        ("select 1 union select 1", [(1,)]),
        ("with a(k) as (select id + 1 from t) select count(k), min(k) from a", [(4, 2)]),
        ("with a as (select 1 as k), b as (select k + 1 as k from a) select * from b", [(2,)]),
        ("select z.k from (select id as k from t) as z where z.k = 3", [(3,)]),
        ("select name from t join u on t.id = u.id order by 1", [("one",), ("two",), ("zwei",)]),
        ("select t.id, name from t left join u on t.id = u.id where t.id = 3", [(3, None)]),
        ("select u.id, x from t right join u on t.id = u.id where u.id = 9", [(9, None)]),
        ("select id, name, x from t join u using (id) where name = 'two'", [(2, "two", 2.5)]),
        ("select a.id from t a join t b on a.id = b.id + 1 and a.x > b.x", [(2,)]),
        ("select x, u.id from t full join u on t.id = u.id where x = 0 or u.id = 9", ALONE),
        ("select id, x, name from t full join u using (id) where id > 2", FULL),
        ("select id from t right join u using (id) order by 1 desc limit 1", [(9,)]),
        ("select count(*) from t cross join u", [(20,)]),
        ("select count(*) from t, u", [(20,)]),
        ("select name from t, u where t.id = u.id and x > 2 order by 1", [("two",), ("zwei",)]),
        ("select t.id from t join u on t.id > u.id + 1 order by 1", [(3,), (4,), (4,), (4,)]),
        ("select x, u.id from t left join u on t.id > u.id + 2 where t.id = 1", [(1.5, None)]),
        (
            "select e, b.name from u a, unnest(l) as v(e), u b where b.id = e",
            [(1, "one"), (2, "two"), (2, "zwei")],
        ),
        ("select count(distinct s), sum(distinct label), count(distinct x) from t", [(3, 3, 4)]),
        ("select label, count(distinct s), count(s) from t group by 1 order by 1", DISTINCT),
        ("select count(distinct s), avg(distinct id) from t where id > 9", [(0, None)]),
        ("select id from t where exists (select 1 from u where u.id = t.id)", [(1,), (2,)]),
        ("select s from t where not exists (select * from u where id = t.id and name < 'p')", NOT),
        ("select id from t where id in (select id from u) order by 1", [(1,), (2,)]),
        ("select id from t where id not in (select id from u) order by 1", [(3,), (4,)]),
        (
            "select id, e, n from u cross join unnest(l) with ordinality as v(e, n) where n = 2",
            [(1, 2, 2)],
        ),
        (
            "select case when x > 0 then 'p' when x < 0 then 'n' end from t where id>2 order by 1",
            [("n",), (None,)],
        ),
        ("select cast(2.5 as bigint), nullif(1, 1), coalesce(null, 2)", [(3, None, 2)]),
        ("select try_cast('x' as bigint), try_cast('7' as bigint)", [(None, 7)]),
        ("select id from t limit 0", []),
        ("select null = null, null in (null), null between 1 and null", [(None, None, None)]),
        ("select * from (select null as n, 1 as m) as q order by n, m", [(None, 1)]),
        ("select id from t where id in (1, 3) and s like 'a%'; ", [(1,), (3,)]),
    ],
)
def test_rows(text: str, expected: list[tuple[Any, ...]]) -> None:
    assert rows(text) == expected
    assert rows(text, threads=2) == expected


def test_a_table_of_any_name_is_an_entry_of_a_dict() -> None:
    tables = {"networks": {"x": [1]}, "of-mine": {"x": [2]}}
    text = 'select n.x, m.x as y from networks n join "of-mine" m on n.x + 1 = m.x'
    assert columnar_nn.sql(text, tables).to_pydict() == {"x": [1], "y": [2]}
    assert columnar_nn.sql("select x from t", {"t": {"x": [1]}}, t={"x": [3]}).to_pydict() == {
        "x": [3]
    }
    for arguments in ({"networks": pa.table({"x": [1]})}, {"networks": "a.parquet"}):
        with pytest.raises(UsageError, match="networks are given by name, in a dict, not as"):
            columnar_nn.sql("select x from networks", **arguments)
    with pytest.raises(UsageError, match="tables are given by name, in a dict, not as Table"):
        columnar_nn.sql("select x from t", pa.table({"x": [1]}))


def test_a_star_numbers_names_that_are_there() -> None:
    found = columnar_nn.sql("select *, 1 as name from t join u on t.id = u.id", t=T, u=U)
    names = ["id", "Label", "x", "s", "odd name", "id 1", "name 1", "l", "name"]
    assert found.column_names == names
    again = columnar_nn.sql('select "id 1" from (select * from t join u on t.id = u.id)', t=T, u=U)
    assert again.column(0).to_pylist() == [1, 2, 2]


def test_a_stream_is_read_once() -> None:
    assert rows("select a from r", r=pa.table({"a": [1, 2]}).to_reader()) == [(1,), (2,)]
    with pytest.raises(UsageError, match="can be read once"):
        rows("select x.a from r x, r y", r=pa.table({"a": [1, 2]}).to_reader())


def test_frames_of_polars_with_categories() -> None:
    polars = pytest.importorskip("polars")
    values = {"k": [1, 2, 3], "c": ["x", None, "x"], "e": ["x", "y", "x"]}
    kinds = {"c": polars.Categorical, "e": polars.Enum(["x", "y"])}
    frame = polars.DataFrame(values, schema_overrides=kinds)
    found = rows("select c, e, count(*) from f join t on k = id group by 1, 2 order by 3", f=frame)
    assert found == [(None, "y", 1), ("x", "x", 2)]


@pytest.mark.parametrize("join", ["join", "left join", "right join", "full join"])
@pytest.mark.parametrize("on", ["g <> 0 and id = 4 / g", "id = 4 / g and g <> 0"])
def test_a_key_that_may_fail_is_guarded_by_other_conditions(join: str, on: str) -> None:
    groups = pa.table({"g": [0, 2, 1]})
    kept = {"join": 2, "left join": 5, "right join": 3, "full join": 6}
    assert len(rows(f"select id, g from t {join} groups on {on}", groups=groups)) == kept[join]


def test_half_precision_is_read_as_real() -> None:
    table = pa.table({"h": pa.array(np.float16([1.5, 2.5, 1.5]))})
    found = columnar_nn.sql("select h, count(*) as n from t group by h order by h", t=table)
    assert found.to_pydict() == {"h": [1.5, 2.5], "n": [2, 1]}


def test_parameters() -> None:
    assert rows("select id + ? from t where s = ? limit ?", parameters=[10, "a", 1]) == [(11,)]
    with pytest.raises(InvalidPlanError, match=r"no value .* parameter :a .*column 9"):
        rows("select :a", parameters={"b": 1})
    with pytest.raises(InvalidPlanError, match="a query is a text, not bytes"):
        columnar_nn.sql(b"select 1")  # type: ignore[arg-type]
    with pytest.raises(InvalidPlanError, match=r"a parameter holds what is no character.*column 8"):
        rows("select ?", parameters=["\ud800"])
    assert rows("select :a, :b from t where id = :a", parameters={"a": 2, "b": None}) == [(2, None)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "select lable from t",
            r"no column lable: did you mean Label\? .* 8: select ^lable",
        ),
        ("select t.idd from t", r"no column idd: .* \(line 1, column 8: select ^t.idd from t\)"),
        ("select id\nfrom tt", r"no table tt: did you mean t\? .* \(line 2, column 6: from ^tt\)"),
        ("select q.id from t", "no table q in FROM: .* column 8"),
        ("select id from t join u on t.id = u.id", "id may be t.id or u.id: say which .* column 8"),
        ("select id, s from t group by id", "s is neither grouped nor aggregated.*column 12"),
        ("select id from t where count(*) > 1", "WHERE cannot hold an aggregate.* column 24"),
        ("select sum(max(id)) from t", "an aggregate of an aggregate"),
        ("select sum(s) from t", r"not supported: sum\(VARCHAR\).*column 8"),
        ("select id + s from t", r"not supported: plus\(BIGINT, VARCHAR\).*column 8"),
        ("select nope(id) from t", "no function nope: .* column 8: select ^nope"),
        ("select cas(id) from t", "no function cas"),
        ("select hard_shrnk(id) from t", "no function hard_shrnk"),
        ("select id from t where s", "WHERE is no condition, but string.*column 24"),
        ("select id, id from t", "two columns are called id: name one with AS.*column 12"),
        ("select id from t order by 2", "there is no column 2: SELECT gives 1.*column 27"),
        ("select id from t group by 7", "there is no column 7"),
        ("select count(*) from t group by 1", "column 1 is an aggregate"),
        ("select distinct id from t order by x", "ORDER BY a column that SELECT DISTINCT gives"),
        ("select t.id from t join u", "a join needs a condition: add ON"),
        ("select t.id from t cross join u on t.id = u.id", "CROSS JOIN has no condition"),
        ("select t.id from t left semi join u on t.id = u.id", "LEFT SEMI JOIN is not supported"),
        ("select t.id from t natural join u", "METHOD of a join is not supported"),
        ("select t.id from t, u join u v on v.id = t.id", "no table t in FROM: "),
        ("select count(distinct id, x) from t", "count takes one argument.*column 8"),
        ("select sin(distinct id) from t", "no attribute distinct|no function sin"),
        ("select id from u order by l", r"cannot sort by ARRAY<BIGINT> .*column 27"),
        ("select l, id from u order by 1", r"cannot sort by ARRAY<BIGINT> "),
        ("select l from u union all select l from u order by l", r"cannot sort by ARRAY"),
        ("select count(*) from u group by l", r"cannot group by ARRAY<BIGINT> .*column 33"),
        ("select distinct l from u", r"DISTINCT of l, which holds ARRAY<BIGINT>: .*column 17"),
        ("select l from u union select l from u", "column l of a UNION holds ARRAY<BIGINT>"),
        ("select id from u where l = l", r"not supported: eq\(ARRAY<BIGINT>.*column 24"),
        ("select id from u where l in (l)", r"not supported: in\(ARRAY<BIGINT>.*column 24"),
        ("select '\ud800' from t", "this is no character .*column 9"),
        ("  insert into t values (1)", "INSERT is not supported: only SELECT is .*column 3"),
        ("select count(distinct l) from u", r"count\(DISTINCT ...\) does not take ARRAY"),
        ("select sum(id) over (order by id) from t", "WINDOW is not supported"),
        ("select * from t where exists (select 1)", "EXISTS needs an equality with a column"),
        ("select * from t where exists (select 1 from u where u.x = t.id)", "no column x"),
        ("select * from t where exists (select 1 from u limit 2)", "LIMIT of EXISTS is not supp"),
        ("select * from t where x > 1 or exists (select 1 from u)", "EXISTS is not supported in"),
        ("select (select 1) from t", "SUBQUERY is not supported"),
        ("select id from t limit -1", "LIMIT takes a number of rows"),
        ("select id from t fetch first 2 rows only", "FETCH is not supported: use LIMIT"),
        ("select id from t group by rollup(id)", "GROUP BY takes columns and expressions only"),
        ("select id from t tablesample bernoulli (10)", "SAMPLE of a table is not supported"),
        ("select 1 union all select 1, 2", "2 columns in a UNION with one of 1"),
        ("select 1 union all select 'a'", "column _col0 of a UNION is int64 and string: cast one"),
        ("select 1 intersect select 1", "INTERSECT is not supported: only SELECT is"),
        ("with recursive a as (select 1) select * from a", "RECURSIVE of WITH is not supported"),
        ("drop table t", "DROP is not supported: only SELECT is"),
        ("explain select 1", "EXPLAIN is not supported: only SELECT is"),
        ("select id from t; select 1", "one query at a time"),
        ("select id from t where id = ?", "no value is given for parameter number 1.*column 29"),
        ("select plain9(id) from t", "plain9 takes images of 3x32x32, not int64.*column 8"),
        ("select plain9(x, id) from t", r"plain9 takes 1 argument\(s\), .*, not 2"),
        ("select to_tensor(s, shape => array[2]) from t", "which holds no images"),
        ("select decode_image(s, shape => array[3, 2, 2]) from t", "takes PNG or JPEG files"),
        (
            "select id from t where id in (select id, name from u)",
            "of IN gives one column",
        ),
        (
            "select 'abc",
            "a quotation, .* does not end .* column 8: select ^'abc",
        ),
        ("select id from", "it ends too early|expected"),
        ("", "the SQL text is empty"),
        ("select " + "(" * 5000 + "1" + ")" * 5000, "nested too deeply"),
        ("select 99999999999999999999", "is no number of 64 bits"),
    ],
)
def test_refused_in_one_line_with_its_place(text: str, message: str) -> None:
    pattern = re.compile(message.replace("^", r"\^"))
    with pytest.raises(InvalidPlanError) as caught:
        columnar_nn.sql(text, t=T, u=U)
    line = str(caught.value)
    assert pattern.search(line), line
    assert "\n" not in line


@pytest.fixture(scope="module")
def photos() -> pa.Table:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
    return pa.table({"id": range(40), "image": tensor_column.from_numpy(pixels)})


@pytest.fixture(scope="module")
def logits(photos: pa.Table) -> np.ndarray:
    """plain9's, from a plan that is built without SQL."""
    net = columnar_nn.network(columnar_nn.load_network("plain9"), "image")
    plan = columnar_nn.PlanBuilder().table_scan(photos).project({"logits": net}).plan()
    (chunk,) = columnar_nn.prepare(plan).run().to_table().column("logits").chunks
    return tensor_column.to_numpy(chunk)


def test_a_network_is_a_function(photos: pa.Table, logits: np.ndarray) -> None:
    predicted = np.argmax(logits, axis=1)
    expected: dict[int, int] = {}
    for row, kind in enumerate(predicted.tolist()):
        if row < 30:
            expected[kind] = expected.get(kind, 0) + 1
    found = columnar_nn.sql(
        "select argmax(plain9(image)) as predicted, count(*) as n from t where id < 30 "
        "group by 1 having count(*) > 0 order by n desc, predicted",
        t=photos,
    )
    assert list(zip(*found.to_pydict().values(), strict=True)) == sorted(
        expected.items(), key=lambda item: (-item[1], item[0])
    )


def test_a_network_in_a_condition_and_in_an_order(photos: pa.Table, logits: np.ndarray) -> None:
    predicted = np.argmax(logits, axis=1)
    kind = int(predicted[0])
    found = columnar_nn.sql(
        "select id from t where argmax(plain9(image)) = ? order by argmax(plain9(image)), id desc",
        t=photos,
        parameters=[kind],
    )
    assert (
        found.column("id").to_pylist() == [int(i) for i in np.flatnonzero(predicted == kind)][::-1]
    )


@pytest.mark.parametrize("kind", ["binary", "list", "fixed", "large", "float"])
def test_images_of_other_types_become_tensors(
    kind: str, photos: pa.Table, logits: np.ndarray
) -> None:
    (chunk,) = photos.column("image").chunks
    pixels = tensor_column.to_numpy(chunk)
    flat = list(pixels.reshape(len(pixels), -1))
    column = {
        "binary": lambda: pa.array([image.tobytes() for image in pixels], pa.binary()),
        "list": lambda: pa.array(flat, pa.list_(pa.uint8())),
        "fixed": lambda: pa.array(flat, pa.list_(pa.uint8(), 3072)),
        "large": lambda: pa.array(flat, pa.large_list(pa.uint8())),
        "float": lambda: pa.array(list((pixels / 255).astype(np.float32).reshape(40, -1))),
    }[kind]()
    found = columnar_nn.sql("select plain9(x) as z from t", t=pa.table({"x": column}))
    (made,) = found.column("z").chunks
    close = np.allclose(tensor_column.to_numpy(made), logits, rtol=1e-5, atol=1e-4)
    assert close if kind == "float" else np.array_equal(tensor_column.to_numpy(made), logits)


def test_a_declared_function_takes_attributes_by_name() -> None:
    @vector_function("shrink_for_sql", lambd=0.5)
    def shrink(x, lambd):  # type: ignore[no-untyped-def]
        return x if x > lambd or x < -lambd else 0.0

    values = np.float32([[0.6, -0.7, 0.9, 0.1]])
    table = pa.table({"x": tensor_column.from_numpy(values)})
    for call, least in (("shrink_for_sql(x)", 0.5), ("shrink_for_sql(x, lambd => 0.75)", 0.75)):
        (found,) = columnar_nn.sql(f"select {call} as y from t", t=table).column("y").to_pylist()
        expected = np.where(np.abs(values[0]) > least, values[0], 0)
        assert np.array_equal(np.float32(found), expected)
    with pytest.raises(InvalidPlanError, match=r"no attribute lambda: it has lambd .*column 36"):
        columnar_nn.sql("select shrink_for_sql(x, lambda => 1) from t", t=table)


def test_a_scalar_function_of_ones_own() -> None:
    @columnar_nn.scalar_function("half_for_sql")
    def half(x: float) -> float:
        return x / 2

    assert rows("select half_for_sql(x) from t where half_for_sql(x) > 1") == [(1.25,)]
    with pytest.raises(InvalidPlanError, match=r"half_for_sql.VARCHAR.*column 8"):
        rows("select half_for_sql(s) from t")


def test_networks_by_name(photos: pa.Table) -> None:
    mine = columnar_nn.load_network("plain9")
    found = columnar_nn.sql(
        "select mine(image) as a, plain9(image, output => ?) as b from t",
        networks={"mine": mine},
        parameters=[mine.outputs[0].name],
        t=photos,
    )
    assert found.column("a").equals(found.column("b"))
    with pytest.raises(UsageError, match="network 'm' is int: give a graph, a name or a path"):
        columnar_nn.sql("select 1", networks={"m": 3})  # type: ignore[dict-item]
    with pytest.raises(UsageError, match="there is a function of that name"):
        columnar_nn.sql("select 1", networks={"relu": mine})
    with pytest.raises(InvalidPlanError, match="plain9 has one attribute, output => "):
        columnar_nn.sql("select plain9(image, x => 1) from t", t=photos)


def test_a_shared_network_is_one_expression(photos: pa.Table) -> None:
    plan = columnar_nn.sql_plan(
        "select argmax(plain9(image)) as a, softmax(plain9(image)) as b from t", t=photos
    )
    assert columnar_nn.to_text(plan).count("conv1.weight") == 1


def test_null_images_are_told() -> None:
    table = pa.table({"x": pa.array([b"\0" * 3072, None])})
    with pytest.raises(InvalidDataError, match="1 null"):
        columnar_nn.sql("select plain9(x) from t", t=table)
    found = columnar_nn.sql("select argmax(plain9(x)) as p from t where x is not null", t=table)
    assert found.num_rows == 1


def test_numbers_of_different_types_meet_in_the_wider_one() -> None:
    (row,) = rows("select x + id, x = 1.5, id in (1.0, 2), if(id = 1, x, 2) from t where id = 1")
    assert row == (2.5, True, True, 1.5)
    assert math.isclose(row[0], 2.5)


def test_an_error_from_a_table_names_it() -> None:
    with pytest.raises(CnnBenchError, match=r"table t: no such file: nope.parquet"):
        columnar_nn.sql("select 1 from t", t="nope.parquet")


def test_a_run_loads_neither_the_parser_nor_pandas() -> None:
    """They would take longer than the network; pyarrow loads pandas to make a scalar."""
    program = (
        "import sys; from adapters.columnar_backend import ColumnarBackend; "
        "import columnar_nn as cnn, pyarrow as pa, numpy as np; "
        "t = pa.table([cnn.from_numpy(np.zeros((2, 3, 32, 32), np.uint8))], ['image']); "
        "net = cnn.network_outputs(cnn.load_network('plain9'), 'image'); "
        "plan = cnn.PlanBuilder().table_scan(t).project({'image': 'image', **net}).plan(); "
        "cnn.prepare(plan).run().to_table(); sys.exit(len({'sqlglot', 'pandas'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
