"""What a backend's package is and what must be installed for it, as its own metadata says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata, util

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from adapters.base import Backend
from columnar_nn.errors import MissingPackageError

PROJECT = "cnn-bench"


def version(backend: type[Backend]) -> str:
    """Name and version of the distribution that has its package; empty if there is none."""
    if util.find_spec(backend.package) is None:
        return ""
    names = metadata.packages_distributions().get(backend.package, ())
    return ", ".join(f"{name} {metadata.version(name)}" for name in dict.fromkeys(names))


def install_command(backend: type[Backend]) -> str:
    """What installs its package."""
    return MissingPackageError(backend.package, backend.extra).install


def packages(extra: str) -> Mapping[str, int] | None:
    """Bytes of every installed distribution that an extra of this project needs, by name.

    Those that its requirements require are among them, Python is not. The extra "" is the core,
    which the command line needs as well. None if this project is run from a folder, not installed:
    then nobody knows what it requires.
    """
    try:
        metadata.distribution(PROJECT)
    except metadata.PackageNotFoundError:
        return None
    sizes: dict[str, int] = {}
    wanted = [(PROJECT, extra)]
    seen = set(wanted)
    while wanted:
        name, of_extra = wanted.pop()
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # what is not installed takes no room
        if name != PROJECT:
            sizes[name] = _bytes(distribution)
        core = name != PROJECT or not of_extra
        for required in _requirements(distribution, of_extra, core):
            if required not in seen:
                seen.add(required)
                wanted.append(required)
    return dict(sorted(sizes.items()))


def _requirements(
    distribution: metadata.Distribution, extra: str, core: bool
) -> Iterator[tuple[str, str]]:
    """What an extra of a distribution requires here, and with `core` what it always requires.

    Each with an extra of its own that is asked for, or "".
    """
    for text in distribution.requires or ():
        requirement = Requirement(text)
        needed = [
            requirement.marker is None or requirement.marker.evaluate({"extra": name})
            for name in ("", extra)
        ]
        if needed == [False, True] or (core and needed[0]):
            for of_extra in ("", *sorted(requirement.extras)):
                yield canonicalize_name(requirement.name), of_extra


def _bytes(distribution: metadata.Distribution) -> int:
    """Of its files as they lie on disk, compiled ones included."""
    found = 0
    for file in distribution.files or ():
        path = distribution.locate_file(file)
        try:
            found += path.stat().st_size  # type: ignore[attr-defined]
        except OSError:
            continue  # deleted since it was installed
    return found
