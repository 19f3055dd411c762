"""Which SAR file belongs to which image, by their names, and whether the two lie on one grid."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from ovrs.data.sar.grids import Grid, require_places, require_same_grid
from ovrs.data.sar.raster import open_raster
from ovrs.data.sar.upright import require_upright
from ovrs.errors import InputError, OvrsError
from ovrs.inference.addresses import Location
from ovrs.inference.partner import WAY_OUT, encoding_of
from ovrs.inference.rasters import read_header
from ovrs.inference.reading import ReadOptions
from ovrs.inference.sources import Source, expand
from ovrs.inference.tiff import open_tiff

_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg", ".img")
# Parts of a file's name that say which of the two it is: town_s2.tif and town_s1.tif are a pair.
_KINDS = {"sar", "s1", "sentinel1", "radar", "vv", "vh", "opt", "optical", "rgb", "s2", "sentinel2"}

# Bands of a file that may hold an image's colours.
_COLOURS = 3


def with_partners(sources: Sequence[Source], sar: Sequence[str], options: ReadOptions) -> list[Source]:
    """The same images with their SAR files, the grids of every pair compared.

    One file is the partner of one image, whatever they are called. Of several, files belong together whose names are the same
    up to the suffix and to a part like ``s1`` or ``sar``, folders below the pattern's own included where they tell more than
    one file apart. No image is its own partner: what both name is SAR, unless the image was named by itself or SAR only as part
    of a folder. (The same files may hold both, SAR in bands beyond the third that ``options`` name.)

    Args:
        sar: files, patterns, or folders whose rasters are meant.
        options: how files are read.

    Raises:
        InputError: no file of that name, no image has a partner, or there are no files left that are not images.
        PairError: no pair lies on one grid. Where some do, the others fail when their turn comes.
    """
    if not sar:
        return list(sources)
    sources, files = _told_apart(sources, sar, options)
    whatever_called = len(files) == 1 and len(sources) == 1
    found = [_paired(source, files, options, whatever_called) for source in sources]
    errors = [error for _, error in found if error is not None]
    if errors and all(source.refused for source, _ in found):
        raise errors[0]
    return [source for source, _ in found]


def _told_apart(
    sources: Sequence[Source], sar: Sequence[str], options: ReadOptions
) -> tuple[Sequence[Source], dict[Path, str]]:
    """Images, and the files that are SAR and what they are called; none is both."""
    files = _files(sar)
    images, of_sar = {_place(source) for source in sources}, {path.resolve() for path in files}
    if images == of_sar and options.sar.bands is not None and min(options.sar.bands) > _COLOURS:
        return sources, files
    surely = {path.resolve() for path in _files(text for text in sar if not os.path.isdir(text))}
    left = [source for source in sources if source.named or _place(source) not in surely]
    images = {_place(source) for source in left}
    files = {path: stem for path, stem in files.items() if path.resolve() not in images}
    if not left or not files:
        raise InputError(
            f"{sources[0].path}: is named as an image (--input) and as SAR (--sar), and what both name leaves no "
            f"{'SAR file' if left else 'image'}; name the files of either apart, as '*_s2.tif' and '*_s1.tif'"
        )
    return left, files


def _place(source: Source) -> Location:
    return source.path.resolve() if isinstance(source.path, Path) else source.path


def _paired(
    source: Source, files: dict[Path, str], options: ReadOptions, whatever_called: bool
) -> tuple[Source, OvrsError | None]:
    if source.refused:
        return source, None
    try:
        partner = next(iter(files)) if whatever_called else _partner_of(source, files)
        _check(source.path, partner, options)
    except OvrsError as error:
        return replace(source, refused=str(error)), error
    return replace(source, sar=partner), None


def _check(image: Location, sar: Path, options: ReadOptions) -> None:
    """Whether a pair can be read together.

    Raises:
        PairError: they lie on different grids, and SAR is not to be resampled or cannot be; or one of them is stored turned.
        InputError: its scale cannot be told, it has no such bands, or a filter does not suit it.
        DataError: the SAR file cannot be read, or its values are of another scale.
    """
    header = read_header(image, options)
    require_upright(*([image] if isinstance(image, Path) else []), sar)
    grid = Grid(header.width, header.height)
    if header.kind != "picture":
        with open_tiff(image, is_vrt=header.kind == "VRT") as dataset:
            grid = Grid.of(dataset)
    names = str(image), str(sar)
    with open_raster(os.fspath(sar)) as dataset:
        own = Grid.of(dataset)
        try:
            require_same_grid(grid, own, names=names, way_out=WAY_OUT)
        except OvrsError:
            if not options.sar.resample:
                raise
            require_places(grid, own, names=names)
        encoding_of(dataset, options.sar, 1, sar, image=image)


def _partner_of(source: Source, files: dict[Path, str]) -> Path:
    """The file that is called as an image is.

    Raises:
        InputError: none is, or several are.
    """
    for called in (str, _name, _bare_name):
        same = [path for path, stem in files.items() if called(stem) == called(source.stem)]
        if len(same) == 1:
            return same[0]
        if same:
            raise InputError(
                f"{source.path}: {same[0]} and {same[1]} may both be its SAR partner (--sar); name one of them, or stack them "
                f"where they are two polarisations: rio stack {same[0].name} {same[1].name} -o {_name(source.stem)}_sar.tif"
            )
    folders = ", ".join(sorted({str(path.parent) for path in files})[:3])
    raise InputError(
        f"{source.path}: no SAR partner called {_name(source.stem)!r} among {len(files)} files in {folders} (--sar)"
    )


def _name(stem: str) -> str:
    return PurePath(stem).name


def _bare_name(stem: str) -> str:
    """The name without what says which of the two it is."""
    parts = re.split(r"[\s._-]+", _name(stem).casefold())
    return "_".join(part for part in parts if part not in _KINDS) or _name(stem)


def _files(sar: Iterable[str]) -> dict[Path, str]:
    """Files by path, and what they are called: their paths below the pattern or folder, without a suffix.

    Raises:
        InputError: a file that there is not, a folder without rasters, or a pattern that fits none.
    """
    found: dict[Path, str] = {}
    for text in sar:
        if os.path.isdir(text):
            if not any(path.suffix.lower() in _SUFFIXES for path in Path(text).rglob("*")):
                raise InputError(f"--sar {text}: there is no raster in this folder; those end in {', '.join(_SUFFIXES)}")
            inside = expand([os.path.join(glob.escape(text), "**", "*")])
            named = {path: stem for path, stem in inside.items() if str(path).lower().endswith(_SUFFIXES)}
        else:
            named = expand([text])
        for path, stem in named.items():
            if not isinstance(path, Path) or not path.exists():
                raise InputError(f"--sar {path}: no such file")
            # A file that was named without a pattern is called by its own name, wherever it lies.
            found[path] = stem if os.path.isdir(text) or glob.has_magic(text) else path.stem
    return found
