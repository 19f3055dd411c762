"""What is to be segmented: files that were named or fit a pattern, their headers checked, or a scene to be drawn."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from affine import Affine
from rasterio.crs import CRS

from ovrs.errors import InputError
from ovrs.files import written_whole
from ovrs.inference.geotiff import Layer, write_raster
from ovrs.inference.outputs import distinct_stems
from ovrs.inference.rasters import read_header
from ovrs.inference.scene import ReadOptions

# Side in pixels of a drawn scene: several tiles of the small model, yet seconds to segment.
_SCENE_SIZE = 640


@dataclass(frozen=True)
class Source:
    """One image to segment.

    Attributes:
        path: its file.
        stem: what the names of its results begin with, folders included.
        has_crs: whether it has a coordinate reference system.
    """

    path: Path
    stem: str
    has_crs: bool

    @property
    def results(self) -> tuple[str, str, str]:
        """The names of the class map, the confidence map and the overlay."""
        suffix = "tif" if self.has_crs else "png"
        return f"{self.stem}.classes.{suffix}", f"{self.stem}.confidence.{suffix}", f"{self.stem}.overlay.png"


def list_sources(patterns: Sequence[str], options: ReadOptions | None = None) -> list[Source]:
    """The images that paths and patterns name, every header checked.

    Results of what a pattern finds in folders of its own (``archive/**/*.tif``) go into folders of the same names.

    Raises:
        InputError: a pattern that fits no file, a file that cannot be segmented, or two files with the same stem.
    """
    options = options or ReadOptions()
    sources = []
    for path, stem in expand(patterns).items():
        header = read_header(path, options.max_pixels, options.max_picture, options.bands)
        sources.append(Source(path, stem, header.has_crs))
    distinct_stems((source.path, source.stem) for source in sources)
    return sources


def draw_source(seed: int, folder: Path) -> Source:
    """Draw the procedural scene of a seed as a GeoTIFF in ``folder``."""
    from ovrs.data.scenes import draw_scene

    path = folder / f"scene_{seed}.tif"
    scene = draw_scene(seed, size=_SCENE_SIZE)
    layer = Layer(
        "uint8",
        None,
        count=3,
        tags={"SYNTHETIC": "drawn by ovrs from a seed, not a photograph"},
        options={"photometric": "RGB"},
    )
    with written_whole(path) as temporary:
        pieces = [(0, 0, scene.image.transpose(2, 0, 1))]
        write_raster(
            temporary, layer, pieces, scene.image.shape[:2], CRS.from_user_input(scene.crs), Affine(*scene.transform[:6])
        )
    return Source(path, path.stem, True)


def expand(patterns: Sequence[str]) -> dict[Path, str]:
    """Files for paths and patterns (``*``, ``?``, ``[...]``, ``**``), in order, each once, and the stem of its results.

    Raises:
        InputError: a pattern that fits no file.
    """
    found: dict[Path, tuple[Path, str]] = {}
    for pattern in patterns:
        # A file whose name holds brackets is taken as it is, before it is tried as a pattern.
        if not glob.has_magic(pattern) or Path(pattern).exists():
            found.setdefault(Path(pattern).resolve(), (Path(pattern), Path(pattern).stem))
            continue
        paths = [Path(name) for name in sorted(glob.glob(pattern, recursive=True)) if not Path(name).is_dir()]
        if not paths:
            raise InputError(f"{pattern}: no file fits this pattern")
        parts = Path(pattern).parts
        fixed = Path(*takewhile(lambda part: not glob.has_magic(part), parts))
        for path in paths:
            found.setdefault(path.resolve(), (path, path.relative_to(fixed).with_suffix("").as_posix()))
    return dict(found.values())
