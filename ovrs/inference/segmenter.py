"""The public Python interface: a model, an image and words in, a map out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from detectron2.modeling import build_model
from numpy.typing import NDArray
from torch import Tensor

import ovrs
import ovrs.modeling  # registers the systems
from ovrs.config import load_config
from ovrs.errors import ConfigError, InputError, WeightsError
from ovrs.inference.nodata import Nodata
from ovrs.inference.rasters import DEFAULT_MAX_PIXELS, ImageInput, read_image
from ovrs.inference.segmentation import Labels, Segmentation, label_type
from ovrs.vocabulary import Vocabulary

Progress = Callable[[int, int], None]

# What to give as weights to run a model as it was initialised, on purpose: its maps mean nothing.
RANDOM_WEIGHTS = "random"


class Prediction(Protocol):
    """Labels int64 [h, w] in 0..len(names)-1 and confidence float [h, w] in 0..1, as a model gives them."""

    @property
    def labels(self) -> Tensor:
        """Indices into the vocabulary's names."""
        ...

    @property
    def confidence(self) -> Tensor:
        """How sure the model is of each."""
        ...


class SegmentationPredictor(Protocol):
    """What a :class:`Segmenter` asks of a model."""

    def predict(self, image: Tensor, vocabulary: Vocabulary, *, progress: Progress | None = None) -> Prediction:
        """Segment uint8 RGB [3, h, w]; ``progress`` hears (windows done, windows in all)."""
        ...


class Segmenter:
    """Segments images by words.

    Example:
        >>> segmenter = Segmenter.from_config("mini")
        >>> result = segmenter.segment("harbour.tif", "ship|boat, quay, water")
        >>> result.labels.shape, result.areas()
    """

    def __init__(self, model: SegmentationPredictor, provenance: Sequence[tuple[str, str]] = ()) -> None:
        """Wrap a model that is built, loaded and in evaluation mode; ``provenance`` goes into the tags of what is written."""
        self.model = model
        self.provenance = (("SOFTWARE", f"ovrs {getattr(ovrs, '__version__', '')}".strip()), *provenance)

    @classmethod
    def from_config(
        cls, config_file: str = "mini", weights: str | None = None, options: Sequence[str] = (), device: str | None = None
    ) -> Segmenter:
        """Build the model of a configuration and load its weights.

        Args:
            config_file: a configuration file or a bare name (see :func:`ovrs.config.load_config`).
            weights: a weights file; None takes ``MODEL.WEIGHTS``, ``"random"`` leaves the model untrained.
            options: alternating configuration keys and values.
            device: ``"cpu"``, ``"cuda:1"``, ...; None takes ``MODEL.DEVICE`` where it works here, else the best there is.

        Raises:
            ConfigError: an unknown configuration, key or device.
            WeightsError: no weights are named, or they are missing or do not fit the model.
        """
        cfg = load_config(config_file, options).clone()
        cfg.defrost()
        cfg.MODEL.DEVICE = choose_device(device, cfg.MODEL.DEVICE)
        weights = find_weights(cfg.MODEL.WEIGHTS if weights is None else weights)
        cfg.freeze()
        model = build_model(cfg)
        if weights != RANDOM_WEIGHTS:
            from ovrs.modeling.checkpoints import load_weights

            load_weights(model, weights)
        model.eval()
        return cls(
            model, (("MODEL", cfg.MODEL.META_ARCHITECTURE), ("CONFIG", str(config_file)), ("WEIGHTS", Path(weights).name))
        )

    def segment(
        self,
        image: str | os.PathLike[str] | NDArray[np.uint8] | ImageInput,
        vocabulary: Vocabulary | str,
        *,
        confidence_threshold: float | None = None,
        nodata: Nodata = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Segment one image.

        Args:
            image: a file, uint8 RGB [H, W, 3], or what :func:`read_image` gives.
            vocabulary: a vocabulary, or a comma list for :meth:`Vocabulary.parse`.
            confidence_threshold: below it a pixel becomes background; needs a background in the vocabulary.
            nodata, max_pixels: how a file is read, see :func:`read_image`.
            progress: called with (windows done, windows in all).

        Raises:
            InputError: the image cannot be read.
            VocabularyError: the comma list is empty or names a class twice.
        """
        if isinstance(vocabulary, str):
            vocabulary = Vocabulary.parse(vocabulary)
        if confidence_threshold is not None and vocabulary.background.policy == "none":
            raise InputError(
                "a confidence threshold needs a background for what falls below it; see ovrs.vocabulary.Background"
            )
        if isinstance(image, (str, os.PathLike)):
            image = read_image(image, nodata=nodata, max_pixels=max_pixels)
        elif isinstance(image, np.ndarray):
            image = ImageInput.from_array(image)
        shape, dtype = image.valid.shape, label_type(len(vocabulary))
        labels: Labels = np.full(shape, np.iinfo(dtype).max, dtype=np.dtype(dtype))
        confidence = np.full(shape, np.nan, dtype=np.float32)
        if image.valid.any():
            found, sure = self._predict(image, vocabulary, progress)
            if confidence_threshold is not None:
                found[sure < confidence_threshold] = len(vocabulary) - 1
            labels[image.valid] = found[image.valid]
            confidence[image.valid] = sure[image.valid]
        return Segmentation(image, vocabulary, labels, confidence, self.provenance)

    def _predict(
        self, image: ImageInput, vocabulary: Vocabulary, progress: Progress | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        pixels = torch.from_numpy(np.ascontiguousarray(image.rgb.transpose(2, 0, 1)))
        with torch.inference_mode():
            prediction = self.model.predict(pixels, vocabulary, progress=progress)
            return prediction.labels.cpu().numpy(), prediction.confidence.float().cpu().numpy()


def find_weights(weights: str) -> str:
    """The path of a weights file; a relative one is also looked for beside the folder of configurations.

    Raises:
        WeightsError: none is named, or the file does not exist.
    """
    if not weights:
        raise WeightsError(f"the configuration names no weights; give a file (--weights), or {RANDOM_WEIGHTS!r} to try it out")
    beside = Path(ovrs.__file__).parent.parent / weights
    for candidate in (Path(weights), beside):
        if weights == RANDOM_WEIGHTS or candidate.is_file():
            return str(candidate)
    raise WeightsError(f"{weights}: no such weights file")


def choose_device(wanted: str | None, configured: str = "") -> str:
    """The device to compute on: the wanted one, else the configured one if it works here, else the best there is.

    Raises:
        ConfigError: the wanted device does not exist here.
    """
    if wanted is not None:
        if not _works(wanted):
            raise ConfigError(f"device {wanted!r} cannot be used here; there is {', '.join(_devices())}")
        return wanted
    return configured if _works(configured) else _devices()[0]


def _devices() -> list[str]:
    """Types of devices that work here, the fastest first."""
    return [name for name in ("cuda", "mps", "cpu") if _works(name)]


def _works(name: str) -> bool:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return False
    return True
