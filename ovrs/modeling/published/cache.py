"""Where fetched weights lie, and finding them by path or by their name in the table."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from ovrs.errors import WeightsError
from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.hashes import check
from ovrs.modeling.published.table import PUBLISHED


def cache_folder() -> Path:
    """``$OVRS_CACHE``, or where torch hub keeps weights (``~/.cache/torch/hub/checkpoints``)."""
    if chosen := os.environ.get("OVRS_CACHE"):
        return Path(chosen).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{caches}/torch").expanduser() / "hub/checkpoints"


def weights_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a path, or of a name in the table, which must have been fetched; nothing is downloaded here.

    Raises:
        WeightsError: neither a file nor a name, a file that was not fetched, or one that is not what was published.
    """
    path = Path(name_or_path)
    if os.path.isfile(path):  # a name too long for a file is none
        return path
    if str(name_or_path) not in PUBLISHED and path.suffix in (".pth", ".pt", ".bin", ".safetensors", ".pkl"):
        raise WeightsError(f"{name_or_path}: no such weights file")
    entry = entry_of(str(name_or_path))
    path = cache_folder() / entry.file
    if not path.is_file():
        raise WeightsError(
            f"{entry.name} is not on this machine: python -m ovrs.weights fetch {entry.name}; "
            f"or, without a network, {by_hand(entry)}"
        )
    check(path, entry)
    return path


def is_here(entry: PublishedWeights, folder: Path | None = None) -> bool:
    """Whether the cache holds all files of an entry."""
    return all(((folder or cache_folder()) / name).is_file() for name in entry.files)


def entry_of(name: str) -> PublishedWeights:
    """The row of a name.

    Raises:
        WeightsError: no such name; the error gives the nearest ones.
    """
    if name in PUBLISHED:
        return PUBLISHED[name]
    lower = {known.lower(): known for known in PUBLISHED}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    guess = f"; did you mean {' or '.join(near)}?" if near else ""
    raise WeightsError(
        f"{name!r} is neither a weights file nor the name of published weights{guess} (python -m ovrs.weights list shows all)"
    )


def by_hand(entry: PublishedWeights, folder: Path | None = None) -> str:
    """How to bring a file here without this program."""
    folder = folder or cache_folder()
    if entry.member:
        return f"take the file *{entry.member} out of {entry.address} and put it into {folder} as {entry.file}"
    more = f", and beside it {', '.join(entry.beside)} from the same page" if entry.beside else ""
    return f"put {entry.address} into {folder} as {entry.file}{more}"
