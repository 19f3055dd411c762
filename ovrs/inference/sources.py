"""What is to be segmented: files that were named or fit a pattern, and their headers checked."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path, PurePath

from ovrs.errors import InputError
from ovrs.inference.addresses import Location, Remote, locate
from ovrs.inference.outputs import distinct_stems
from ovrs.inference.rasters import read_header
from ovrs.inference.reading import ReadOptions

# What no pattern finds: results may lie beside the images.
_RESULTS = tuple(f".{kind}.{suffix}" for kind in ("classes", "confidence", "probabilities") for suffix in ("tif", "png"))
_RESULTS += (".overlay.png", ".modalities.png")


@dataclass(frozen=True)
class Source:
    """One image to segment.

    Attributes:
        path: its file, or its address elsewhere.
        stem: what the names of its results begin with, folders included.
        has_crs: whether it has a coordinate reference system.
        refused: why its header or its SAR partner was refused; the scene fails when its turn comes.
        sar: the file of its SAR partner, None without one.
        named: whether it was named by itself, not found by a pattern.

    Raises:
        InputError: a stem that leads out of the folder of results.
    """

    path: Location
    stem: str
    has_crs: bool
    refused: str = ""
    sar: Path | None = None
    named: bool = True

    def __post_init__(self) -> None:
        parts = PurePath(self.stem).parts
        if not parts or ".." in parts or PurePath(self.stem).is_absolute():
            raise InputError(f"{self.path}: its results would be called '{self.stem}.*', outside of the folder of results")

    @property
    def results(self) -> tuple[str, str, str]:
        """The names of the class map, the confidence map and the overlay."""
        suffix = "tif" if self.has_crs else "png"
        return f"{self.stem}.classes.{suffix}", f"{self.stem}.confidence.{suffix}", f"{self.stem}.overlay.png"

    @property
    def picture(self) -> str:
        """The name of the picture that compares what is made of the image, of its SAR partner and of both."""
        return f"{self.stem}.modalities.png"

    @property
    def files(self) -> list[Location]:
        """What is read."""
        return [self.path, *([self.sar] if self.sar is not None else [])]

    def with_ending(self, ending: str) -> Source:
        """The same image, the names of its results told from others' by an ending of the stem."""
        return replace(self, stem=self.stem + ending)


def list_sources(patterns: Sequence[str], options: ReadOptions | None = None) -> list[Source]:
    """The images that paths and patterns name, every header checked.

    Results of what a pattern finds in folders of its own (``archive/**/*.tif``) go into folders of the same names. A file that
    cannot be segmented is one of the images as long as others can.

    Raises:
        InputError: a pattern that fits no file, a name without one, no file that can be segmented, or two files with the same
            stem.
    """
    options = options or ReadOptions()
    sources, refused, by_name = [], [], {str(Path(pattern)) for pattern in patterns}
    for path, stem in expand(patterns, options.allow_remote).items():
        named = str(path) in by_name
        try:
            sources.append(Source(path, stem, read_header(path, options).has_crs, named=named))
        except InputError as error:
            if isinstance(path, Path) and not os.path.exists(path):
                raise  # a slip of the pen, not a bad image
            refused.append(error)
            sources.append(Source(path, stem, has_crs=False, refused=str(error), named=named))
    if refused and len(refused) == len(sources):
        raise refused[0]
    distinct_stems((source.path, source.stem) for source in sources)
    return sources


def expand(patterns: Sequence[str], allow_remote: bool = False) -> dict[Location, str]:
    """What paths, addresses and patterns (``*``, ``?``, ``[...]``, ``**``) name, in order, each once, and the stems of results.

    Raises:
        InputError: a pattern that fits no file or leads out of the folder it begins with, or an address where none is allowed.
    """
    found: dict[Location, tuple[Location, str]] = {}
    for pattern in patterns:
        location = locate(pattern, allow_remote)
        if isinstance(location, Remote):
            found.setdefault(location, (location, location.stem))
        # A file whose name holds brackets is taken as it is, before it is tried as a pattern.
        elif not glob.has_magic(pattern) or location.exists():
            found.setdefault(_absolute(location), (location, location.stem))
        else:
            for path, stem in _matches(pattern):
                found.setdefault(_absolute(path), (path, stem))
    return dict(found.values())


def _absolute(path: Path) -> Path:
    """Where a path leads; the path itself where it cannot be one, which whoever opens it is going to say."""
    try:
        return path.resolve()
    except (OSError, ValueError):
        return path


def _matches(pattern: str) -> Iterator[tuple[Path, str]]:
    """The files that fit a pattern and are no results, and their names relative to the folder that it begins with."""
    fixed = Path(*takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts))
    names = (name for name in sorted(glob.glob(pattern, recursive=True)) if not name.endswith(_RESULTS))
    paths = [Path(name) for name in names if not Path(name).is_dir()]
    if not paths:
        raise InputError(f"{pattern}: no file fits this pattern")
    for path in paths:
        stem = os.path.normpath(path.relative_to(fixed).with_suffix(""))
        if Path(stem).parts[0] == "..":
            raise InputError(f"{pattern}: leads out of {fixed}, so results of {path} have no place; name its folder instead")
        yield path, Path(stem).as_posix()
