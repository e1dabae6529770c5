"""Networks trained with PyTorch, on the CPU, repeatably.

plain9 resists plain gradient descent: its last convolution has one filter, through which every
gradient must pass, and which soon dies behind its ReLU. Four things that leave no trace in the
finished network make it learn:

- batch normalisation (arXiv:1502.03167) after each convolution that has a bias, folded into the
  convolution's weights in the end;
- a helper that classifies by the channel means of what the last convolution sees, as in deeply
  supervised nets (arXiv:1409.5185), dropped in the end;
- training all but the dense layer first, on small random crops, which cost a tenth of an image:
  there a classifier of channel means stands in for the dense layer, which then begins as that
  classifier, every position of the image having an equal say;
- where only one channel is left, beginning with the classes in a row along it, for that is the
  only way to tell them apart by its mean, and a random beginning rarely finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.data.dataset import Dataset
from bench.training.batch_normalization import fold_inserted, insert
from bench.training.network import TrainableNetwork, as_input, torch_module
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidModelError
from columnar_nn.model.graph import Graph, Node, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor

_EVALUATION_BATCH = 250

WARM_UP = 0.2
"""Share of the steps during which the learning rate rises."""

LEVEL_DEVIATION = 0.4
"""About the distance of neighbouring levels when ten classes lie in a row with variance 1."""


@dataclass(frozen=True)
class Recipe:
    """How to train; the same recipe, data, PyTorch and CPU give the same weights.

    `crops` random squares of `crop_side` pixels, then `images` whole ones, are shown in batches
    of `batch_size`. In either stage the learning rate rises to `learning_rate`, then falls to 0.
    """

    seed: int = 0
    threads: int = 1
    batch_size: int = 64
    crops: int = 250_000
    crop_side: int = 16
    images: int = 16_000
    learning_rate: float = 4e-3
    helper_weight: float = 0.3


@dataclass(frozen=True)
class Evaluation:
    """Accuracy on a data set, and the channels behind a ReLU that were zero for all of it."""

    accuracy: float
    dead_channels: tuple[str, ...]


Progress = Callable[[str, int, int, float], None]
"""Told the stage, the steps done, the steps there are, and the mean of recent losses."""


def check_trainable(graph: Graph) -> None:
    """Raises InvalidModelError unless a network takes images, and ends as `train` says."""
    _ends(graph)


def train(graph: Graph, training: Dataset, recipe: Recipe, progress: Progress) -> Graph:
    """`graph` with trained weights; its nodes stay as they are. The data is held in memory.

    The graph must take one image and end in a Conv, other layers, a Flatten and a Gemm. Raises
    MissingPackageError without PyTorch, InvalidModelError and UnsupportedOperatorError for a
    network that cannot be trained, InvalidDataError if a class has no image, or there are others
    than the network has.
    """
    torch = torch_module()
    classes = len(graph.weights[_ends(graph).bias])
    if not 0 < len(training.classes) <= classes:
        raise InvalidDataError(
            f"{training.name}: {len(training.classes)} classes, of which {graph.name} tells "
            f"{classes}: give images with labels, and a network of as many"
        )
    if 0 in training.label_counts:
        missing = training.classes[training.label_counts.index(0)]
        raise InvalidDataError(
            f"{training.name}: no image of class {missing}; every class needs some"
        )
    with _repeatable(recipe):
        normalized = insert(graph)
        weights = {name: torch.tensor(w) for name, w in normalized.weights.items()}
        trainer = _Trainer(training, _ends(normalized), weights, recipe, progress)
        trainer.fit_body(normalized)
        trainer.fit(normalized)
    learnt = {name: w.detach().numpy().copy() for name, w in weights.items()}
    return fold_inserted(replace(normalized, weights=learnt))


def evaluate(graph: Graph, data: Dataset) -> Evaluation:
    """How well `graph` does on `data`, one pass; raises as `train` does."""
    torch = torch_module()
    relus = [node.outputs[0] for node in graph.nodes if node.op_type == "Relu"]
    network = TrainableNetwork(graph, {name: torch.tensor(w) for name, w in graph.weights.items()})
    alive: dict[str, Tensor] = {}
    correct = 0
    for batch in data.batches(data.num_rows, _EVALUATION_BATCH):
        with torch.no_grad():
            tensors = network(as_input(tensor_column.to_numpy(batch.column("image"))))
        predictions = tensors[graph.outputs[0].name].argmax(1)
        correct += int((predictions.numpy() == batch.column("label").to_numpy()).sum())
        for name in relus:
            seen = (tensors[name] > 0).transpose(0, 1).flatten(1).any(1)
            alive[name] = seen | alive.get(name, seen)
    dead = [
        f"{name}[{channel}]" for name in relus for channel in np.flatnonzero(~alive[name].numpy())
    ]
    return Evaluation(correct / data.num_rows, tuple(dead))


@dataclass(frozen=True)
class _Ends:
    """Tensors and weights where a network ends.

    `last_seen` is what its last convolution reads, `pooled` what Flatten reads, `weight` and
    `bias` those of the Gemm that follows, `logits` its output.
    """

    last_seen: str
    pooled: str
    weight: str
    bias: str
    logits: str


class _Trainer:
    """The data, the classifiers of channel means and the random numbers of both stages."""

    def __init__(
        self,
        data: Dataset,
        ends: _Ends,
        weights: dict[str, Tensor],
        recipe: Recipe,
        progress: Progress,
    ) -> None:
        torch = torch_module()
        (rows,) = data.batches(data.num_rows, data.num_rows)
        self._images = tensor_column.to_numpy(rows.column("image"))
        self._labels = torch.from_numpy(rows.column("label").to_numpy().astype(np.int64))
        self._crop_side = min(recipe.crop_side, *self._images.shape[-2:])
        self._ends, self._weights = ends, weights
        self._recipe, self._progress = recipe, progress
        self._random = np.random.default_rng(recipe.seed)
        self._loss = torch.nn.functional.cross_entropy
        num_classes = len(weights[ends.bias])
        self._helper: Any = torch.nn.LazyLinear(num_classes)
        self._classifier: Any = torch.nn.LazyLinear(num_classes)

    def fit_body(self, graph: Graph) -> None:
        """Trains what comes before Flatten on crops, then begins the dense layer."""
        torch = torch_module()
        body = TrainableNetwork(_body(graph, self._ends, self._crop_side), self._weights)

        def loss(images: np.ndarray, labels: Tensor) -> Tensor:
            tensors = body(as_input(self._crop(images)), training=True)
            logits = self._classifier(_channel_means(tensors[self._ends.pooled]))
            return self._loss(logits, labels) + self._helper_loss(tensors, labels)

        tensors = body(as_input(self._crop(self._images[:1])))
        # The classifiers learn how many channels there are from their first input.
        self._classifier(_channel_means(tensors[self._ends.pooled]).detach())
        self._helper(_channel_means(tensors[self._ends.last_seen]).detach())
        normalizations = [node for node in graph.nodes if node.op_type == "BatchNormalization"]
        if normalizations and self._classifier.in_features == 1:
            self._line_up(normalizations[-1])
        learnt = [*body.parameters(), *self._classifier.parameters(), *self._helper.parameters()]
        self._descend("crops", self._recipe.crops, learnt, loss)
        with torch.no_grad():
            channels = self._classifier.weight
            weight, bias = self._weights[self._ends.weight], self._weights[self._ends.bias]
            positions = weight.shape[1] // channels.shape[1]
            weight.copy_(channels.repeat_interleave(positions, 1) / positions)
            bias.copy_(self._classifier.bias)

    def _line_up(self, normalization: Node) -> None:
        """Begins with each class expected at a level of its own of the one channel.

        The classes are in the order of their colours, so that those that look alike are
        neighbours. The levels, equidistant, have the mean and variance that `normalization`, the
        last one, is set to give; the classifier is that of normal distributions of deviation
        LEVEL_DEVIATION about them.
        """
        torch = torch_module()
        _, scale, bias, _, _ = normalization.inputs
        half = math.sqrt(3.0)
        with torch.no_grad():
            self._weights[scale].fill_(1.0)
            self._weights[bias].fill_(half)
            levels = torch.linspace(0.0, 2.0 * half, len(self._classifier.bias))
            levels = levels[torch.from_numpy(self._colour_ranks())]
            variance = LEVEL_DEVIATION**2
            self._classifier.weight.copy_((levels / variance)[:, None])
            self._classifier.bias.copy_(-(levels**2) / (2.0 * variance))

    def _colour_ranks(self) -> np.ndarray:
        """Place of each class in the order of colours, int64 [classes], the dark ones first.

        That is the order along the first principal component of the classes' mean colours.
        """
        labels = self._labels.numpy()
        colours = self._images.mean((2, 3), dtype=np.float64)
        means = np.stack([colours[labels == c].mean(0) for c in range(labels.max() + 1)])
        _, _, components = np.linalg.svd(means - means.mean(0))
        direction = components[0] * np.sign(components[0].sum())
        places: np.ndarray = (means @ direction).argsort().argsort()
        return places

    def fit(self, graph: Graph) -> None:
        """Trains the whole network on whole images."""
        network = TrainableNetwork(graph, self._weights)

        def loss(images: np.ndarray, labels: Tensor) -> Tensor:
            tensors = network(as_input(images), training=True)
            own = self._loss(tensors[self._ends.logits], labels)
            return own + self._helper_loss(tensors, labels)

        learnt = [*network.parameters(), *self._helper.parameters()]
        self._descend("images", self._recipe.images, learnt, loss)

    def _helper_loss(self, tensors: dict[str, Tensor], labels: Tensor) -> Tensor:
        logits = self._helper(_channel_means(tensors[self._ends.last_seen]))
        loss: Tensor = self._recipe.helper_weight * self._loss(logits, labels)
        return loss

    def _descend(
        self,
        stage: str,
        num_images: int,
        parameters: list[Tensor],
        loss_of: Callable[[np.ndarray, Tensor], Tensor],
    ) -> None:
        """AdamW (arXiv:1711.05101), its rate rising linearly, then falling as a cosine."""
        torch = torch_module()
        steps = num_images // self._recipe.batch_size
        if not steps:
            return
        rate = self._recipe.learning_rate
        optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _share_of_rate(step / steps)
        )
        recent = 0.0
        for step, rows in enumerate(self._rows(steps), start=1):
            optimizer.zero_grad()
            loss = loss_of(self._mirror(self._images[rows]), self._labels[rows])
            loss.backward()
            optimizer.step()
            schedule.step()
            recent += (loss.item() - recent) / min(step, 20)
            self._progress(stage, step, steps, recent)

    def _rows(self, steps: int) -> Iterator[np.ndarray]:
        """Rows of each batch: all of the data in random order, again and again."""
        order = np.empty(0, np.int64)
        for _ in range(steps):
            while len(order) < self._recipe.batch_size:
                order = np.append(order, self._random.permutation(len(self._images)))
            rows, order = np.split(order, [self._recipe.batch_size])
            yield rows

    def _mirror(self, images: np.ndarray) -> np.ndarray:
        mirrored = self._random.integers(2, size=len(images)).astype(bool)
        return np.where(mirrored[:, None, None, None], images[..., ::-1], images)

    def _crop(self, images: np.ndarray) -> np.ndarray:
        side = self._crop_side
        top, left = self._random.integers(min(images.shape[-2:]) - side + 1, size=2)
        return images[:, :, top : top + side, left : left + side]


@contextmanager
def _repeatable(recipe: Recipe) -> Iterator[None]:
    """PyTorch's seed, threads and choice of algorithms fixed; the latter two put back later."""
    torch = torch_module()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    torch.manual_seed(recipe.seed)
    torch.set_num_threads(recipe.threads)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)


def _ends(graph: Graph) -> _Ends:
    """Where the network ends; raises InvalidModelError if it does not end as `train` wants it."""
    if len(graph.inputs) != 1:
        raise InvalidModelError(
            f"{graph.name} takes {', '.join(graph.columns) or 'nothing'}: only a network of one "
            "input, of images, can be trained"
        )
    if graph.batch is not None:
        raise InvalidModelError(
            f"{graph.name} takes batches of {graph.batch} images only: only a network of any "
            "number can be trained"
        )
    gemm = graph.nodes[-1]
    flatten = graph.producer(gemm.inputs[0])
    convolutions = [node for node in graph.nodes if node.op_type == "Conv"]
    dense = gemm.op_type == "Gemm" and len(gemm.inputs) == 3 and gemm.attributes.get("transB")
    of_images = len(graph.inputs[0].shape) == 4
    fits = of_images and convolutions and dense
    if not fits or flatten is None or flatten.op_type != "Flatten":
        raise InvalidModelError(
            f"{graph.name} cannot be trained: it must take images, have a Conv and end in Flatten "
            "and Gemm (transB=1, with a bias)"
        )
    _, weight, bias = gemm.inputs
    return _Ends(convolutions[-1].inputs[0], flatten.inputs[0], weight, bias, gemm.outputs[0])


def _body(graph: Graph, ends: _Ends, side: int) -> Graph:
    """What comes before Flatten, for images of another size."""
    (image,) = graph.inputs
    square = TensorSpec(image.name, (None, image.shape[1], side, side))
    outputs = [TensorSpec(ends.pooled, (None,)), TensorSpec(ends.last_seen, (None,))]
    return replace(graph, inputs=(square,)).with_outputs(outputs)


def _share_of_rate(done: float) -> float:
    """Share of the full learning rate when a share `done` of the steps is done."""
    if done < WARM_UP:
        return 0.04 + 0.96 * done / WARM_UP
    return 0.5 * (1.0 + math.cos(math.pi * (done - WARM_UP) / (1.0 - WARM_UP)))


def _channel_means(tensor: Tensor) -> Tensor:
    return tensor.mean((2, 3))
