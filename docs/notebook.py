# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Queries with networks in them
#
# A network is a function, images are a column, and the query around them is SQL. This notebook runs
# plain9 over the photographs that cnn-bench ships, asks where it is wrong, and looks at what that
# cost. `make notebook` makes an .ipynb file of it; as a script it runs, too.

# %%
import polars as pl

import columnar_nn as cnn
from bench.data.dataset import open_dataset

photos = open_dataset("photo10")
photos

# %% [markdown]
# ## The network
# Its layers, their shapes, their parameters, and where the multiplications are.

# %%
network = cnn.load_network("plain9")
network

# %% [markdown]
# ## A query
# Which photographs are taken for which others? The names of the classes are a frame of polars.

# %%
names = pl.DataFrame({"label": range(10), "name": photos.classes})
query = """
    WITH seen AS (SELECT label, argmax(plain9(image)) AS predicted FROM photos)
    SELECT t.name AS photograph, p.name AS taken_for, count(*) AS n
    FROM seen JOIN names t ON seen.label = t.label JOIN names p ON seen.predicted = p.label
    WHERE seen.label <> seen.predicted
    GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 5
"""
confused = pl.DataFrame(cnn.sql(query, photos=photos, names=names))
confused

# %% [markdown]
# ## The plan
# SQL is bound to a plan, which can also be built by hand. Lines that are long unfold.

# %%
best = cnn.argmax(cnn.network(network, "image"))
plan = (
    cnn.PlanBuilder()
    .table_scan(photos)
    .filter("id < 500")
    .project({"label": "label", "predicted": best})
    .aggregate(["label", "predicted"], ["count(1) AS n"])
    .order_by(["n DESC", "label", "predicted"])
    .plan()
)
plan

# %% [markdown]
# `prepare` rewrites it (the network becomes one pipeline of kernels) and compiles it.

# %%
executable = cnn.prepare(plan, threads=2)
executable

# %% [markdown]
# ## What it cost
# A task that has run shows its plan as EXPLAIN ANALYZE would: bars are shares of the time.

# %%
task = executable.run(profile=True)
counts = task.to_table()
task

# %%
slowest = task.stats().steps_table().select(["label", "kernel", "nanoseconds"])
pl.DataFrame(slowest).sort("nanoseconds", descending=True).head(3)

# %% [markdown]
# ## A function of one's own
# How sure is the network? Python, compiled, is a function of SQL.


# %%
@cnn.vector_function("margin", shape=lambda shape: (1,))
def margin(x, out):
    first = -1.0
    second = -1.0
    for i in range(x.shape[0]):
        if x[i] > first:
            second = first
            first = x[i]
        elif x[i] > second:
            second = x[i]
    out[0] = first - second


# %%
sure = cnn.sql(
    "SELECT id, label, margin(softmax(plain9(image))) AS margin FROM photos", photos=photos
)
margins = cnn.to_numpy(sure["margin"])[:, 0]
pl.DataFrame(sure.select(["id", "label"])).with_columns(margin=margins).sort("margin").head(5)
