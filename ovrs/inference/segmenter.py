"""The public Python interface: a model, an image and words in, a map out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import PIL.Image
import rasterio
from numpy.typing import NDArray

import ovrs
from ovrs.errors import InputError
from ovrs.inference.addresses import Remote
from ovrs.inference.asking import Words, asked
from ovrs.inference.climate_options import ClimateOptions
from ovrs.inference.decision import Decision
from ovrs.inference.grounding import ground
from ovrs.inference.hints import Hints
from ovrs.inference.loading import load_system
from ovrs.inference.maps import Digest, FileMaps, UnitMaps
from ovrs.inference.opening import open_scene
from ovrs.inference.paired_scene import PairedScene, beside
from ovrs.inference.partner import SarInput, open_partner
from ovrs.inference.quality import QualityName
from ovrs.inference.rasters import ImageInput
from ovrs.inference.reading import ReadOptions
from ovrs.inference.sar_options import Modalities
from ovrs.inference.scene import Scene
from ovrs.inference.segmentation import Referred, Segmentation
from ovrs.inference.sentence import How, Sentence
from ovrs.inference.streaming import Plan, plan_scene, stream
from ovrs.inference.targets import Target
from ovrs.inference.tile_models import TileModel
from ovrs.inference.vectors import VectorOptions
from ovrs.inference.whereabouts import whereabouts_for
from ovrs.inference.work import Work, WorkFolder, WorkInMemory, resumable
from ovrs.vocabulary import Vocabulary

DEFAULT_IN_MEMORY = 100_000_000
# GDAL would take a share of all memory for blocks it has read [bytes].
_RASTER_CACHE = 64 * 2**20

Progress = Callable[[int, int], None]
AnyImage = str | os.PathLike[str] | Remote | NDArray[np.uint8] | PIL.Image.Image | ImageInput


class Segmenter:
    """Segments images by words.

    Example:
        >>> segmenter = Segmenter.from_config("mini")
        >>> result = segmenter.segment("harbour.tif", "ship|boat, quay, water")
        >>> result.labels.shape, result.areas()
    """

    def __init__(
        self, model: TileModel, provenance: Sequence[tuple[str, str]] = (), in_memory: int = DEFAULT_IN_MEMORY
    ) -> None:
        """``provenance`` goes into the tags of what is written.

        Maps of more than ``in_memory`` values that are to be written are put by on disk while they are made, and interrupted
        work can be resumed.
        """
        self.model = model
        self.hints = Hints()
        self.in_memory = in_memory
        self.provenance = (("SOFTWARE", f"ovrs {getattr(ovrs, '__version__', '')}".strip()), *provenance)

    @classmethod
    def from_config(
        cls,
        config_file: str = "mini",
        weights: str | None = None,
        options: Sequence[Any] = (),
        device: str | None = None,
        quality: QualityName = "best",
    ) -> Segmenter:
        """Build the model of a configuration and load its weights.

        Args:
            config_file: a configuration file or a bare name (see :func:`ovrs.config.load_config`).
            weights: a weights file; None takes ``MODEL.WEIGHTS``, ``"random"`` leaves the model untrained.
            options: alternating configuration keys and values.
            device: ``"cpu"``, ``"cuda:1"``, ...; None takes ``MODEL.DEVICE`` where it works here, else the best there is.
            quality: ``"fast"`` and ``"balanced"`` leave out work, and so change the map; what ``options`` set stays
                (docs/quality.md).

        Raises:
            ConfigError: an unknown configuration, key, device or quality.
            WeightsError: no weights are named, or they are missing or do not fit the model.
        """
        return cls(*load_system(config_file, weights, options, device, quality))

    def segment(
        self,
        image: AnyImage,
        vocabulary: Words | Sentence,
        *,
        sar: SarInput | None = None,
        description: str | None = None,
        climate: ClimateOptions | None = None,
        modalities: Modalities = "both",
        output: str | os.PathLike[str] | None = None,
        confidence_threshold: float | None = None,
        probabilities: bool = False,
        overlay: bool = False,
        vectors: Literal["gpkg", "geojson", "parquet"] | None = None,
        min_area: float = 0.0,
        simplify: float = 1.0,
        options: ReadOptions | None = None,
        resume: bool = False,
        cog: bool = False,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Segment one image, of any size.

        Args:
            image: a file; uint8 RGB [H, W, 3]; a PIL image.
            vocabulary: words; a comma list for :meth:`Vocabulary.parse`; a vocabulary; or a sentence (see :meth:`refer`).
            sar: the image's SAR partner, on its grid: a file, or an array [H, W] or [S, H, W]; how it is read is part of
                ``options``. A model that reads none says so once, as one does that reads SAR and is given none.
            description: what is said of the whole scene, in place of what the vocabulary says of it.
            climate: where it was taken, for models that read that, if not as ``options`` say; a description takes its place.
            modalities: read the image or its SAR partner alone, to compare; a model that was not trained so may be at a loss.
            output: where the class map goes, ``DIR/NAME.tif`` or ``.png``; beside it ``NAME.confidence.tif`` and, if asked
                for, ``NAME.probabilities.tif``. Without it nothing is written.
            confidence_threshold: below it a pixel becomes background; needs a background in the vocabulary.
            probabilities: keep the scores of all classes, as bytes.
            overlay: also write ``NAME.overlay.png``, the image under the colours of its map.
            vectors: also write the polygons of the map, ``NAME.gpkg`` or another format; ``min_area`` and ``simplify`` as in
                :meth:`Segmentation.to_vector`.
            options: which bands, how they are stretched, nodata, ground sample distance.
            resume: go on with what an interrupted call with the same output left.
            cog: write cloud-optimised GeoTIFFs.
            progress: called with (tiles done, tiles in all).

        Raises:
            InputError: the image cannot be read, or has no place for polygons; or SAR is to be read alone and there is none.
            PairError, DataError: the SAR partner lies on another grid, or cannot be read.
            VocabularyError: no words, or a word twice.
            OutputError: a file cannot be written, or would overwrite the image. Nothing half-written is left under its name.
        """
        sentence = vocabulary if isinstance(vocabulary, Sentence) else None
        reads_sentences, paired = self._is("reads_sentences"), sar is not None and self.reads_sar
        if modalities == "sar" and not paired:
            raise InputError(f"{'no SAR was given' if sar is None else 'this model reads no SAR'}, so none can be read alone")
        vocabulary, least = asked(vocabulary, description, confidence_threshold, reads_sentences=reads_sentences)
        decision = Decision(vocabulary, threshold=least, probabilities=probabilities)
        polygons = None if vectors is None else (vectors, VectorOptions(min_area, simplify))
        target = None if output is None else Target.of(output, probabilities=probabilities, overlay=overlay, polygons=polygons)
        options = (options or ReadOptions()).at(climate)
        with ExitStack() as opened:
            opened.enter_context(rasterio.Env(GDAL_CACHEMAX=_RASTER_CACHE))
            scene = opened.enter_context(open_scene(image, options))
            if target is not None:
                target.check(scene.place, sar)
            whereabouts = whereabouts_for(self.model, scene.place, vocabulary, options)
            vocabulary = vocabulary if whereabouts is None else whereabouts.tell(vocabulary)
            told = self.hints.told(self.model, vocabulary, whereabouts, climate=str(options.climate), sar=sar is not None)
            told += (("MODALITIES", "optical alone"),) if paired and modalities == "optical" else ()
            if sar is not None and not paired:
                with open_partner(sar, scene.place, options.sar):  # a mistake is one whether or not this model would read it
                    pass
            grounding = None
            if sentence is not None:
                squeezes = self._is("squeezes")
                grounding = ground(sentence, scene, self.model.tiling, squeezes=squeezes, reads_sentences=reads_sentences)
                scene = grounding.view(scene)
            if paired:
                scene = opened.enter_context(beside(scene, sar, options.sar, modalities, self.sar_bands))
            if isinstance(scene, PairedScene):
                self.hints.of_scale(scene.sar_scale, getattr(self.model, "sar_scale", ""))
            plan = plan_scene(scene, self.model.tiling, decision.names)
            work = self._work(scene, vocabulary, decision, target, resume)
            with resumable(work):
                digest = self._fill(work, scene, plan, vocabulary, decision, progress)
                maps = UnitMaps(work, plan.units, (scene.height, scene.width))
                preview = (scene.reduced(digest.preview.labels.shape), digest.preview.labels)
                told += () if grounding is None else grounding.facts
                provenance = (*self.provenance, *scene.facts, *decision.facts, *told)
                result = Segmentation(scene.place, vocabulary, maps, digest.coverage, preview, provenance, (), whereabouts)
                result = result if grounding is None else Referred.of(result, grounding)
                if target is None:
                    return result
                written = target.write(result, maps, cog=cog)
        if isinstance(work, WorkFolder):
            work.remove()
            result = replace(result, maps=FileMaps(written))
        return replace(result, files=tuple(written.values()))

    def refer(
        self,
        image: AnyImage,
        sentence: str,
        *,
        grounding: How = "auto",
        threshold: float | None = None,
        others: Sequence[str] | None = None,
        **how: Any,
    ) -> Referred:
        """The mask of what one sentence says: *the ship on the left of the pier*.

        Args:
            image: as for :meth:`segment`.
            sentence: taken whole; commas and bars are part of it.
            grounding, threshold, others: how a large scene is read, the least score, and words that compete with the sentence;
                see :class:`~ovrs.inference.sentence.Sentence`.
            how: ``output``, ``overlay``, ``vectors`` and whatever else :meth:`segment` takes.

        Returns:
            The map, in which 0 is the sentence and 1 the background; :attr:`Referred.mask`, and what was done and is lost by
            it as :attr:`Referred.grounding`.

        Raises:
            VocabularyError: no sentence, one too long, or a threshold outside 0..1.
            InputError, OutputError: as for :meth:`segment`.
        """
        asked = Sentence(sentence, grounding, threshold, None if others is None else tuple(others))
        result = self.segment(image, asked, **how)
        assert isinstance(result, Referred)
        return result

    @property
    def reads_sar(self) -> bool:
        """Whether the model reads the SAR partner of an image."""
        return self._is("reads_sar")

    @property
    def sar_bands(self) -> int:
        """How many polarisations the model reads; 0 where it reads none or does not say."""
        return int(getattr(self.model, "sar_bands", 0))

    @property
    def reads_descriptions(self) -> bool:
        """Whether the model reads what is said of the whole scene."""
        return self._is("reads_descriptions")

    @property
    def reads_places(self) -> bool:
        """Whether the model reads what the place looks like where an image was taken."""
        return self._is("reads_places") or self._is("reads_class_descriptions")

    def _is(self, what: str) -> bool:
        """What a model may say of itself (see :class:`TileModel`)."""
        return bool(getattr(self.model, what, False))

    def _fill(
        self, work: Work, scene: Scene, plan: Plan, vocabulary: Vocabulary, decision: Decision, progress: Progress | None
    ) -> Digest:
        """Compute the units that are not there yet, and what is to be known of all of them."""
        digest = Digest(len(vocabulary), scene.place, decision.dtype)
        finished = {unit for unit in plan.units if work.has(unit)}
        for unit in finished:
            digest.add(unit, work.read(unit))
        score = partial(self.model.score, vocabulary=vocabulary)
        done = finished.__contains__
        for unit, piece in stream(scene, plan, score, decision, batch=self.model.batch, done=done, progress=progress):
            work.keep(unit, piece)
            digest.add(unit, piece)
        return digest

    def _work(self, scene: Scene, vocabulary: Vocabulary, decision: Decision, target: Target | None, resume: bool) -> Work:
        """Where finished units go: on disk where there is an output and the scene is large, or work to go on with."""
        values = scene.height * scene.width * (2 + (decision.names if decision.probabilities else 0))
        if target is None or target.is_picture or (values <= self.in_memory and not target.work.exists()):
            return WorkInMemory()
        return WorkFolder(target.work, self._identity(scene, vocabulary, decision), resume=resume)

    def _identity(self, scene: Scene, vocabulary: Vocabulary, decision: Decision) -> dict[str, str]:
        """What finished units depend on: work that was begun with anything else is not gone on with."""
        return {
            "image": f"{scene.version}, {scene.width} x {scene.height}",
            "vocabulary": repr(vocabulary),
            "model": self.identity,
            "options": f"{scene.facts}, thresholds {decision.least.tolist()}, probabilities {decision.probabilities}",
        }

    @cached_property
    def identity(self) -> str:
        """What the model is, as far as its maps depend on it."""
        identity = getattr(self.model, "identity", None)
        weights = identity() if identity is not None else type(self.model).__name__
        return f"{self.model.tiling}, batches of {self.model.batch}, {self.provenance}, {weights}"
