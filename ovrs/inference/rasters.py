"""Files of images: what their headers say, pictures as eight-bit RGB with a mask, and the bands of a GeoTIFF.

The header is read first and apart (:func:`read_header`), so that a file that cannot be segmented is refused before anything is
decoded or computed. GeoTIFFs are read window by window (:mod:`ovrs.inference.scene`).
"""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ovrs.errors import InputError
from ovrs.inference.ground import ground_area
from ovrs.inference.nodata import Nodata, find_undeclared
from ovrs.inference.segmentation import Place

# A scene is never in memory as a whole; the limit is against a file that says it is endless.
DEFAULT_MAX_PIXELS = 10_000_000_000
DEFAULT_MAX_PICTURE = 100_000_000

# Numbers from 1 of the bands that stand for red, green and blue.
Bands = tuple[int, int, int]

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AS_TIFF = "pictures are read as eight-bit RGB; make it a GeoTIFF, whose bands can be chosen and stretched (--bands, --stretch)"
# What Pillow's decoders raise on a damaged file.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True)
class ImageInput:
    """An image in memory.

    Attributes:
        rgb: uint8 [H, W, 3], red first.
        valid: bool [H, W]; False where there is nodata.
        place: its grid.
    """

    rgb: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    place: Place

    @classmethod
    def from_picture(cls, picture: Image.Image) -> ImageInput:
        """Wrap a PIL image of eight bits a band; transparent pixels are not valid.

        Raises:
            InputError: an image of another depth, or without a pixel.
        """
        if picture.mode.startswith(("I", "F")):
            raise InputError(f"a picture of mode {picture.mode} is not of eight bits; convert it to RGB")
        rgb, valid = _pixels_of(picture)
        return cls.from_array(rgb, valid)

    @classmethod
    def from_array(
        cls,
        rgb: NDArray[np.uint8],
        valid: NDArray[np.bool_] | None = None,
        *,
        crs: CRS | None = None,
        transform: Affine | None = None,
        path: Path | None = None,
        synthetic: bool = False,
    ) -> ImageInput:
        """Wrap uint8 [H, W, 3]; every pixel is valid unless ``valid`` bool [H, W] says otherwise.

        Raises:
            InputError: another type or shape, or an image without a pixel.
        """
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise InputError(f"an image array is uint8 of shape (height, width, 3), not {rgb.dtype} of shape {rgb.shape}")
        if valid is None:
            valid = np.ones(rgb.shape[:2], dtype=bool)
        elif valid.dtype != np.bool_ or valid.shape != rgb.shape[:2]:
            raise InputError(f"a mask is bool of shape {rgb.shape[:2]}, not {valid.dtype} of shape {valid.shape}")
        return cls(rgb, valid, place_of(rgb.shape[0], rgb.shape[1], crs, transform, path, synthetic))


def place_of(
    height: int, width: int, crs: CRS | None, transform: Affine | None, path: Path | None, synthetic: bool = False
) -> Place:
    """The grid of an image, with the area of its pixels; without a CRS a transform says nothing."""
    if crs is None or transform is None:
        return Place(height, width, path=path, synthetic=synthetic)
    return Place(height, width, crs, transform, ground_area(crs, transform, width, height), path, synthetic)


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself before its pixels are decoded: size in pixels, and whether it has a CRS."""

    path: Path
    width: int
    height: int
    is_tiff: bool
    has_crs: bool


def parse_bands(text: str) -> Bands:
    """Read three numbers as ``4,3,2``.

    Raises:
        InputError: anything else.
    """
    numbers = [number.strip() for number in text.split(",")]
    if len(numbers) != 3 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise InputError(f"--bands {text!r}: give three numbers from 1, for red, green and blue, as 4,3,2")
    return int(numbers[0]), int(numbers[1]), int(numbers[2])


def read_header(
    path: str | os.PathLike[str],
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_picture: int = DEFAULT_MAX_PICTURE,
    bands: Bands | None = None,
) -> ImageHeader:
    """Check an image file without decoding its pixels.

    Args:
        max_pixels: largest GeoTIFF, which is read window by window.
        max_picture: largest PNG, JPEG or WebP, which is read at once.
        bands: of a GeoTIFF, see :func:`choose_bands`.

    Raises:
        InputError: the file is missing, empty, no image of a kind that is read, too large, or has no such bands.
    """
    path = Path(path)
    signature = _signature(path)
    if signature[:4] in _TIFF_SIGNATURES:
        with open_tiff(path) as dataset:
            choose_bands(path, dataset, bands)
            header = ImageHeader(path, dataset.width, dataset.height, True, dataset.crs is not None)
        limit, way_out = max_pixels, "raise it, or cut the scene"
    else:
        with _open_picture(path) as picture:
            _check_picture(path, picture, signature)
            header = ImageHeader(path, *picture.size, False, False)
        limit, way_out = max_picture, "make it a GeoTIFF, which is read window by window"
    if header.width * header.height > limit:
        raise InputError(
            f"{path}: {header.width} x {header.height} = {header.width * header.height:,} pixels are more than the "
            f"{limit:,} allowed; {way_out}"
        )
    return header


def read_picture(path: str | os.PathLike[str], *, nodata: Nodata = "auto", max_pixels: int = DEFAULT_MAX_PICTURE) -> ImageInput:
    """Read a PNG, JPEG or WebP, turned upright by its EXIF orientation. Transparent pixels are always left out.

    Args:
        nodata: what counts as invalid beside that, see :data:`Nodata`.

    Raises:
        InputError: as :func:`read_header`, or the pixels are truncated or damaged.
    """
    header = read_header(path, max_picture=max_pixels)
    rgb, declared = _read_picture(header.path)
    return ImageInput.from_array(rgb, declared & ~find_undeclared(rgb, declared, nodata), path=header.path)


def _signature(path: Path) -> bytes:
    """The first bytes of a file, enough to tell its kind and a PNG's depth."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the images in it, such as '{path}/*.tif'")
    try:
        with open(path, "rb") as file:
            signature = file.read(32)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if not signature:
        raise InputError(f"{path}: the file is empty")
    return signature


def open_tiff(path: Path) -> rasterio.DatasetReader:
    """Open a GeoTIFF for reading.

    Raises:
        InputError: its header is truncated or damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(path, driver="GTiff")
    except RasterioError as error:
        raise InputError(f"{path}: the TIFF is truncated or damaged ({error.__cause__ or error})") from error


def choose_bands(path: Path, dataset: rasterio.DatasetReader, wanted: Bands | None = None) -> Bands:
    """The numbers of the bands that stand for red, green and blue.

    Without ``wanted``: those that the file calls so; else its first three; a single band stands for all three.

    Raises:
        InputError: a band that the file does not have, values that are no real numbers, or more bands than colours without a
            word on which is which.
    """
    kinds = list(dataset.colorinterp)
    colors = [number for number, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha]
    named = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if wanted is not None:
        missing = [band for band in wanted if not 1 <= band <= dataset.count]
        if missing:
            raise InputError(
                f"{path}: has {_count(dataset.count, 'band')}, numbered from 1, and no band {missing[0]} (--bands)"
            )
        chosen = wanted
    elif all(kind in kinds for kind in named):
        chosen = (kinds.index(named[0]) + 1, kinds.index(named[1]) + 1, kinds.index(named[2]) + 1)
    elif len(colors) == 1:
        chosen = (colors[0],) * 3
    elif len(colors) == 3:
        chosen = (colors[0], colors[1], colors[2])
    else:
        raise InputError(
            f"{path}: has {_count(len(colors), 'band')} and does not say which are red, green and blue; "
            "name them, as in --bands 3,2,1"
        )
    kind = np.dtype(dataset.dtypes[chosen[0] - 1])
    if any(np.dtype(dataset.dtypes[band - 1]).kind not in "uif" for band in chosen):
        raise InputError(f"{path}: its bands are {kind.name}, not real numbers")
    return chosen


@contextmanager
def _open_picture(path: Path) -> Iterator[Image.Image]:
    """Open a PNG, JPEG or WebP; Pillow's own limit on pixels is off meanwhile, in favour of ours."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(path, formats=("PNG", "JPEG", "WEBP")) as picture:
            yield picture
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path}: is no PNG, JPEG, WebP or GeoTIFF image, or its header is damaged") from error
    except _DAMAGED as error:
        raise InputError(f"{path}: the image is truncated or damaged ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _check_picture(path: Path, picture: Image.Image, signature: bytes) -> None:
    # Pillow reads sixteen-bit colour as eight bits without a word, so a PNG's depth is taken from its header.
    if (picture.format == "PNG" and signature[24] == 16) or picture.mode.startswith(("I", "F")):
        raise InputError(f"{path}: its bands are of sixteen bits, not eight; {_AS_TIFF}")
    if picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "P"):
        raise InputError(f"{path}: its bands are {picture.mode}, not red, green, blue (and alpha); convert it to RGB")


def _read_picture(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    with _open_picture(path) as picture:
        picture.load()
        return _pixels_of(ImageOps.exif_transpose(picture))


def _pixels_of(picture: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """uint8 [H, W, 3], and bool [H, W] where it is not transparent."""
    if picture.mode in ("RGBA", "LA") or "transparency" in picture.info:
        pixels = np.asarray(picture.convert("RGBA"))
        return np.ascontiguousarray(pixels[..., :3]), pixels[..., 3] > 0
    rgb = np.array(picture.convert("RGB"))
    return rgb, np.ones(rgb.shape[:2], dtype=bool)


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
