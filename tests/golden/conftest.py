"""Bundles of the small network that the tests of this folder share, and copies to damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from golden.small_network import NUM_IMAGES, RandomImages, mixed_network, small_network

from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.manifest import Creation
from bench.machine import cpus
from bench.workers.options import Options
from bench.workers.selection import Selection


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Every tensor of the small network for a few images."""
    folder = tmp_path_factory.mktemp("golden") / "small"
    create(folder, small_network(), RandomImages(), Creation("small", "seed", NUM_IMAGES, ("all",)))
    return open_bundle(folder)


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The mixed network's outputs and one inner tensor for a thousand images."""
    folder = tmp_path_factory.mktemp("golden") / "mixed"
    creation = Creation("mixed", "seed", 1000, ("conv2", "outputs"))
    create(folder, mixed_network(), RandomImages(), creation)
    return open_bundle(folder)


@pytest.fixture
def damaged(bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the bundle's folder that a test may damage."""
    return Path(shutil.copytree(bundle.folder, tmp_path / "damaged"))


def faulty(backend: str, timeout: float = 60.0, batch_size: int = 4) -> tuple[Selection, Options]:
    """A backend of faulty_backends.py, its batches smaller than the number of images."""
    selection = Selection(f"golden.faulty_backends.{backend}", "usual")
    return selection, Options(cpus.choose(1), timeout, batch_size)
