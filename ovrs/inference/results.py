"""Writing a map: class raster, confidence raster and overlay, all of them or none.

A georeferenced image gets GeoTIFFs on its own grid (tiled, deflate): classes with a colour table, confidence as float32 of 0..1
with NaN as nodata. Other images get PNGs: classes with a palette (sixteen bits of grey above 254 names), confidence in eight
bits, where 0..254 stands for 0..1 and 255 for nodata. Names and provenance are in the TIFFs' tags and the PNGs' text chunks.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ovrs.errors import OutputError
from ovrs.inference.outputs import OutputFolder
from ovrs.inference.pictures import draw_overlay
from ovrs.inference.rasters import ImageInput
from ovrs.inference.segmentation import Segmentation

_BLOCK = 256


def result_names(stem: str, georeferenced: bool) -> tuple[str, str, str]:
    """The names of the class map, the confidence map and the overlay of an image."""
    suffix = "tif" if georeferenced else "png"
    return f"{stem}.classes.{suffix}", f"{stem}.confidence.{suffix}", f"{stem}.overlay.png"


def write_results(segmentation: Segmentation, folder: OutputFolder, stem: str, *, with_image: bool = False) -> list[Path]:
    """Write the files of one map and return their paths.

    Args:
        with_image: also write the image itself as ``<stem>.tif`` (for an image that has no file yet).

    Raises:
        OutputError: a file cannot be written; then none of them is.
    """
    georeferenced = segmentation.image.crs is not None
    classes, confidence, overlay = result_names(stem, georeferenced)
    writers: dict[str, Callable[[Path], None]] = {
        classes: lambda path: (_classes_tiff if georeferenced else _classes_png)(segmentation, path),
        confidence: lambda path: (_confidence_tiff if georeferenced else _confidence_png)(segmentation, path),
        overlay: lambda path: draw_overlay(segmentation).save(path, "PNG"),
    }
    if with_image:
        writers = {f"{stem}.tif": lambda path: write_image(segmentation.image, path), **writers}
    return folder.publish(writers)


def write_image(image: ImageInput, path: Path) -> None:
    """Write the pixels of an image as GeoTIFF."""
    tags = {"SYNTHETIC": "drawn by ovrs from a seed, not a photograph"} if image.synthetic else {}
    _write_tiff(path, image, image.rgb.transpose(2, 0, 1), tags, photometric="RGB")


def tags_of(segmentation: Segmentation) -> dict[str, str]:
    """Names by map value, vocabulary and provenance, as text by tag name."""
    vocabulary = segmentation.vocabulary
    words = [list(cls.words) for cls in vocabulary.classes]
    background = vocabulary.background
    policy = {"none": "none", "words": ", ".join(background.words), "threshold": f"confidence below {background.threshold:g}"}
    return {
        "CLASS_NAMES": json.dumps(vocabulary.names, ensure_ascii=False),
        **{f"CLASS_{index}": name for index, name in enumerate(vocabulary.names)},
        "VOCABULARY": json.dumps(words, ensure_ascii=False),
        "BACKGROUND": policy[background.policy],
        **dict(segmentation.provenance),
        **({"SOURCE": segmentation.image.path.name} if segmentation.image.path is not None else {}),
        **({"SYNTHETIC": "of an image drawn by ovrs, not a photograph"} if segmentation.image.synthetic else {}),
    }


def _classes_tiff(segmentation: Segmentation, path: Path) -> None:
    colors = {index: (*map(int, color), 255) for index, color in enumerate(segmentation.vocabulary.palette)}
    colors[segmentation.nodata] = (0, 0, 0, 0)
    bands = segmentation.labels[None]
    _write_tiff(path, segmentation.image, bands, tags_of(segmentation), colors=colors, nodata=segmentation.nodata)


def _confidence_tiff(segmentation: Segmentation, path: Path) -> None:
    tags = {**tags_of(segmentation), "CONTENT": "confidence of the class at each pixel, 0..1; NaN = nodata"}
    _write_tiff(path, segmentation.image, segmentation.confidence[None], tags, nodata=float("nan"), predictor=3)


def _write_tiff(
    path: Path,
    image: ImageInput,
    bands: NDArray[Any],
    tags: dict[str, str],
    *,
    colors: dict[int, tuple[int, ...]] | None = None,
    **options: object,
) -> None:
    """Write [bands, H, W] as GeoTIFF on an image's grid."""
    profile = {
        "driver": "GTiff",
        "count": bands.shape[0],
        "height": bands.shape[1],
        "width": bands.shape[2],
        "dtype": bands.dtype.name,
        "crs": image.crs,
        "transform": image.transform,
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "BIGTIFF": "IF_SAFER",
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **{**profile, **options}) as dataset:
                dataset.write(bands)
                dataset.update_tags(**tags)
                if colors is not None:
                    dataset.write_colormap(1, colors)
    except RasterioError as error:
        raise OutputError(f"{path.name}: cannot be written: {error.__cause__ or error}") from error


def _classes_png(segmentation: Segmentation, path: Path) -> None:
    picture = Image.fromarray(segmentation.labels)
    if segmentation.nodata == 255:
        palette = np.zeros((256, 3), dtype=np.uint8)
        palette[: len(segmentation.vocabulary)] = segmentation.vocabulary.palette
        # putpalette makes a paletted picture of this one without touching its values.
        picture.putpalette(palette.tobytes())
        picture.info["transparency"] = 255
    picture.save(path, "PNG", pnginfo=_text_chunks(tags_of(segmentation)))


def _confidence_png(segmentation: Segmentation, path: Path) -> None:
    scaled = np.nan_to_num(np.rint(segmentation.confidence * 254), nan=255).astype(np.uint8)
    tags = {**tags_of(segmentation), "CONTENT": "confidence of the class at each pixel: value / 254; 255 = nodata"}
    Image.fromarray(scaled).save(path, "PNG", pnginfo=_text_chunks(tags))


def _text_chunks(tags: dict[str, str]) -> PngInfo:
    chunks = PngInfo()
    for name, text in tags.items():
        if text.isascii():
            chunks.add_text(name, text)
        else:
            chunks.add_itxt(name, text)
    return chunks
