"""Heads that are bound to the classes of their training: names are found by their words, and others are refused."""

import pytest
import torch
from block_checks import close
from described_parts import placed, tiny_metasegnet, tiny_tsmnet
from parts import WORDS, pairs

from ovrs.errors import ConfigError
from ovrs.modeling.bound_classes import BoundClasses, asked_channels
from ovrs.modeling.build import training_classes
from ovrs.vocabulary import Background, Vocabulary

LEARNT = Vocabulary.parse("ship|vessel|boat, bridge, sea|water, land")


@pytest.fixture
def bound():
    return BoundClasses(LEARNT.classes, "an open head takes any")


def test_names_are_found_by_any_of_their_words(bound):
    assert bound.channels(LEARNT) == ((0,), (1,), (2,), (3,))
    assert bound.channels(Vocabulary.parse("Land, Water|lake, BOAT")) == ((3,), (2,), (0,))
    assert bound.channels(Vocabulary.parse("all that is built|bridge|ship, land")) == ((1, 0), (3,))


def test_a_name_that_was_not_learnt_is_refused_and_so_are_two_for_one_class(bound):
    with pytest.raises(ConfigError, match=r"bound to the 4 classes .*\(ship, bridge, sea, land\), and 'road' is none of them"):
        bound.channels(Vocabulary.parse("ship, road|street"))
    with pytest.raises(ConfigError, match="'ship' and 'vessel' are both 'ship' to it"):
        bound.channels(Vocabulary.parse("ship, vessel"))


def test_a_background_of_words_is_a_name_and_one_of_a_threshold_has_no_channel(bound):
    asked = Vocabulary.parse("sea, ship")
    assert bound.channels(asked.with_background(Background("words", ("clutter", "land")))) == ((2,), (0,), (3,))
    assert bound.channels(asked.with_background(Background("threshold"))) == ((2,), (0,))
    with pytest.raises(ConfigError, match="'background' is none of them"):
        bound.channels(asked.with_background(Background("words", ("clutter",))))
    known = BoundClasses(Vocabulary.parse("sea, ship, background").classes, "")
    assert known.channels(asked.with_background(Background("words", ("clutter",)))) == ((0,), (1,), (2,))


def test_a_word_a_channel_is_the_one_asked_for_where_it_was_learnt(bound):
    assert bound.words(Vocabulary.parse("water, tanker|boat|vessel")) == ["boat", "bridge", "water", "land"]


def test_the_best_channel_answers_for_a_name_of_several():
    logits = torch.randn(2, 4, 3, 3)
    found = asked_channels(logits, ((3,), (0, 2)))
    close(found[:, 0], logits[:, 3], 0.0)
    close(found[:, 1], torch.maximum(logits[:, 0], logits[:, 2]), 0.0)
    assert asked_channels(logits, ((0,), (1,), (2,), (3,))) is logits
    with pytest.raises(ConfigError, match="read them with text_of"):
        asked_channels(logits, ())


# ------------------------------------------------------------------------ systems


def tsmnet_input():
    return pairs(1)[0]


def metasegnet_input():
    return placed(1)[0]


def read(model, entry, vocabulary):
    with torch.no_grad():
        return model.eval()([{**entry, "vocabulary": vocabulary}])[0]["sem_seg"]


SYSTEMS = pytest.mark.parametrize(
    ("tiny", "entry"), [(tiny_metasegnet, metasegnet_input), (tiny_tsmnet, tsmnet_input)], ids=["MetaSegNet", "TSMNet"]
)


@SYSTEMS
def test_permuted_names_permute_the_maps_of_a_closed_head(tiny, entry):
    model, asked = tiny(closed=3), entry()
    known = read(model, asked, WORDS)
    close(read(model, asked, Vocabulary.parse("water,ship,bridge")), known[[2, 0, 1]])
    assert (known[0] - known[2]).abs().max() > 1e-3
    two = read(model, asked, Vocabulary.parse("water,ship"))
    # The shares of what was asked for; they are enlarged after they are taken.
    close(two, known[[2, 0]] / known[[2, 0]].sum(dim=0), 0.01)


@SYSTEMS
def test_names_that_were_not_learnt_are_refused_by_a_closed_head_however_many(tiny, entry):
    model = tiny(closed=3)
    for names in ("ship,bridge,road", "road,ship", "ship,bridge,water,road"):
        with pytest.raises(ConfigError, match="'road' is none of them"):
            read(model, entry(), Vocabulary.parse(names))
    with pytest.raises(ConfigError, match="'road' is none of them"):
        model.train()([{**entry(), "vocabulary": Vocabulary.parse("ship,bridge,road")}] * 2)
    with pytest.raises(ConfigError, match="a classifier of 3 channels is bound to 0 classes"):
        tiny(closed=3, bound=None)


@SYSTEMS
def test_a_batch_with_permuted_names_and_labels_trains_as_it_did(tiny, entry):
    model = tiny(closed=3).train()
    asked = entry()
    other = {**asked, "vocabulary": Vocabulary.parse("water,ship,bridge"), "sem_seg": (asked["sem_seg"] + 1) % 3}
    with torch.no_grad():
        losses, permuted = ({name: float(loss) for name, loss in model([one] * 2).items()} for one in (asked, other))
    assert {name: losses[name] for name in losses if name != "loss_matching"} == pytest.approx(
        {name: permuted[name] for name in losses if name != "loss_matching"}, rel=1e-4
    )


def test_synonyms_of_all_training_sets_belong_to_their_class(monkeypatch):
    from ovrs.config import load_config

    sets = {"one": Vocabulary.parse("ship|boat, sea"), "two": Vocabulary.parse("ship|vessel|Boat, sea|water")}
    monkeypatch.setattr("ovrs.modeling.build.vocabulary_of", sets.__getitem__)
    cfg = load_config("mini/metasegnet", ["DATASETS.TRAIN", "('one', 'two')"])
    found = training_classes(cfg, "the head", "")
    assert [cls.name for cls in found] == ["ship", "sea"]
    assert [{word.casefold() for word in cls.synonyms} for cls in found] == [{"boat", "vessel"}, {"water"}]
