"""Files of images: what their headers say, and pictures as eight-bit RGB with a mask.

The header is read first and apart (:func:`read_header`), so that a file that cannot be segmented is refused before anything is
decoded or computed. GeoTIFFs are read window by window (:mod:`ovrs.inference.tiff_scene`).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image, ImageOps
from rasterio.crs import CRS

from ovrs.errors import InputError
from ovrs.inference.addresses import Location, Remote, locate
from ovrs.inference.ground import ground_area, ground_areas
from ovrs.inference.nodata import Nodata, find_undeclared, nodata_in
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmented import Place
from ovrs.inference.tiff import check_size, choose_bands, open_tiff, reading

_TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AS_TIFF = "pictures are read as eight-bit RGB; make it a GeoTIFF, whose bands can be chosen and stretched (--bands, --stretch)"
_LARGER = "raise --max-pixels, or cut the scene"
_IN_WINDOWS = "make it a GeoTIFF, which is read window by window"
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
        path: Location | None = None,
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
    height: int, width: int, crs: CRS | None, transform: Affine | None, path: Location | None, synthetic: bool = False
) -> Place:
    """The grid of an image, with the area of its pixels; without a CRS a transform says nothing."""
    if crs is None or transform is None:
        return Place(height, width, path=path, synthetic=synthetic)
    size = crs, transform, width, height
    return Place(height, width, crs, transform, ground_area(*size), path, synthetic, ground_areas(*size))


def place_of_file(file: rasterio.DatasetReader, location: Location) -> Place:
    """The grid of an open GeoTIFF; our own drawings say that they are, and in which climate zone."""
    tags = file.tags()
    place = place_of(file.height, file.width, file.crs, file.transform, location, "SYNTHETIC" in tags)
    return replace(place, zone=tags.get("CLIMATE_ZONE", "")) if place.synthetic else place


@dataclass(frozen=True)
class ImageHeader:
    """What a file says of itself before its pixels are decoded.

    Attributes:
        location: the file.
        width, height: in pixels.
        kind: a GeoTIFF and a VRT are read in windows, a picture at once.
        has_crs: whether it has a coordinate reference system.
    """

    location: Location
    width: int
    height: int
    kind: Literal["TIFF", "VRT", "picture"]
    has_crs: bool


def read_header(image: str | os.PathLike[str] | Remote, options: ReadOptions | None = None) -> ImageHeader:
    """Check an image file, and whether the options suit it, without decoding its pixels.

    Raises:
        InputError: the file is missing, empty, no image of a kind that is read, too large, has no such bands or cannot hold
            the nodata value; or it lies elsewhere, and that is not allowed.
    """
    options = options or ReadOptions()
    location = locate(image, options.allow_remote)
    signature = b"" if isinstance(location, Remote) else _signature(location)
    is_vrt = b"<VRTDataset" in signature
    if is_vrt and not options.allow_remote:
        raise InputError(
            f"{location}: is a VRT, which may point to any file; read the files themselves, or trust it with --allow-remote"
        )
    if isinstance(location, Path) and not is_vrt and signature[:4] not in _TIFF_SIGNATURES:
        header, limit, way_out = _picture_header(location, signature, options.nodata), options.max_picture, _IN_WINDOWS
    else:
        header, limit, way_out = (
            _tiff_header(location, is_vrt, options),
            options.max_pixels,
            _LARGER,
        )
    if header.width * header.height > limit:
        raise InputError(
            f"{location}: {header.width} x {header.height} = {header.width * header.height:,} pixels are more than the "
            f"{limit:,} allowed; {way_out}"
        )
    return header


def _tiff_header(location: Location, is_vrt: bool, options: ReadOptions) -> ImageHeader:
    with open_tiff(location, is_vrt=is_vrt) as dataset, reading(location):
        for band in choose_bands(location, dataset, options.bands):
            nodata_in(options.nodata, dataset.dtypes[band - 1], location)
        header = ImageHeader(location, dataset.width, dataset.height, "VRT" if is_vrt else "TIFF", dataset.crs is not None)
        if header.width * header.height <= options.max_pixels:
            check_size(location, dataset)
        return header


def _picture_header(path: Path, signature: bytes, nodata: Nodata) -> ImageHeader:
    with _open_picture(path) as picture:
        _check_picture(path, picture, signature)
        nodata_in(nodata, np.uint8, path)
        return ImageHeader(path, *picture.size, "picture", False)


def read_picture(path: Path, *, nodata: Nodata = "auto") -> ImageInput:
    """Read a PNG, JPEG or WebP, turned upright by its EXIF orientation. Transparent pixels are always left out.

    Args:
        path: of a file whose header :func:`read_header` has accepted.
        nodata: what counts as invalid beside that, see :data:`Nodata`.

    Raises:
        InputError: the pixels are truncated or damaged.
    """
    rgb, declared = _read_picture(path)
    return ImageInput.from_array(rgb, declared & ~find_undeclared(rgb, declared, nodata), path=path)


def _signature(path: Path) -> bytes:
    """The first bytes of a file, enough to tell its kind and a PNG's depth."""
    try:
        with open(path, "rb") as file:
            signature = file.read(1024)
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; name the images in it, such as '{path}/*.tif'") from error
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except OSError as error:
        raise InputError(f"{str(path)[:200]}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"{str(path)!r}: is no name of a file: {error}") from error
    if not signature:
        raise InputError(f"{path}: the file is empty")
    return signature


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
