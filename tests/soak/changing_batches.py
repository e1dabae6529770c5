"""A program: many runs of changing batch sizes; prints resident memory in MiB as they go on."""

from __future__ import annotations

import random
import sys

import numpy as np
import psutil
from closeness import assert_close
from exec.networks import column, expected, images, residual_network
from soak.soaking import still_alive

from columnar_nn.data.arrow_source import from_batches
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

LARGEST = 300


def main() -> None:
    runs, threads, seed = map(int, sys.argv[1:])
    chance = random.Random(seed)
    graph, all_images = residual_network(), images(LARGEST)
    (logits,) = expected(graph, all_images, "logits")
    source = from_batches(all_images.schema, [])
    plan = PlanBuilder().table_scan(source).project({"y": network(graph)}).plan()
    process = psutil.Process()
    with prepare(plan, threads) as executable:
        for done in range(runs):
            still_alive()
            sizes = [chance.choice((1, 2, 3, 17, 64, chance.randint(1, LARGEST))) for _ in "ab"]
            batches = [all_images.slice(0, rows) for rows in sizes]
            table = executable.run({"0": batches}).to_table()
            wanted = np.concatenate([logits[:rows] for rows in sizes])
            assert_close(column(table, "y"), wanted, rtol=1e-4, atol=1e-4)
            if done % (runs // 20) == 0 or done == runs - 1:
                print(process.memory_info().rss / 2**20, flush=True)


if __name__ == "__main__":
    main()
