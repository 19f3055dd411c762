"""A built system and what it is given, in the process that measures it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ovrs.benchmark.clock import clock, peak_gib
from ovrs.benchmark.settings import Setting
from ovrs.config import load_config
from ovrs.modeling.complexity import Operations, Parameters, Work, count_image, count_parameters, count_work
from ovrs.modeling.registry import build_model
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.modeling.stages import StageMeter

# What is said of every image, to systems that read that.
_SAID = "a river town with flat pale roofs, few trees and dry fields between two roads"


@dataclass(frozen=True)
class Size:
    """What a system takes, whenever it runs.

    Attributes:
        parameters: how many it has.
        work: what a run asks of the machine; of a pass without training :class:`Operations`, which know more.
        text_once: seconds to embed the vocabulary for the first time; None where nothing was timed.
        peak_gib: peak resident memory of its process, the libraries and the model included.
        peak_gpu_gib: the most that PyTorch held on the GPU; None on a CPU.
    """

    parameters: Parameters
    work: Work
    text_once: float | None
    peak_gib: float
    peak_gpu_gib: float | None


class MeasuredSystem:
    """The system of a setting, random weights, with images and words to run it on.

    Raises:
        OvrsError: it cannot be built, or has no plain form and is asked for it.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.threads:
            torch.set_num_threads(setting.threads)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.setting = setting
        torch.manual_seed(0)
        cfg = load_config(setting.config_file, ["MODEL.DEVICE", device, *setting.overrides])
        self.model: SegmentationModel[Any] = build_model(cfg).train(setting.mode == "training")
        if setting.form == "plain":
            from ovrs.engine.plain_form import as_plain_form

            as_plain_form(self.model)
        elif setting.mode == "inference":
            self.model.round_encoders()  # as a segmenter does
        self.vocabulary = setting.vocabulary
        if self.model.reads_descriptions:
            self.vocabulary = self.vocabulary.with_description(_SAID)
        # Systems that read SAR find it behind the colours.
        self.bands = int(getattr(self.model, "sar_bands", 0)) if self.model.reads_sar else 0
        self.images = torch.rand(setting.batch, 3 + self.bands, setting.size, setting.size, device=device) * 255
        self.entries = self._entries() if setting.mode == "training" else []
        self.text_once: float | None = None

    def _entries(self) -> list[dict[str, Any]]:
        """A training batch as Detectron2 gives it, with all that any system reads."""
        side = self.setting.size
        entries: list[dict[str, Any]] = []
        for image in self.images:
            labels = torch.randint(self.setting.classes, (side, side))
            entry = {"image": image[:3].byte(), "sem_seg": labels, "vocabulary": self.vocabulary, "description": _SAID}
            if self.bands:
                entry["sar"] = image[3:]
            if self.model.reads_sentences:
                entry |= {"expression": "the long ship beside the pier on the left", "mask": (labels == 0).long()}
            entries.append(entry)
        return entries

    def run(self) -> dict[str, float]:
        """Seconds of one run by stages, and the ``whole``."""
        if self.setting.mode == "inference" and self.text_once is None:
            start = clock()
            self._read()
            self.text_once = clock() - start
        with StageMeter(self.model, clock) as parts:
            self._run(parts)
        return {"whole": parts.whole, **parts.amounts}

    def size(self) -> Size:
        """What is left to say when all runs are done, for counting takes memory that running does not."""
        memory = peak_gib()
        on_gpu = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_initialized() else None
        parameters = count_parameters(self.model)
        return Size(parameters, self._work(), self.text_once, memory, on_gpu)

    def _work(self) -> Operations | Work:
        if self.setting.mode == "inference":
            return count_image(self.model, self.images, self.vocabulary)
        return count_work(self.model, self._run)

    def _run(self, parts: StageMeter) -> None:
        if self.setting.mode == "text":
            self.model.eval()  # which forgets what was embedded
            self._read()
        elif self.setting.mode == "inference":
            with torch.no_grad():
                self.model.scores(self.images, self.vocabulary)
        else:
            self._train(parts)

    @torch.no_grad()
    def _read(self) -> None:
        with self.model.autocast():
            self.model.text_of(self.vocabulary)

    def _train(self, parts: StageMeter) -> None:
        losses: dict[str, Tensor] = self.model(self.entries)
        with parts.during("backward"):
            torch.stack(list(losses.values())).sum().backward()
        self.model.zero_grad(set_to_none=True)
