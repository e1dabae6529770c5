"""What every way of saying a network in Velox's terms offers to the backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from adapters.velox.cross_join import CrossJoin
from adapters.velox.layers import Network
from adapters.velox.nested_lambda import NestedLambda
from adapters.velox.staged import Staged
from adapters.velox.task import VeloxTask

COPIED = "between tasks, columns are copied unchanged outside Velox"
ONE_DRIVER = "one driver, whatever the number of threads"


class Formulation(Protocol):
    """A network bound to plans, vectors and tables."""

    def prepare(self, images: int) -> None:
        """Does ahead what batches of `images` uint8 images need once."""

    def run(self, images: np.ndarray) -> list[tuple[str, VeloxTask]]:
        """Computes the network for images [N, C, H, W] (uint8 or float32).

        Returns its tasks, each with the name of what it computed.
        """

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run: float32 [N, ...], in the graph's order."""

    def close(self) -> None:
        """Releases files and buffers."""


@dataclass(frozen=True)
class Kind:
    """A formulation that can be asked for by name, and what is to be said of it."""

    description: str
    algorithm: str
    layout: str
    precision: str
    parallel: bool
    notes: tuple[str, ...]
    build: Callable[[Network, int], Formulation]
    """From the network and the number of threads."""


KINDS = {
    "winograd": Kind(
        "a task a step; 3x3 convolutions as Winograd's three projections",
        algorithm="winograd F(2x2,3x3), in batches below 32 direct",
        layout="a column a channel and tile position; rows [tile y, tile x, image]",
        precision="float32",
        parallel=True,
        notes=(COPIED,),
        build=lambda network, threads: Staged(network, transformed=True, threads=threads),
    ),
    "direct": Kind(
        "a task a layer; each convolution as one wide projection",
        algorithm="direct",
        layout="a column a channel and neighbour; rows [y, x, image]",
        precision="float32",
        parallel=True,
        notes=(COPIED,),
        build=lambda network, threads: Staged(network, transformed=False, threads=threads),
    ),
    "cross_join": Kind(
        "the network as one plan: pixels from Parquet, joined with weights, aggregated",
        algorithm="direct",
        layout="a column a channel and neighbour; rows [image, y, x]",
        precision="float32; dense layers sum in float64",
        parallel=False,
        notes=("each batch is written as Parquet and scanned by Velox", ONE_DRIVER),
        build=lambda network, threads: CrossJoin(network),
    ),
    "nested_lambda": Kind(
        "the network as one plan: a row an image, a nested lambda a layer",
        algorithm="direct",
        layout="a row an image; ARRAY(REAL) [channel, y, x]",
        precision="float32; dense layers sum in float64",
        parallel=False,
        notes=(ONE_DRIVER,),
        build=lambda network, threads: NestedLambda(network),
    ),
}
