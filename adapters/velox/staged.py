"""The staged formulations: a Velox task a layer (direct) or three of them (Winograd)."""

from __future__ import annotations

from math import prod

import numpy as np

from adapters.velox import direct, winograd
from adapters.velox.expressions import literal
from adapters.velox.feature_map import Copy, FeatureMap, Geometry, copies
from adapters.velox.layers import (
    Affine,
    Convolution,
    Dense,
    Elementwise,
    GlobalAverage,
    MaxPool,
    Network,
    Softmax,
    VeloxLayer,
)
from adapters.velox.stage import Batch, Stage
from adapters.velox.task import VeloxTask
from adapters.velox.vectors import borrowed, row_vector
from columnar_nn.errors import UnsupportedOperatorError

PIXEL = f"cast(bitwise_and(cast(p as integer), 255) as real) / {literal(255)} as x"
"""A uint8 pixel arrives as TINYINT, the same bits: back to 0..255, then pixel / 255."""

MAX_IMAGES = 128
"""Images computed at a time: fewer make shorter vectors, for which Velox's cost of a call is dear,
and more make larger buffers, 1.5 MB an image of plain9."""

MAX_WEIGHTS = 1_000_000
"""Each is a column of some vector: 2 KB and 15 us of set-up, or several times that by Winograd."""

MAX_PROGRAMS = 4
"""Numbers of images for which vectors and plans are made, at 2 to 4 s and 100 MB or more each for
plain9. Batches of other sizes are filled up, so that memory has a bound."""


class Staged:
    """Any network of layers, said anew for each of the first few sizes of batches that it meets."""

    def __init__(self, network: Network, transformed: bool, threads: int) -> None:
        """`transformed`: use Winograd's convolution where it applies and pays.

        Raises UnsupportedOperatorError for networks of more than MAX_WEIGHTS.
        """
        _refuse_too_many_weights(network)
        self._network, self._transformed, self._threads = network, transformed, threads
        self._programs: dict[int, VeloxProgram] = {}
        self._outputs: list[np.ndarray] = []

    def prepare(self, images: int) -> None:
        """Makes buffers, vectors and plans for batches of `images`."""
        self._program_for(images)

    def run(self, images: np.ndarray) -> list[tuple[str, VeloxTask]]:
        """Computes the network for images [N, C, H, W] (uint8 or float32); see `outputs`.

        Returns each task with its stage's name, for their statistics.
        """
        program = self._program_for(len(images))
        tasks, results = [], []
        for first in range(0, len(images), program.images):
            part = images[first : first + program.images]
            tasks += program.run(part)
            results.append(program.outputs(len(part)))
        self._outputs = [np.concatenate(parts) for parts in zip(*results, strict=True)]
        return tasks

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run: [N, ...]."""
        return self._outputs

    def close(self) -> None:
        """Releases buffers and plans."""
        self._programs.clear()

    def _program_for(self, images: int) -> VeloxProgram:
        """The program that computes so many images, in equal parts if they are very many.

        Once there are MAX_PROGRAMS, the one that has the fewest places too many, if any has enough.
        """
        parts = -(-images // MAX_IMAGES)
        size = -(-images // parts)
        if size not in self._programs and len(self._programs) < MAX_PROGRAMS:
            transformed = self._transformed and size >= winograd.MIN_IMAGES
            self._programs[size] = VeloxProgram(self._network, size, transformed, self._threads)
        known = sorted(self._programs)
        return self._programs[next((enough for enough in known if enough >= size), known[-1])]


def _refuse_too_many_weights(network: Network) -> None:
    sizes = [
        (layer, (layer.filters if isinstance(layer, Convolution) else layer.weights).size)
        for layer in network.layers
        if isinstance(layer, Convolution | Dense)
    ]
    all_weights = sum(size for _, size in sizes)
    if all_weights > MAX_WEIGHTS:
        limit = f"of {all_weights:,} weights, of which {MAX_WEIGHTS:,} would fit"
        refused = [(layer.name, layer.operator, f"{size:,} {limit}") for layer, size in sizes]
        raise UnsupportedOperatorError("velox", refused)


class VeloxProgram:
    """The network for one number of images: buffers, vectors and plans, made once."""

    def __init__(self, network: Network, images: int, transformed: bool, threads: int) -> None:
        self._network, self.images = network, images
        self._transformed = transformed
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
        channels, height, width = network.image_shape
        self._image_shape = (images * channels, height, width)
        self._pixels = np.zeros(images * channels * height * width, np.int8)
        self._image_copies = self._copies_of_image()
        vector = row_vector({"p": borrowed(self._pixels)})
        batch = Batch(vector, self._image_shape, [self._image_copies])
        self._scaling = Stage("image", [batch], [[PIXEL]])
        self._scaling.prepare(1)
        self._workspace = self._new_workspace(sources)
        self._stages: list[Stage] = []
        for layer in network.layers:
            maps = [sources[layer.name, index] for index in range(len(layer.inputs))]
            self._stages += self._stages_of(layer, maps)
        for stage in self._stages:
            stage.prepare(threads)

    def run(self, images: np.ndarray) -> list[tuple[str, VeloxTask]]:
        """Computes the network for so many images or fewer; returns each task with its stage."""
        stages = self._stages
        if images.dtype == np.uint8:
            self._pixels.view(np.uint8)[: images.size] = images.reshape(-1)
            stages = [self._scaling, *stages]
        else:
            source = np.zeros(self._image_shape, np.float32)
            source.reshape(-1)[: images.size] = images.reshape(-1)
            for copy in self._image_copies:
                copy.target[...] = source[copy.source]
        return [(stage.name, task) for stage in stages for task in stage.run()]

    def outputs(self, images: int) -> list[np.ndarray]:
        """Results [images, ...] of the first `images` of the last run."""
        results = []
        for tensor, output in zip(self._network.outputs, self._outputs, strict=True):
            values = np.moveaxis(output.planes[:, 0, 0], -1, 0)[:images]
            results.append(values.reshape(images, *self._network.shape(tensor)).copy())
        return results

    def _new_workspace(self, sources: dict[tuple[str, int], FeatureMap]) -> list[np.ndarray]:
        """Arrays large enough for each convolution by Winograd, one after the other."""
        shapes = [
            winograd.workspace_shapes(layer, sources[layer.name, 0])
            for layer in self._network.layers
            if isinstance(layer, Convolution) and self._phases(layer) > 1
        ]
        sizes = [max(map(prod, together)) for together in zip(*shapes, strict=True)]
        return [np.zeros(size, np.float32) for size in sizes]

    def _copies_of_image(self) -> list[Copy]:
        """From planes [image and channel, y, x] into every layer that reads the image."""
        channels, height, _ = self._network.image_shape
        return [
            Copy((slice(c, None, channels), *copy.source), copy.target.transpose(2, 0, 1))
            for c in range(channels)
            for target in self._readers[self._network.image]
            for copy in copies(target, c, (0, 0), 1, range(height))
        ]

    def _phases(self, layer: Convolution) -> int:
        """Phases of the layer's output: of tiles, or none."""
        return winograd.OUTPUTS if self._transformed and winograd.applies(layer) else 1

    def _plain_map(self, tensor: str) -> FeatureMap:
        channels, height, width = (*self._network.shape(tensor), 1, 1)[:3]
        return FeatureMap(channels, self.images, Geometry(height, width))

    def _input_map(
        self, layer: VeloxLayer, index: int, sources: dict[tuple[str, int], FeatureMap]
    ) -> FeatureMap:
        """The buffer from which `layer` reads its input number `index`, in the layer's layout."""
        shape = self._network.shape(layer.inputs[index])
        if isinstance(layer, Convolution) and index == 1:
            source = sources[layer.name, 0].geometry
            geometry = direct.addend_geometry(layer, source, self._phases(layer))
            return FeatureMap(shape[0], self.images, geometry)
        if isinstance(layer, Convolution) and self._phases(layer) > 1:
            geometry = winograd.winograd_geometry(layer, shape[1], shape[2])
            return FeatureMap(shape[0], self.images, geometry)
        if isinstance(layer, Convolution | MaxPool):
            fill = -np.inf if isinstance(layer, MaxPool) else 0.0
            geometry = direct.window_geometry(layer, shape[1], shape[2])
            return FeatureMap(shape[0], self.images, geometry, fill)
        return self._plain_map(layer.inputs[index])

    def _stages_of(self, layer: VeloxLayer, maps: list[FeatureMap]) -> list[Stage]:
        targets = self._readers[layer.output]
        match layer:
            case Convolution():
                addend = maps[1] if len(maps) > 1 else None
                if self._phases(layer) > 1:
                    return winograd.winograd_stages(
                        layer, maps[0], addend, targets, self._workspace
                    )
                stage = direct.convolution_stage(layer, maps[0], addend, targets)
            case MaxPool():
                stage = direct.max_pool_stage(layer, maps[0], targets)
            case GlobalAverage():
                stage = direct.global_average_stage(layer.name, maps[0], targets)
            case Dense():
                stage = direct.dense_stage(layer, maps[0], targets)
            case Softmax():
                stage = direct.softmax_stage(layer.name, maps[0], targets)
            case Affine():
                stage = direct.affine_stage(layer, maps[0], targets)
            case Elementwise():
                stage = direct.elementwise_stage(layer, maps, targets)
            case _:
                raise AssertionError(f"no stage for {type(layer).__name__}")
        return [stage]
