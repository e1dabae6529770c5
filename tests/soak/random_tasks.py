"""A program: random plans on random numbers of threads, some left early, on several Python threads.

Every task that is read to its end must give the rows, and sums, of the images that went in.
"""

from __future__ import annotations

import random
import sys
import threading

from closeness import assert_close
from exec.networks import column, expected, images, residual_network
from soak.soaking import still_alive

from columnar_nn.exec import task_threads
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

GRAPH = residual_network()
IMAGES = images(200)
(LOGITS,) = expected(GRAPH, IMAGES, "logits")
USERS = 3


class User(threading.Thread):
    """Runs tasks of its own executables until all users have done enough together."""

    def __init__(self, seed: int, count: int) -> None:
        super().__init__(daemon=True)
        self.chance = random.Random(seed)
        self.count = count
        self.done = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            while self.done < self.count:
                self.use_an_executable()
        except BaseException as error:
            self.error = error

    def use_an_executable(self) -> None:
        chance = self.chance
        rows = [chance.randint(1, len(LOGITS)) for _ in range(chance.randint(1, 6))]
        batches = [IMAGES.slice(0, count) for count in rows]
        builder = PlanBuilder()
        if chance.random() < 0.3:
            cut = chance.randint(1, len(batches))
            parts = [part for part in (batches[:cut], batches[cut:]) if part]
            scans = [builder.new_builder().values(part) for part in parts]
            builder = builder.local_partition([scan.plan() for scan in scans])
        else:
            builder = builder.values(batches)
        if chance.random() < 0.5:
            builder = builder.local_partition()
        counts = chance.random() < 0.3
        builder = builder.project({"y": network(GRAPH), "id": "id"})
        if counts:
            builder = builder.aggregate([], ["count(1) AS n", "sum(id) AS ids"])
        plan = builder.plan()
        fusion = chance.choice(("none", "layer", "pipeline"))
        with prepare(plan, chance.randint(1, 4), fusion) as executable:
            for _ in range(min(chance.randint(1, 5), self.count - self.done)):
                still_alive()
                self.done += 1
                task = executable.run(profile=chance.random() < 0.2)
                if chance.random() < 0.2:
                    held = iter(task)
                    next(held)
                    del held
                    task.close()
                    continue
                table = task.to_table()
                if counts:
                    ids = sum(count * (count - 1) // 2 for count in rows)
                    assert table.to_pylist() == [{"n": sum(rows), "ids": ids}]
                    continue
                order = table.column("id").to_numpy()
                assert order.tolist() == [i for count in rows for i in range(count)]
                assert_close(column(table, "y"), LOGITS[order], rtol=1e-4, atol=1e-4)


def main() -> None:
    count, seed = map(int, sys.argv[1:])
    for short_stream_rows in (task_threads.SHORT_STREAM_ROWS, 0):  # one driver, and one a thread
        task_threads.SHORT_STREAM_ROWS = short_stream_rows
        users = [User(seed + index, count // USERS // 2 + 1) for index in range(USERS)]
        for user in users:
            user.start()
        for user in users:
            user.join()
            if user.error is not None:
                raise user.error
        print(sum(user.done for user in users), "tasks", flush=True)


if __name__ == "__main__":
    main()
