"""The image alone, its SAR partner alone, and both: three maps of one scene, and the picture that compares them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from ovrs.errors import InputError
from ovrs.files import written_whole
from ovrs.inference.asking import Words
from ovrs.inference.batch import Job, is_done
from ovrs.inference.maps import reduced_size
from ovrs.inference.opening import open_scene
from ovrs.inference.outputs import OutputFolder
from ovrs.inference.partner import Partner, SarInput, open_partner
from ovrs.inference.reading import ReadOptions
from ovrs.inference.resampling import Window
from ovrs.inference.sar_options import Modalities
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmented import Labels, Place
from ovrs.inference.segmenter import AnyImage, Segmenter
from ovrs.inference.sentence import Sentence
from ovrs.inference.sources import Source
from ovrs.inference.targets import Target
from ovrs.pictures import PANEL, Picture, hatch, side_by_side
from ovrs.vocabulary import Vocabulary

CAPTIONS: dict[Modalities, str] = {"optical": "optical only", "sar": "SAR only", "both": "both"}
# SAR is shown between these percentiles of what it measured.
_SHOWN = (2, 98)
# Rows of the maps that are counted at a time.
_ROWS = 1024


@dataclass(frozen=True)
class Comparison:
    """Three maps of one image.

    Attributes:
        maps: what was made from the image alone, from SAR alone, and from both.
        sar: the SAR partner as a picture, uint8 [h, w, 3].
    """

    maps: Mapping[Modalities, Segmentation]
    sar: Picture

    def shares(self) -> dict[str, dict[str, float]]:
        """Of each map the share per class, 0..1, of the pixels that are valid in all three: of the same ground.

        All 0 where there are none. What one map covers by itself is its own ``maps[...].shares()``.
        """
        names = self.maps["both"].vocabulary.names
        pixels = np.zeros((len(self.maps), len(names)), dtype=np.int64)
        for strips in zip(*(result.maps.strips(_ROWS) for result in self.maps.values()), strict=True):
            labels = [of_one for _, of_one, _ in strips]
            common = _common(labels, len(names))
            pixels += [np.bincount(each[common], minlength=len(names)) for each in labels]
        of_all = pixels / max(int(pixels[0].sum()), 1)
        return {
            CAPTIONS[how]: dict(zip(names, map(float, row), strict=True)) for how, row in zip(self.maps, of_all, strict=True)
        }

    def plot(self) -> Image.Image:
        """The image, its SAR partner and the three maps side by side, with the shares of classes."""
        both = self.maps["both"]
        labels = {how: result.preview[1] for how, result in self.maps.items()}
        return _picture(both.preview[0], self.sar, labels, both.vocabulary, both.place)


def compare_modalities(
    segmenter: Segmenter,
    image: AnyImage,
    words: Words | Sentence,
    *,
    sar: SarInput,
    output: str | os.PathLike[str] | None = None,
    options: ReadOptions | None = None,
    **how: Any,
) -> Comparison:
    """Map an image three times: from its colours alone, from its SAR partner alone, and from both.

    Args:
        image, words, sar, options: as for :meth:`Segmenter.segment`.
        output: the class map of both, ``DIR/NAME.tif`` or ``.png``; those of one alone go beside it, as ``NAME.optical.tif``
            and ``NAME.sar.tif``, and the picture as ``NAME.modalities.png``. Without it nothing is written.
        how: ``description`` and whatever else :meth:`Segmenter.segment` takes.

    Raises:
        InputError: also where the model reads no SAR.
        OutputError: also before anything is computed, where one of the files would overwrite the image or its partner.
    """
    if not segmenter.reads_sar:
        raise InputError("this model reads no SAR, so there is nothing to compare")
    named: dict[Modalities, Path | None] = dict.fromkeys(CAPTIONS)
    if output is not None:
        path = Path(output)
        stem = path.stem.removesuffix(".classes")
        ending = path.name.removeprefix(stem)
        named = {each: path if each == "both" else path.with_name(f"{stem}.{each}{ending}") for each in CAPTIONS}
        picture = path.with_name(f"{stem}.modalities.png")
        _check_targets(image, sar, [*filter(None, named.values())], picture, options, how)
    maps = {
        each: segmenter.segment(image, words, sar=sar, options=options, modalities=each, output=file, **how)
        for each, file in reversed(named.items())
    }
    place, shape = maps["both"].place, maps["both"].preview[1].shape
    with open_partner(sar, place, (options or ReadOptions()).sar) as partner:
        seen = sar_picture(partner, (shape[0], shape[1]))
    comparison = Comparison({each: maps[each] for each in CAPTIONS}, seen)
    if output is not None:
        _save(comparison.plot(), picture)
    return comparison


def draw_from_results(source: Source, job: Job) -> Path | None:
    """Draw the picture that compares maps which are written already.

    Args:
        source: an image with a SAR partner; the names of its maps end as :func:`modalities_asked` says.
        job: with which both were read.

    Returns:
        The picture, or None where one of the maps is missing, or of an earlier run because its own has failed.

    Raises:
        OvrsError: the image, its partner or a map cannot be read (any more), or the picture cannot be written.
    """
    mapped = {how: source.with_ending("" if how == "both" else f".{how}") for how in CAPTIONS}
    files = {how: job.output / each.results[0] for how, each in mapped.items()}
    there = all(file.is_file() for file in files.values()) and all(is_done(each, job) for each in mapped.values())
    if source.sar is None or not there:
        return None
    with open_scene(source.path, job.read) as scene:
        place, size = scene.place, reduced_size((scene.height, scene.width), PANEL)
        image = scene.reduced(size)
    with open_partner(source.sar, place, job.read.sar) as partner:
        seen = sar_picture(partner, size)
    labels = {how: _reduced_labels(file, size) for how, file in files.items()}
    vocabulary = job.vocabulary.asked(True)[0] if isinstance(job.vocabulary, Sentence) else job.vocabulary
    path = job.output / source.picture
    _save(_picture(image, seen, labels, vocabulary, place), path)
    return path


def sar_picture(partner: Partner, size: tuple[int, int]) -> Picture:
    """The first polarisation in ``size`` (rows, columns) pixels as grey uint8 [h, w, 3]; hatched where nothing was measured."""
    values = partner.on(size, Window(0, size[0], 0, size[1]))[0]
    known = np.isfinite(values)
    if not known.any():
        return hatch(*size)
    low, high = np.percentile(values[known], _SHOWN)
    grey = np.clip((np.where(known, values, low) - low) / max(high - low, 1e-6), 0, 1) * 255
    return np.where(known[..., None], np.rint(grey).astype(np.uint8)[..., None], hatch(*size)).astype(np.uint8)


def _picture(
    image: Picture, sar: Picture, labels: Mapping[Modalities, Labels], vocabulary: Vocabulary, place: Place
) -> Image.Image:
    title = "image" if place.path is None else place.path.name
    title = f"{title} (synthetic)" if place.synthetic else title
    maps = {CAPTIONS[how]: labels[how] for how in CAPTIONS}
    common = _common(list(maps.values()), len(vocabulary.names))
    return side_by_side(image, maps, vocabulary, title, beside={"SAR": sar}, counted=common)


def _common(maps: Sequence[Labels], names: int) -> NDArray[np.bool_]:
    """Which pixels have one of so many names in all maps."""
    return np.logical_and.reduce([labels < names for labels in maps])


def _check_targets(
    image: AnyImage, sar: SarInput, files: Sequence[Path], picture: Path, options: ReadOptions | None, how: Mapping[str, Any]
) -> None:
    kinds = bool(how.get("probabilities")), bool(how.get("overlay"))
    targets = [Target.of(file, probabilities=kinds[0], overlay=kinds[1]) for file in files]
    with open_scene(image, options) as scene:
        for target in targets:
            target.check(scene.place, sar)
        inputs = [scene.place.path] if scene.place.path is not None else []
        inputs += [Path(sar)] if isinstance(sar, (str, os.PathLike)) else []
        OutputFolder(picture.parent).check_targets([picture.name], inputs)


def _reduced_labels(path: Path, size: tuple[int, int]) -> NDArray[np.unsignedinteger[Any]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as file:
                return np.asarray(file.read(1, out_shape=size, resampling=Resampling.nearest))
    except RasterioError as error:
        raise InputError(f"{path}: this map is damaged ({error.__cause__ or error}); remove it and segment again") from error


def _save(picture: Image.Image, path: Path) -> None:
    with written_whole(path) as temporary:
        picture.save(temporary, "PNG")
