"""What is to be segmented: files that were named or fit a pattern, their headers checked, or a scene to be drawn."""

from __future__ import annotations

import glob
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rasterio import Affine
from rasterio.crs import CRS

from ovrs.errors import InputError
from ovrs.inference.nodata import Nodata
from ovrs.inference.outputs import distinct_stems
from ovrs.inference.rasters import DEFAULT_MAX_PIXELS, ImageInput, read_header, read_image
from ovrs.inference.results import result_names

# Side in pixels of a drawn scene: several tiles of the small model, yet seconds to segment.
_SCENE_SIZE = 640


@dataclass(frozen=True)
class Source:
    """One image to segment.

    Attributes:
        path: its file, or the one that it is going to be written to.
        read: gives its pixels.
        results: the names of the files that segmenting it writes.
        drawn: it has no file yet.
    """

    path: Path
    read: Callable[[], ImageInput]
    results: tuple[str, ...]
    drawn: bool = False


def list_sources(patterns: Sequence[str], nodata: Nodata = "auto", max_pixels: int = DEFAULT_MAX_PIXELS) -> list[Source]:
    """The images that paths and patterns name, every header checked.

    Raises:
        InputError: a pattern that fits no file, a file that cannot be segmented, or two files with the same stem.
    """
    paths = expand(patterns)
    headers = [read_header(path, max_pixels) for path in paths]
    distinct_stems(paths)

    def reader(path: Path) -> Callable[[], ImageInput]:
        return lambda: read_image(path, nodata=nodata, max_pixels=max_pixels)

    return [Source(head.path, reader(head.path), result_names(head.path.stem, head.has_crs)) for head in headers]


def drawn_source(seed: int, folder: Path) -> Source:
    """The procedural scene of a seed, to be written to ``folder`` together with its results."""
    path = folder / f"scene_{seed}.tif"
    return Source(path, lambda: _draw(seed, path), (path.name, *result_names(path.stem, georeferenced=True)), drawn=True)


def expand(patterns: Sequence[str]) -> list[Path]:
    """Files for paths and patterns (``*``, ``?``, ``[...]``, ``**``), in order, each once.

    Raises:
        InputError: a pattern that fits no file.
    """
    paths: dict[Path, Path] = {}
    for pattern in patterns:
        # A file whose name holds brackets is taken as it is, before it is tried as a pattern.
        found = [pattern]
        if glob.has_magic(pattern) and not Path(pattern).exists():
            found = sorted(glob.glob(pattern, recursive=True))
        if not found:
            raise InputError(f"{pattern}: no file fits this pattern")
        for name in found:
            paths.setdefault(Path(name).resolve(), Path(name))
    return list(paths.values())


def _draw(seed: int, path: Path) -> ImageInput:
    from ovrs.data.scenes import draw_scene

    scene = draw_scene(seed, size=_SCENE_SIZE)
    crs, transform = CRS.from_user_input(scene.crs), Affine(*scene.transform[:6])
    return ImageInput.from_array(scene.image, crs=crs, transform=transform, path=path, synthetic=True)
