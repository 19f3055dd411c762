import numpy as np
import pytest

from ovrs.data.folds import evaluated_vocabulary
from ovrs.data.mapper import renumbering
from ovrs.errors import ConfigError
from ovrs.vocabulary import Vocabulary, VocabularyClass

OWN = Vocabulary(
    (
        VocabularyClass("ship", ("vessel",)),
        VocabularyClass("bridge", seen=False),
        VocabularyClass("plane"),
        VocabularyClass("Large Vehicle"),
    )
)


def test_without_a_fold_evaluation_knows_every_class():
    assert evaluated_vocabulary(OWN) == OWN
    vocabulary, table = renumbering(OWN, "evaluated", synonyms=True)
    assert vocabulary == OWN and table[:4].tolist() == [0, 1, 2, 3]


def test_hidden_classes_are_ignored_in_training():
    vocabulary, table = renumbering(OWN, "seen", synonyms=True, hidden=("plane",))
    assert vocabulary.names == ("ship", "Large Vehicle")
    assert table[:4].tolist() == [0, 255, 255, 1]
    assert renumbering(OWN, "all", synonyms=True, hidden=("plane",))[0].names == ("ship", "bridge", "Large Vehicle")


def test_hidden_classes_are_the_unseen_ones_in_evaluation_and_the_unseen_take_no_part():
    vocabulary, table = renumbering(OWN, "evaluated", synonyms=False, hidden=("plane", "large vehicle"))
    assert [(cls.name, cls.seen) for cls in vocabulary.classes] == [("ship", True), ("plane", False), ("Large Vehicle", False)]
    assert table[:4].tolist() == [0, 255, 1, 2] and np.all(table[4:] == 255)
    assert [cls.seen for cls in evaluated_vocabulary(OWN, ("plane", "large vehicle")).classes] == [True, False, False]


@pytest.mark.parametrize("hidden", [(), ("plane",)])
def test_what_is_said_of_the_scene_outlives_renumbering(hidden):
    told = OWN.with_description("a port in winter")
    assert evaluated_vocabulary(told, hidden).description == "a port in winter"
    for choice in ("all", "seen", "evaluated"):
        for synonyms in (True, False):
            assert renumbering(told, choice, synonyms=synonyms, hidden=hidden)[0].description == "a port in winter"


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        (("boat",), "'boat' is not one of the seen classes, which are ship, plane, Large Vehicle"),
        (("bridge",), "'bridge' is not one of the seen classes"),
        (("ship", "plane", "Large Vehicle"), "hides every seen class"),
    ],
)
def test_names_that_cannot_be_hidden_are_refused(hidden, message):
    with pytest.raises(ConfigError, match=message):
        evaluated_vocabulary(OWN, hidden)


def test_nothing_left_to_train_on_is_refused():
    with pytest.raises(ConfigError, match="no class of"):
        renumbering(OWN, "seen", synonyms=True, hidden=("ship", "plane", "Large Vehicle"))
