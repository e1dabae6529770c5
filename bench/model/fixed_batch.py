"""Networks that are tied to the batch size that they were exported with, and how they are run.

Such a network mixes the images of a batch (`columnar_nn.model.symbolic_batch`): every run of it
takes `Graph.batch` images, no more and no less.
"""

from __future__ import annotations

from collections.abc import Collection

from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph
from columnar_nn.model.symbolic_batch import tie


def batch_size(graph: Graph, asked: int, samples: Collection[int], option: str) -> int:
    """The images of a batch: `asked`, but of a tied network as many as it takes.

    Raises UsageError, naming the numbers that do, if one of `samples`, given as `option`, is no
    multiple of that.
    """
    if graph.batch is None:
        return asked
    wrong = [count for count in samples if count % graph.batch]
    if wrong:
        size = graph.batch
        numbers = sorted({max(1, -(-count // size)) * size for count in samples})
        raise UsageError(
            f"{option} {','.join(map(str, sorted(samples)))}: {graph.name} runs in batches of "
            f"{size} only, as exported ({tie(graph)}): give multiples of {size}, such as "
            f"{option} {','.join(map(str, numbers))}"
        )
    return graph.batch


def note(graph: Graph) -> str:
    """What to say of a tied network beside its results; empty of one that takes any batch."""
    if graph.batch is None:
        return ""
    return (
        f"the network does not keep the images of a batch apart ({tie(graph)}): run in batches of "
        f"{graph.batch}, as exported, and of no other size"
    )


def refuse(graph: Graph, command: str) -> None:
    """Raises UsageError for a tied network, which `command` cannot measure."""
    if graph.batch is not None:
        raise UsageError(
            f"{command} measures batches of many sizes, and {graph.name} runs in batches of "
            f"{graph.batch} only, as exported ({tie(graph)}): choose another network"
        )
