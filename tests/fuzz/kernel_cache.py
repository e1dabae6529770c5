"""A kernel cache that others have written to: only what the user's key signed is given out."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

from fuzz.mutations import mutated
from fuzz.outcome import MEBIBYTE, emptied, problem

from columnar_nn.kernels import cache
from columnar_nn.settings import cache_root, variables

MEMORY = 64 * MEBIBYTE
KERNELS = {f"kernel-{number}": bytes([number]) * size for number, size in enumerate((0, 50, 3000))}
logging.getLogger("columnar_nn").disabled = True
MODES = (0o700, 0o600, 0o644, 0o666, 0o777, 0o000, 0o1777)


def check(seed: int, folder: Path) -> str:
    """What is wrong with what the damaged cache of a seed gives; it is kept in `folder`."""
    chance = random.Random(seed)
    os.environ[variables.CACHE_DIR] = str(emptied(folder))
    for name, content in KERNELS.items():
        cache.write(name, content)
    for _ in range(chance.choice((1, 1, 2, 5))):
        _damage(folder, chance)
    return problem(_use, MEMORY)


def _use() -> None:
    for name, content in KERNELS.items():
        found = cache.read(name)
        if found not in (None, content):
            raise ValueError(f"{name} is given as {found[:40]!r}, which nobody signed")
        cache.write(name, content)
    cache_root.info()
    cache_root.clear()


def _damage(folder: Path, chance: random.Random) -> None:
    """Changes one file or folder of the cache as somebody else might."""
    entries = sorted(p for p in folder.rglob("*") if not p.is_symlink())
    if not entries:
        return
    entry, other = chance.choice(entries), chance.choice(entries)
    if entry.is_dir():
        moved = folder / f"moved-{chance.randrange(2**60)}"
        match chance.randrange(3):
            case 0:
                entry.chmod(chance.choice(MODES))
            case 1:
                entry.rename(moved)
            case _:
                entry.rename(moved)
                entry.symlink_to(moved)
        return
    content = entry.read_bytes() if entry.is_file() else b""
    match chance.randrange(8):
        case 0:
            entry.chmod(chance.choice(MODES))
        case 1:
            entry.unlink()
            os.mkfifo(entry)
        case 2:
            entry.unlink()
            entry.mkdir()
        case 3:
            entry.unlink()
            entry.symlink_to(chance.choice(("/dev/zero", entry.name, other.absolute())))
        case 4 if other.is_file():
            entry.write_bytes(other.read_bytes() if entry.is_file() else b"")
        case _ if entry.is_file():
            entry.write_bytes(mutated(content, chance))
