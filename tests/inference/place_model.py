"""A model that is told what the place of an image looks like, a bank for it, and images that lie somewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from affine import Affine

from ovrs.climate.bank import PromptBank, Sentence
from ovrs.inference.tiles import Tiling
from ovrs.vocabulary import Vocabulary

# The middle of 40 x 60 pixels is 25.2 N, 55.3 E, in either.
UTM40 = {"crs": "EPSG:32640", "transform": Affine(10, 0, 328_700 - 300, 0, -10, 2_788_100 + 200)}
DEGREES = {"crs": "EPSG:4326", "transform": Affine(0.0001, 0, 55.3 - 0.003, 0, -0.0001, 25.2 + 0.002)}
WORDS = "tree|wood, building"


class PlaceReader:
    """Finds the first class where it is told of palms, the second elsewhere; notes what it was told."""

    tiling = Tiling(tile=32, overlap=0.25, patch=8, per_patch=8)
    batch = 2
    reads_descriptions = reads_places = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def identity(self) -> str:
        return "places"

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        self.told.append(vocabulary.description)
        scores = torch.full((len(tiles), len(vocabulary), *tiles.shape[2:]), 0.1)
        scores[:, 0 if "Palms" in vocabulary.description else 1] = 0.9
        return scores


def write_bank(folder: Path) -> Path:
    """Of two classes in two zones."""
    said = {"BWh": ("Palms.", "Flat roofs."), "Cfb": ("Oaks.", "Red roofs.")}
    sentences = {
        zone: {name: Sentence(text, "by hand") for name, text in zip(("tree", "building"), texts, strict=True)}
        for zone, texts in said.items()
    }
    PromptBank("test", {"tree": (), "building": ()}, sentences).save(folder / "bank.json")
    return folder / "bank.json"


def write_image(path: Path, **place: Any) -> Path:
    """A GeoTIFF of 40 x 60 grey pixels."""
    profile = {"driver": "GTiff", "count": 3, "height": 40, "width": 60, "dtype": "uint8", **place}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.full((3, 40, 60), 120, np.uint8))
    return path
