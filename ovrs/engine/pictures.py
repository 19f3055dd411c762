"""Pictures of a few fixed test images at every evaluation, so that one sees what the figures mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation.evaluator import inference_context
from detectron2.utils.events import get_event_storage
from PIL import Image
from torch import Tensor, nn

from ovrs.data.loaders import build_mapper, dataset_dicts
from ovrs.evaluation.referring import THRESHOLD
from ovrs.files import written_whole
from ovrs.pictures import side_by_side
from ovrs.sentence_pictures import sentence_picture


class EvaluationPictures:
    """Draws image, truth and prediction of ``TEST.PICTURES`` images, or sentences, spread evenly over each test set.

    Args:
        cfg: says how many, of which data sets, and where ``OUTPUT_DIR`` is.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.cfg = cfg
        self.mapper = build_mapper(cfg, False)
        self._chosen: list[tuple[str, dict[str, Any]]] | None = None

    def draw(self, model: nn.Module, iteration: int) -> list[Path]:
        """Write ``pictures/<iteration>/<data set>-<image>.png`` and hand the same to TensorBoard; returns the paths.

        Args:
            model: in one process; its mode comes back as it was.
            iteration: how many have been done.
        """
        folder = Path(self.cfg.OUTPUT_DIR) / "pictures" / f"{iteration:07d}"
        paths = []
        for name, entry in self._entries():
            sample = self.mapper(entry)
            with inference_context(model), torch.no_grad():
                scores = model([sample])[0]["sem_seg"]
            kind = " (synthetic scene)" if "scene_seed" in entry else ""
            picture = _drawn(sample, scores.cpu(), f"{Path(entry['file_name']).name}{kind}, iteration {iteration}")
            stem = f"{name}-{re.sub(r'[^0-9A-Za-z._-]', '_', entry.get('sample_id') or Path(entry['file_name']).stem)}"
            paths.append(folder / f"{stem}.png")
            with written_whole(paths[-1]) as temporary:
                picture.save(temporary, "PNG")
            _show(f"pictures/{stem}", picture)
        return paths

    def _entries(self) -> list[tuple[str, dict[str, Any]]]:
        if self._chosen is None:
            self._chosen = [(name, entry) for name in self.cfg.DATASETS.TEST for entry in self._spread(name)]
        return self._chosen

    def _spread(self, name: str) -> list[dict[str, Any]]:
        entries = dataset_dicts(self.cfg, name)
        count = min(self.cfg.TEST.PICTURES, len(entries))
        # The middles of as many equal stretches: the first and last images of an archive are often alike.
        return [entries[int((number + 0.5) * len(entries) / count)] for number in range(count)]


def _drawn(sample: dict[str, Any], scores: Tensor, note: str) -> Image.Image:
    """Image, truth and what scores [N, H, W] decide of one sample."""
    image = sample["image"].permute(1, 2, 0).numpy()
    if "expression" in sample:
        masks = {"truth": sample["mask"].numpy(), "answer (outlined: truth)": (scores[0] >= THRESHOLD).numpy()}
        return sentence_picture(image, masks, sample["expression"], note)
    maps = {"truth": sample["sem_seg"].numpy(), "prediction": scores.argmax(dim=0).numpy()}
    return side_by_side(image, maps, sample["vocabulary"], note)


def _show(name: str, picture: Image.Image) -> None:
    get_event_storage().put_image(name, np.asarray(picture).transpose(2, 0, 1))
