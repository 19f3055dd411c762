"""Files of sentences, small enough to be seen through."""

import json

import numpy as np
import yaml
from PIL import Image

SHIP = [[2, 3], [8, 3], [8, 9], [2, 9]]
TINY = {"image": "a.png", "polygon": SHIP, "sentence": "the ship"}


def write_set(folder):
    """Two images of 30 x 20 pixels with a mask, and six things in them: four to train on, two to validate."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    mask = np.zeros((20, 30), np.uint8)
    mask[4:9, 1:7] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    left = {"image": "a.png", "mask": "mask.png", "sentence": "the ship on the left", "category": "ship", "id": 7}
    write(folder / "refs.jsonl", [
        {**left, "split": "train"},
        {"image": "a.png", "polygon": SHIP, "sentences": ["the upper ship", "the big ship"], "split": "train", "id": "two"},
        {"image": "b.png", "polygons": [SHIP, [[20, 1], [29, 1], [29, 5]]], "sentence": "the ships", "split": "train"},
        {"image": "b.png", "mask": "mask.png", "sentence": "the car up there", "attributes": ["odd"], "split": "train"},
        {"image": "a.png", "mask": "mask.png", "sentences": ["the ship", "the vessel"], "split": "val", "id": "v", "area": 3},
        {"image": "b.png", "mask": "mask.png", "sentence": "the ship", "split": "val"},
    ])  # fmt: skip
    describe(folder / "own.yaml", train="refs.jsonl", val="refs.jsonl")


def write(path, entries):
    """A file of JSON lines."""
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def describe(path, **keys):
    """A description of a referring data set."""
    path.write_text(yaml.safe_dump({"task": "referring", **keys}))
    return path


def entry_of(folder, **keys):
    """A thing of ``write_set`` as a mapper takes it."""
    made = {"file_name": str(folder / "a.png"), "polygons": [SHIP], "expressions": ("the ship on the left",), "sample_id": "x"}
    return {**made, **keys}
