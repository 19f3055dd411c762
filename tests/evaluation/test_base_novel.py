"""Which classes of a test set also stood in training: against :mod:`oracle`, and in the files of the report."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from oracle import base_novel, trained_as

from ovrs.evaluation.base_novel import memberships
from ovrs.evaluation.evaluator import SegmentationEvaluator
from ovrs.evaluation.settings import EvaluationSettings
from ovrs.vocabulary import Vocabulary, VocabularyClass

TESTED = Vocabulary(
    (
        VocabularyClass("Sports  Court", ("tennis court",)),
        VocabularyClass("building", ("house",), seen=False),
        VocabularyClass("car", ("vehicle",)),
        VocabularyClass("swimming-pool"),
    )
)
TRAINED = (
    VocabularyClass("car park"),
    VocabularyClass("buildings", ("Building",)),
    VocabularyClass("small vehicle", ("car",)),
    VocabularyClass("vehicle"),
    VocabularyClass("sports court"),
    VocabularyClass("swimming pool"),
)


def evaluated(folder, trained, vocabulary=TESTED, settings=None):
    """The report of four pixels, one of each class; the second and the third are taken for the first class."""
    evaluator = SegmentationEvaluator("toy_val", vocabulary, folder, settings, trained=trained)
    scores = torch.nn.functional.one_hot(torch.tensor([[0, 0, 0, 3]]), 4).permute(2, 0, 1).float()
    evaluator.process([{"sem_seg": torch.tensor([[0, 1, 2, 3]]), "file_name": "tile.png"}], [{"sem_seg": scores}])
    evaluator.evaluate()
    return json.loads((folder / "report.json").read_text())


def test_case_and_space_are_folded_hyphens_and_plurals_are_not():
    found = memberships(TESTED, TRAINED)
    assert [(member.match, member.trained_class, member.trained_word) for member in found] == [
        ("name", "sports court", "sports court"),
        ("synonym", "buildings", "Building"),
        ("synonym", "small vehicle", "car"),
        (None, None, None),
    ]
    assert [member.group for member in found] == ["base", "base", "base", "novel"]


def test_an_equal_name_comes_before_a_synonym_of_another_class():
    trained = (VocabularyClass("ship", ("boat", "ferry")), VocabularyClass("boat "))
    found = memberships(Vocabulary((VocabularyClass("Boat", ("ship",)), VocabularyClass("ferry"))), trained)
    assert [(member.match, member.trained_class) for member in found] == [("name", "boat"), ("synonym", "ship")]


def draw_classes(rng, words, count):
    """Classes of one to three of the words each, no word twice, oddly spelt."""
    order = iter(rng.permutation(words))
    spellings = (str.upper, str.title, lambda word: f" {word} ", lambda word: word.replace(" ", "   "), str)
    return [[spellings[rng.integers(5)](str(next(order))) for _ in range(rng.integers(1, 4))] for _ in range(count)]


def as_class(words, seen=True):
    return VocabularyClass(words[0], tuple(words[1:]), seen=seen)


def test_membership_and_figures_are_the_oracles():
    words = [f"word {number}" for number in range(18)]
    shown = 0
    for number in range(300):
        rng = np.random.default_rng(number)
        seen = rng.random(rng.integers(1, 6)) < rng.choice([0.5, 1.0])
        tested = draw_classes(rng, words, len(seen))
        trained = [*draw_classes(rng, words, rng.integers(1, 6)), *draw_classes(rng, words, rng.integers(0, 3))]
        vocabulary = Vocabulary(tuple(as_class(*pair) for pair in zip(tested, map(bool, seen), strict=True)))
        training = tuple(map(as_class, trained))
        expected = [
            trained_as(*pair) for pair in ((cls.words, [other.words for other in training]) for cls in vocabulary.classes)
        ]
        found = memberships(vocabulary, training)
        assert [(member.match, member.trained_class, member.trained_word) for member in found] == expected, number
        truth = rng.choice([*range(len(seen)), 255], (4, 5))
        images = [(truth, rng.random((len(seen), 4, 5)).astype(np.float32))]
        over = str(rng.choice(["present", "union"]))
        evaluator = SegmentationEvaluator("toy", vocabulary, None, EvaluationSettings(over), trained=training)
        evaluator.process([{"sem_seg": torch.tensor(truth)}], [{"sem_seg": torch.tensor(images[0][1])}])
        figures = {name: value for name, value in evaluator.evaluate()["sem_seg"].items() if "base" in name or "novel" in name}
        reference = base_novel(images, seen, tested, trained, over)
        assert figures.keys() == reference.keys(), number
        for name, value in reference.items():
            assert math.isnan(figures[name]) if math.isnan(value) else abs(figures[name] - value) < 1e-9, (number, name)
        shown += len(figures) == 6
    assert shown > 50, "cases in which names and synonyms divide the classes differently"


def test_figures_and_membership_stand_in_every_file_beside_the_published_split(tmp_path, caplog):
    with caplog.at_level("INFO"):
        content = evaluated(tmp_path, TRAINED)
    summary = content["summary"]
    assert summary["s-mIoU"] == pytest.approx((100 / 3 + 0 + 100) / 3) and summary["u-mIoU"] == 0
    assert summary["base-mIoU"] == pytest.approx(100 / 9) and summary["novel-mIoU"] == 100
    assert summary["base-novel-h-mIoU"] == pytest.approx(20)
    assert summary["named-base-mIoU"] == pytest.approx(100 / 3) and summary["named-novel-mIoU"] == pytest.approx(100 / 3)
    assert {name: content["classes"][1][name] for name in ("group", "match", "trained_class", "trained_word")} == {
        "group": "base",
        "match": "synonym",
        "trained_class": "buildings",
        "trained_word": "Building",
    }
    assert content["classes"][3]["group"] == "novel" and content["classes"][3]["trained_class"] is None
    note = "base, standing in training too: 3 of 4 classes, 1 by name and 2 by a synonym; novel: swimming-pool"
    page = (tmp_path / "report.md").read_text()
    assert note in content["notes"] and note in page and note in caplog.text
    assert (
        "| building | unseen | base | buildings (shares Building) |" in page and "| swimming-pool | seen | novel | - |" in page
    )
    rows = list(csv.DictReader((tmp_path / "classes.csv").open()))
    assert [row["group"] for row in rows] == ["base", "base", "base", "novel"]
    assert [row["trained_word"] for row in rows] == ["sports court", "Building", "car", ""]
    assert "base   small vehicle (shares car)" in caplog.text


def test_without_training_words_the_report_says_nothing_of_them(tmp_path):
    content = evaluated(tmp_path, ())
    assert "group" not in content["classes"][0] and not any("base" in name for name in content["summary"])
    assert "group" not in (tmp_path / "classes.csv").read_text() and "trained as" not in (tmp_path / "report.md").read_text()


def test_a_training_on_the_same_set_repeats_no_figure_of_its_split(tmp_path):
    content = evaluated(tmp_path, tuple(cls for cls in TESTED.classes if cls.seen))
    assert [row["group"] for row in content["classes"]] == ["base", "novel", "base", "base"]
    assert "u-mIoU" in content["summary"] and not any("base" in name for name in content["summary"])
