"""The baseline that answers a sentence with the mask of its class."""

import pytest
import torch
from torch import nn

from ovrs.config import load_config
from ovrs.engine.class_answers import ClassAnswers, asked
from ovrs.errors import ConfigError, DataError


class Columns(nn.Module):
    """The first class scores on the left half, the second on the right, where the image is not dark."""

    def forward(self, inputs):
        (entry,) = inputs
        assert "expression" not in entry and entry["vocabulary"].names == ("plane", "ship")
        left = (torch.arange(4) < 2).float().expand(4, 4)
        bright = (entry["image"][0] > 100).float()
        return [{"sem_seg": torch.stack([left, 1 - left]) * (0.2 + 0.7 * bright)}]


def entry(category):
    image = torch.full((3, 4, 4), 200)
    image[:, 3] = 0
    return {"image": image, "expression": "the ship on the left", "category": category, "file_name": "tile.png"}


def test_a_sentence_is_answered_by_what_its_class_wins_above_the_background():
    model = ClassAnswers(Columns(), ["plane", "ship"])
    plane, ship = (model([entry(name)])[0]["sem_seg"] for name in ("plane", "ship"))
    assert plane.shape == (1, 4, 4) and plane[0, :3, :2].all() and plane.sum() == 6
    assert ship[0, :3, 2:].all() and ship.sum() == 6
    lower = ClassAnswers(Columns(), ["plane", "ship"], threshold=0.1)
    assert lower([entry("plane")])[0]["sem_seg"][0, :, :2].all()


@pytest.mark.parametrize("category", [None, "car"])
def test_a_class_that_was_not_asked_for_is_refused(category):
    with pytest.raises(DataError, match="tile.png"):
        ClassAnswers(Columns(), ["plane", "ship"])([entry(category)])


def test_other_words_for_what_is_asked_are_refused_and_segmentation_is_left_alone():
    model = nn.Identity()
    assert asked(load_config("mini", ["TEST.REFERRING.ASK", "class"]), model) is model
    with pytest.raises(ConfigError, match="choose sentence or class"):
        asked(load_config("mini", ["TEST.REFERRING.ASK", "word"]), model)
    options = ["DATASETS.TASK", "referring", "TEST.REFERRING.ASK", "class", "TEST.REFERRING.CLASS_THRESHOLD", "50.0"]
    with pytest.raises(ConfigError, match="CLASS_THRESHOLD is 50.0"):
        asked(load_config("mini", options), model)
