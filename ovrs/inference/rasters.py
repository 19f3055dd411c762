"""Reading images: PNG, JPEG, WebP and GeoTIFF into eight-bit RGB with a mask of valid pixels and a place on Earth.

The header is read first and apart (:func:`read_header`), so that a file that cannot be segmented is refused before anything is
decoded or computed.
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

DEFAULT_MAX_PIXELS = 100_000_000

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LATER = "choosing and stretching bands (--bands, --stretch) comes in a later version; give an image of three eight-bit bands"
# What Pillow's decoders raise on a damaged file.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True)
class ImageInput:
    """An image as it is segmented.

    Attributes:
        rgb: uint8 [H, W, 3], red first.
        valid: bool [H, W]; False where there is nodata.
        crs: the coordinate reference system, None where the file has none.
        transform: from (column, row) to the CRS's coordinates, None without a CRS.
        path: the file that it came from, or that it is going to be.
        pixel_area: ground area of a pixel in square metres, None where unknown.
        synthetic: drawn by ovrs, not photographed.
    """

    rgb: NDArray[np.uint8]
    valid: NDArray[np.bool_]
    crs: CRS | None = None
    transform: Affine | None = None
    path: Path | None = None
    pixel_area: float | None = None
    synthetic: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.rgb.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.rgb.shape[1])

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
        area = None if crs is None or transform is None else ground_area(crs, transform, rgb.shape[1], rgb.shape[0])
        return cls(rgb, valid, crs, transform if crs is not None else None, path, area, synthetic)


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself before its pixels are decoded: size in pixels, and whether it has a CRS."""

    path: Path
    width: int
    height: int
    is_tiff: bool
    has_crs: bool


def read_header(path: str | os.PathLike[str], max_pixels: int = DEFAULT_MAX_PIXELS) -> ImageHeader:
    """Check an image file without decoding its pixels.

    Raises:
        InputError: the file is missing, empty, no image of a kind that is read, of a band count or depth that cannot be
            segmented, or of more than ``max_pixels`` pixels.
    """
    path = Path(path)
    signature = _signature(path)
    if signature[:4] in _TIFF_SIGNATURES:
        with _open_tiff(path) as dataset:
            _tiff_bands(path, dataset)
            header = ImageHeader(path, dataset.width, dataset.height, True, dataset.crs is not None)
    else:
        with _open_picture(path) as picture:
            _check_picture(path, picture, signature)
            header = ImageHeader(path, *picture.size, False, False)
    pixels = header.width * header.height
    if pixels > max_pixels:
        raise InputError(
            f"{path}: {header.width} x {header.height} = {pixels:,} pixels are more than --max-pixels {max_pixels:,}; "
            "raise it if memory allows (about 20 bytes a pixel), or cut the image"
        )
    return header


def read_image(path: str | os.PathLike[str], *, nodata: Nodata = "auto", max_pixels: int = DEFAULT_MAX_PIXELS) -> ImageInput:
    """Read an image file. Pixels that the file declares invalid (nodata, alpha, mask) are always left out.

    A picture is turned upright by its EXIF orientation.

    Args:
        nodata: what counts as invalid beside that: ``"auto"``, where nothing is declared, black that touches the border;
            ``"none"``, nothing; or a value 0..255 that all three bands have.

    Raises:
        InputError: as :func:`read_header`, or the pixels are truncated or damaged.
    """
    header = read_header(path, max_pixels)
    crs, transform = None, None
    if header.is_tiff:
        rgb, declared, crs, transform = _read_tiff(header.path)
    else:
        rgb, declared = _read_picture(header.path)
    valid = declared & ~find_undeclared(rgb, declared, nodata)
    return ImageInput.from_array(rgb, valid, crs=crs, transform=transform, path=header.path)


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


@contextmanager
def _open_tiff(path: Path) -> Iterator[rasterio.DatasetReader]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, driver="GTiff") as dataset:
                yield dataset
    except RasterioError as error:
        raise InputError(f"{path}: the TIFF is truncated or damaged ({error.__cause__ or error})") from error


def _tiff_bands(path: Path, dataset: rasterio.DatasetReader) -> list[int]:
    """The numbers of the red, green and blue band, after checking that the file has them in eight bits."""
    kinds = list(dataset.colorinterp)
    if dataset.count not in (3, 4):
        raise InputError(f"{path}: has {_count(dataset.count, 'band')}, not three; {_LATER}")
    if set(dataset.dtypes) != {"uint8"}:
        raise InputError(f"{path}: its bands are {'/'.join(sorted(set(dataset.dtypes)))}, not eight bits; {_LATER}")
    if dataset.count == 4 and ColorInterp.alpha not in kinds:
        raise InputError(f"{path}: its fourth band is {kinds[3].name!r}, not alpha; {_LATER}")
    wanted = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
    if all(kind in kinds for kind in wanted):
        return [kinds.index(kind) + 1 for kind in wanted]
    return [number for number, kind in enumerate(kinds, start=1) if kind != ColorInterp.alpha][:3]


def _read_tiff(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_], CRS | None, Affine | None]:
    with _open_tiff(path) as dataset:
        bands = dataset.read(_tiff_bands(path, dataset))
        valid = dataset.dataset_mask() > 0
        transform = dataset.transform if dataset.crs is not None else None
        return np.ascontiguousarray(bands.transpose(1, 2, 0)), valid, dataset.crs, transform


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
        raise InputError(f"{path}: its bands are of sixteen bits, not eight; {_LATER}")
    if picture.mode in ("1", "L", "LA"):
        bands = "one band" if picture.mode != "LA" else "one band and alpha"
        raise InputError(f"{path}: has {bands}, not three; {_LATER}")
    if picture.mode not in ("RGB", "RGBA", "P"):
        raise InputError(f"{path}: its bands are {picture.mode}, not red, green, blue (and alpha); convert it to RGB")


def _read_picture(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    with _open_picture(path) as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        if upright.mode == "RGBA" or "transparency" in picture.info:
            pixels = np.asarray(upright.convert("RGBA"))
            return np.ascontiguousarray(pixels[..., :3]), pixels[..., 3] > 0
        pixels = np.array(upright.convert("RGB"))
        return pixels, np.ones(pixels.shape[:2], dtype=bool)


def _count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"
