"""A scene drawn from a seed, in the place of files: an image, its SAR partner, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from ovrs.files import written_whole
from ovrs.inference.geotiff import Layer, as_bands, write_raster
from ovrs.inference.segmented import Place
from ovrs.inference.sources import Source

if TYPE_CHECKING:
    from ovrs.inference.segmenter import Segmenter

# Side in pixels of a drawn scene: several tiles of the small model, yet seconds to segment.
_SIZE = 640


@dataclass(frozen=True)
class Drawn:
    """A drawn scene in files.

    Attributes:
        source: its image, with its SAR partner where one was asked for.
        description: what is said of the whole scene; "" for a model that reads none.
    """

    source: Source
    description: str


def draw_for(segmenter: Segmenter, seed: int, folder: Path, *, clouds: float = 0.0) -> Drawn:
    """Draw a scene with what a model reads beside an image, SAR on the scale that it learnt from; see :func:`draw_source`.

    For a model that reads what a place looks like, the scene looks like its place, and nothing else is said of it. A scene has
    one polarisation: for a model that reads two it has no SAR partner.
    """
    sar = ""
    if segmenter.reads_sar and segmenter.sar_bands <= 1:
        sar = "db" if getattr(segmenter.model, "sar_scale", "") == "db" else "8bit"
    drawn = draw_source(seed, folder, clouds=clouds, sar=sar, regional=segmenter.reads_places)
    own_words = segmenter.reads_descriptions and not segmenter.reads_places  # others are told of its place and zone
    return drawn if own_words else replace(drawn, description="")


def draw_source(seed: int, folder: Path, *, clouds: float = 0.0, sar: str = "", regional: bool = False) -> Drawn:
    """Draw the procedural scene of a seed as a GeoTIFF in ``folder``.

    Args:
        clouds: the share (0..1) of the image that they cover; neither SAR nor what is said changes with it.
        sar: the scale of the SAR partner that goes beside it, ``8bit`` or ``db``; "" for none.
        regional: whether vegetation, soil and roofs look as they do in the scene's climate zone.

    Raises:
        OutputError: a file cannot be written.
    """
    from ovrs.data.scenes import draw_scene

    scene = draw_scene(seed, size=_SIZE, clouds=clouds, regional=regional)
    where = CRS.from_user_input(scene.crs), Affine(*scene.transform[:6])
    image = folder / f"scene_{seed}{'_cloudy' if clouds else ''}.tif"
    _write(image, scene.cloudy.transpose(2, 0, 1), *where, {"CLIMATE_ZONE": scene.setting.climate}, photometric="RGB")
    partner = None
    if sar:
        partner = image.with_name(f"{image.stem}_sar.tif")
        _write(partner, scene.sar_view if sar == "8bit" else scene.sar_decibels, *where, {})
    return Drawn(Source(image, image.stem, has_crs=True, sar=partner), scene.summary)


def drawn_place(seed: int) -> Place:
    """Where the scene of a seed lies, without drawing it: its middle, its zone and the size of its pixels are right."""
    from ovrs.data.scenes.scene import scene_setting

    setting, gsd = scene_setting(seed, 0, size=_SIZE)
    around = Affine(1, 0, setting.lon - _SIZE / 2, 0, -1, setting.lat + _SIZE / 2)
    where = CRS.from_epsg(4326), around, gsd**2
    return Place(_SIZE, _SIZE, *where, path=Path(f"scene_{seed}.tif"), synthetic=True, zone=setting.climate)


def _write(path: Path, values: NDArray[Any], crs: CRS, transform: Affine, facts: Mapping[str, str], **options: object) -> None:
    bands = as_bands(np.ascontiguousarray(values))
    tags = {"SYNTHETIC": "drawn by ovrs from a seed, not a photograph", **facts}
    layer = Layer(values.dtype.name, None, count=len(bands), tags=tags, options=options)
    with written_whole(path) as temporary:
        write_raster(temporary, layer, [(0, 0, bands)], bands.shape[1:], crs, transform)
