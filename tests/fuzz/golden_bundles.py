"""Golden bundles with damaged, forged or swapped files, read from end to end."""

from __future__ import annotations

import json
import os
import random
import tempfile
from hashlib import sha256
from pathlib import Path

from fuzz.documents import changed_json
from fuzz.mutations import mutated
from fuzz.outcome import MEBIBYTE, emptied, problem
from golden.small_network import RandomImages, small_network

from bench.golden.bundle import MANIFEST, open_bundle
from bench.golden.create import create
from bench.golden.manifest import Creation

MEMORY = 1024 * MEBIBYTE
"""What the import of a model may take."""


def _intact() -> dict[str, bytes]:
    """A bundle of the small network: contents by path."""
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        creation = Creation("small", "seed", 3, ("conv2", "outputs"))
        create(bundle, small_network(), RandomImages(), creation)
        files = sorted(file for file in bundle.rglob("*") if file.is_file())
        return {str(file.relative_to(bundle)): file.read_bytes() for file in files}


FILES = _intact()


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the bundle of a seed is read; the bundle is kept in `folder`."""
    chance = random.Random(seed)
    files = dict(FILES)
    changed = chance.choice((MANIFEST, MANIFEST, *files))
    if changed == MANIFEST:
        text = files[MANIFEST].decode()
        files[MANIFEST] = changed_json(text, chance).encode()
    if chance.random() < 0.1 or changed != MANIFEST:
        files[changed] = mutated(files[changed], chance)
    if chance.random() < 0.2:
        one, other = chance.sample(list(files), 2)
        files[one], files[other] = files[other], files[one]
    if changed != MANIFEST and chance.random() < 0.9:
        _seal(files)
    emptied(folder)
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    if chance.random() < 0.05:
        _replace(folder / chance.choice(list(files)), chance)
    return problem(lambda: _read(folder), MEMORY)


def _read(folder: Path) -> None:
    bundle = open_bundle(folder)
    bundle.graph()
    bundle.noises()
    for _ in bundle.images():
        pass
    for _ in bundle.expected([entry.name for entry in bundle.manifest.tensors]):
        pass


def _seal(files: dict[str, bytes]) -> None:
    """Gives the manifest the checksums of the files as they are, as a forger would."""
    try:
        document = json.loads(files[MANIFEST])
        for name, entry in document["files"].items():
            entry["bytes"] = len(files[name])
            entry["sha256"] = sha256(files[name]).hexdigest()
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # swapped: it is no manifest now
    files[MANIFEST] = json.dumps(document).encode()


def _replace(path: Path, chance: random.Random) -> None:
    path.unlink()
    match chance.randrange(3):
        case 0:
            os.mkfifo(path)
        case 1:
            path.mkdir()
        case _:
            path.symlink_to(chance.choice(("/dev/zero", path.name, "/proc/self/mem")))
