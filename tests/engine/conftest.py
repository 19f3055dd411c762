"""A stand-in system and data set, so that the engine is tested without a real model."""

import zlib

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import META_ARCH_REGISTRY
from PIL import Image
from torch import nn

from ovrs.vocabulary import Vocabulary, VocabularyClass

VOCABULARY = Vocabulary((VocabularyClass("dark"), VocabularyClass("bright"), VocabularyClass("red", seen=False)))
WIDTH = 16


@META_ARCH_REGISTRY.register()
class WordHashing(nn.Module):
    """Scores of any words: products of a small network's features with a vector that the word's hash decides."""

    def __init__(self, cfg):
        super().__init__()
        self.vision_language = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
        self.guidance_encoder = nn.Conv2d(3, 16, 1)
        self.head = nn.Conv2d(16, WIDTH, 1)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.to(cfg.MODEL.DEVICE)

    def scores(self, image, vocabulary):
        x = image[None].float().to(self.head.weight.device) / 255
        seeds = [torch.Generator().manual_seed(zlib.crc32(name.encode())) for name in vocabulary.names]
        text = torch.stack([torch.randn(WIDTH, generator=seed) for seed in seeds]).to(x.device)
        return torch.einsum("bchw,nc->bnhw", self.head(self.vision_language(x) + self.guidance_encoder(x)), text)

    def forward(self, batch):
        scores = [self.scores(entry["image"], entry["vocabulary"]) for entry in batch]
        if not self.training:
            return [{"sem_seg": item[0].sigmoid()} for item in scores]
        targets = [entry["sem_seg"][None].to(item.device) for entry, item in zip(batch, scores, strict=True)]
        losses = [
            nn.functional.cross_entropy(item, target, ignore_index=255) for item, target in zip(scores, targets, strict=True)
        ]
        return {"loss_words": torch.stack(losses).mean()}


@pytest.fixture(scope="session")
def toy_data(tmp_path_factory):
    """Data sets ``toy_train`` and ``toy_val`` of 24 x 24 pixels: the left half is dark, the right half bright."""
    folder = tmp_path_factory.mktemp("toy")
    entries = []
    rng = np.random.default_rng(0)
    for index in range(4):
        pixels = rng.integers(0, 60, (24, 24, 3))
        pixels[:, 12:] += 190
        labels = np.zeros((24, 24), np.uint8)
        labels[:, 12:] = 1
        labels[:2, :2] = 2
        image, mask = folder / f"{index}.png", folder / f"{index}_mask.png"
        Image.fromarray(pixels.astype(np.uint8)).save(image)
        Image.fromarray(labels).save(mask)
        entries.append({"file_name": str(image), "sem_seg_file_name": str(mask)})
    for split in ("train", "val"):
        DatasetCatalog.register(f"toy_{split}", lambda: entries)
        MetadataCatalog.get(f"toy_{split}").set(vocabulary=VOCABULARY)
    yield entries
    for split in ("train", "val"):
        DatasetCatalog.remove(f"toy_{split}")
        MetadataCatalog.remove(f"toy_{split}")


@pytest.fixture
def config_file(tmp_path, toy_data):
    """A configuration that trains the stand-in on the toy data for five iterations on the CPU."""
    path = tmp_path / "toy.yaml"
    path.write_text(
        f"""VERSION: 2
MODEL:
  META_ARCHITECTURE: WordHashing
  DEVICE: cpu
DATASETS:
  TRAIN: ("toy_train",)
  TEST: ("toy_val",)
DATALOADER:
  NUM_WORKERS: 0
INPUT:
  MIN_SIZE_TRAIN: (0,)
  CROP_SIZE: 24
SOLVER:
  IMS_PER_BATCH: 2
  MAX_ITER: 5
  BASE_LR: 0.01
  CHECKPOINT_PERIOD: 100
SEED: 7
OUTPUT_DIR: {tmp_path / "output"}
"""
    )
    return path
