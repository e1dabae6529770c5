"""The staged formulations: a Velox task a layer (direct) or three of them (Winograd)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adapters.velox import direct, winograd
from adapters.velox.expressions import literal
from adapters.velox.feature_map import FeatureMap, Geometry, copies
from adapters.velox.layers import (
    Convolution,
    Dense,
    Elementwise,
    GlobalAverage,
    Layer,
    MaxPool,
    Network,
    Softmax,
)
from adapters.velox.stage import Stage
from adapters.velox.task import Task
from adapters.velox.vectors import columns_of, flat, row_vector

PIXEL = f"cast(bitwise_and(cast(p as integer), 255) as real) / {literal(255)} as x"
"""A uint8 pixel arrives as TINYINT, the same bits: back to 0..255, then pixel / 255."""

TileSize = Callable[[Convolution, int], int]
"""Winograd's output tile for a layer and a number of images; 1 is direct convolution."""


class Program:
    """The network for one number of images: buffers, vectors and plans, made once."""

    def __init__(self, network: Network, images: int, tile_size: TileSize) -> None:
        self._network, self.images = network, images
        self._tile_size = tile_size
        self._readers: dict[str, list[FeatureMap]] = {network.image: []}
        sources: dict[tuple[str, int], FeatureMap] = {}
        for layer in network.layers:
            self._readers[layer.output] = []
            for index, tensor in enumerate(layer.inputs):
                sources[layer.name, index] = self._input_map(layer, index, sources)
                self._readers[tensor].append(sources[layer.name, index])
        self._outputs = [self._plain_map(tensor) for tensor in network.outputs]
        for tensor, output in zip(network.outputs, self._outputs, strict=True):
            self._readers[tensor].append(output)
        self.stages: list[Stage] = []
        for layer in network.layers:
            maps = [sources[layer.name, index] for index in range(len(layer.inputs))]
            self.stages += self._stages(layer, maps)

    def run(self, images: np.ndarray) -> list[tuple[str, Task]]:
        """Computes the network for images [N, C, H, W] (uint8 or float32); see `outputs`.

        Returns each task with its stage's name, for their statistics.
        """
        tasks = []
        if images.dtype == np.uint8:
            images, task = _scaled(images)
            tasks.append(("image", task))
        for c in range(images.shape[1]):
            plane = images[:, c].transpose(1, 2, 0)
            for target in self._readers[self._network.image]:
                for copy in copies(target, c, (0, 0), 1, range(plane.shape[0])):
                    copy.target[...] = plane[copy.source]
        return tasks + [(stage.name, stage.run()) for stage in self.stages]

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run: views [N, ...] of the network's output buffers."""
        results = []
        for tensor, output in zip(self._network.outputs, self._outputs, strict=True):
            values = np.moveaxis(output.planes[:, 0, 0], -1, 0)
            results.append(values.reshape(self.images, *self._network.shape(tensor)))
        return results

    def _tiles(self, layer: Convolution) -> int:
        return self._tile_size(layer, self.images) if winograd.applies(layer) else 1

    def _plain_map(self, tensor: str) -> FeatureMap:
        channels, height, width = (*self._network.shape(tensor), 1, 1)[:3]
        return FeatureMap(channels, self.images, Geometry(height, width))

    def _input_map(
        self, layer: Layer, index: int, sources: dict[tuple[str, int], FeatureMap]
    ) -> FeatureMap:
        """The buffer from which `layer` reads its input number `index`, in the layer's layout."""
        shape = self._network.shape(layer.inputs[index])
        if isinstance(layer, Convolution) and index == 1:
            source = sources[layer.name, 0].geometry
            geometry = direct.addend_geometry(layer, source, self._tiles(layer))
            return FeatureMap(shape[0], self.images, geometry)
        if isinstance(layer, Convolution) and (tiles := self._tiles(layer)) > 1:
            geometry = winograd.winograd_geometry(layer, shape[1], shape[2], tiles)
            return FeatureMap(shape[0], self.images, geometry)
        if isinstance(layer, Convolution | MaxPool):
            fill = direct.LOWEST if isinstance(layer, MaxPool) else 0.0
            geometry = direct.window_geometry(layer, shape[1], shape[2])
            return FeatureMap(shape[0], self.images, geometry, fill)
        return self._plain_map(layer.inputs[index])

    def _stages(self, layer: Layer, maps: list[FeatureMap]) -> list[Stage]:
        targets = self._readers[layer.output]
        match layer:
            case Convolution():
                addend = maps[1] if len(maps) > 1 else None
                if self._tiles(layer) > 1:
                    return winograd.winograd_stages(layer, maps[0], addend, targets)
                stage = direct.convolution_stage(layer, maps[0], addend, targets)
            case MaxPool():
                stage = direct.max_pool_stage(layer, maps[0], targets)
            case GlobalAverage():
                stage = direct.global_average_stage(layer.name, maps[0], targets)
            case Dense():
                stage = direct.dense_stage(layer, maps[0], targets)
            case Softmax():
                stage = direct.softmax_stage(layer.name, maps[0], targets)
            case Elementwise():
                stage = direct.elementwise_stage(layer, maps, targets)
            case _:
                raise AssertionError(f"no stage for {type(layer).__name__}")
        return [stage]


def _scaled(images: np.ndarray) -> tuple[np.ndarray, Task]:
    """uint8 pixels as float32 pixel / 255, computed by Velox."""
    from pyvelox import plan_builder

    pixels = np.ascontiguousarray(images).view(np.int8).reshape(-1)
    vector = row_vector({"p": flat(pixels)})
    task = Task(plan_builder.PlanBuilder().values([vector]).project([PIXEL]).get_plan_node())
    (result,) = task.batches()
    return columns_of(result)[0].reshape(images.shape), task
