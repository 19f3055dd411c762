"""What an entry of a data set stands for: image, mask and partners, read from its files or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ovrs.data.captions import read_caption
from ovrs.data.masks import Kind, read_codes
from ovrs.data.sar.encoding import SarEncoding
from ovrs.data.sar.raster import read_rgb_bands, read_sar
from ovrs.data.sar.upright import require_upright
from ovrs.data.table import ANYWHERE, NO_PARTNERS, ScenePartners, SceneRegions
from ovrs.errors import DataError

if TYPE_CHECKING:
    from ovrs.data.scenes import Scene

# Modes of more than 8 bits a channel. Pillow turns them to RGB by cutting off, which leaves most of an image white or black.
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclass(frozen=True, eq=False)
class Entry:
    """What was read or drawn.

    Attributes:
        image: uint8 [H, W, 3], RGB.
        codes: [H, W], the codes of its mask (see :class:`~ovrs.data.masks.MaskEncoding`).
        sar: float32 [S, H, W], NaN where nothing was measured; None where the data set has no SAR.
        description: what is said of the image, "" for nothing; None where the data set describes none.
    """

    image: NDArray[np.uint8]
    codes: NDArray[np.integer]
    sar: NDArray[np.float32] | None = None
    description: str | None = None

    @property
    def nbytes(self) -> int:
        """What its pixels take in memory."""
        return self.image.nbytes + self.codes.nbytes + (0 if self.sar is None else self.sar.nbytes)


# Drawing a scene costs ten times what reading and augmenting one does, so each process keeps what it has drawn.
_kept_scenes: dict[tuple[int, int, int, ScenePartners, SceneRegions], Entry] = {}


def read_entry(entry: dict[str, Any], kind: Kind, sar: SarEncoding | None = None, *, kept_bytes: float = 0.0) -> Entry:
    """What an entry stands for.

    Args:
        kind: how its mask names classes.
        sar: how its SAR files are encoded, where it has any.
        kept_bytes: a drawn scene is kept for the next time as long as all that are kept take no more than this.

    Raises:
        DataError: a file cannot be read, or SAR and image do not lie on one grid, or one is stored turned.
    """
    if "scene_seed" in entry:
        return _scene(entry, kept_bytes)
    path, partners = entry["file_name"], entry.get("sar_file_names", ())
    if partners and path not in partners:
        require_upright(path, kinds=None)  # Pillow turns a TIFF too
        require_upright(*partners)
    image = read_rgb_bands(path) if path in partners else read_rgb(path)
    measured = read_sar(partners, sar, image=path, size=image.shape[:2]) if partners and sar else None
    return Entry(image, read_codes(entry["sem_seg_file_name"], kind), measured, read_caption(entry))


def _scene(entry: dict[str, Any], kept_bytes: float) -> Entry:
    from ovrs.data.scenes import draw_scene
    from ovrs.data.scenes.clouds import drawn_sky

    partners: ScenePartners = entry.get("scene_partners", NO_PARTNERS)
    regions: SceneRegions = entry.get("scene_regions", ANYWHERE)
    key = (entry["scene_seed"], entry["scene_index"], entry["scene_size"], partners, regions)
    if key in _kept_scenes:
        return _kept_scenes[key]
    clouds = drawn_sky(key[0], key[1], partners.cloudy_share, partners.cloud_cover)
    scene = draw_scene(key[0], key[1], size=key[2], clouds=clouds, regional=regions.regional, places=regions.places)
    drawn = Entry(
        scene.cloudy,
        scene.labels,
        _scene_sar(scene, partners.sar) if partners.sar else None,
        scene.summary if partners.descriptions else None,
    )
    if (len(_kept_scenes) + 1) * drawn.nbytes <= kept_bytes:
        _kept_scenes[key] = drawn
    return drawn


def _scene_sar(scene: Scene, form: str) -> NDArray[np.float32]:
    """A scene's backscatter [1, H, W], in decibels or stretched over 0..255."""
    measured = scene.sar_view if form == "8bit" else scene.sar_decibels
    return measured.astype(np.float32)[None]


def read_rgb(path: str) -> NDArray[np.uint8]:
    """An 8-bit image as RGB [H, W, 3], turned as its EXIF tag says.

    Raises:
        DataError: the file cannot be read, or has more than 8 bits a channel.
    """
    try:
        with Image.open(path) as file:
            mode = file.mode
            if mode not in _DEEP_MODES:
                return np.array(ImageOps.exif_transpose(file).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not readable as an image: {error}") from error
    raise DataError(f"{path}: has more than 8 bits a channel (mode {mode}); stretch it to 8 bits first")


def shown_size(image: NDArray) -> str:
    """Width and height of an image [H, W, ...] in words."""
    return f"{image.shape[1]} x {image.shape[0]} pixels"
