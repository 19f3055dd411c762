"""The vocabulary: its order, its rows, its files, and what it refuses."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from ovrs.errors import VocabularyError
from ovrs.modeling.prompts import TEMPLATES
from ovrs.vocabulary import Background, Vocabulary, VocabularyClass
from ovrs.vocabulary_files import presets


def test_comma_list_with_synonyms_gives_rows_in_class_order() -> None:
    vocabulary = Vocabulary.parse("ship|boat| vessel ,  storage   tank,")
    assert vocabulary.names == ("ship", "storage tank")
    assert vocabulary.rows == ("ship", "boat", "vessel", "storage tank")
    assert vocabulary.row_classes == (0, 0, 0, 1)
    assert len(vocabulary) == vocabulary.num_classes == 2


def test_background_words_are_the_last_rows_and_the_last_class() -> None:
    vocabulary = Vocabulary.parse("ship|boat,bridge").with_background(Background("words", ("other", "clutter")))
    assert vocabulary.names == ("ship", "bridge", "background")
    assert vocabulary.rows == ("ship", "boat", "bridge", "other", "clutter")
    assert vocabulary.row_classes == (0, 0, 1, 2, 2)
    assert vocabulary.num_classes == 2 and len(vocabulary) == 3


def test_background_threshold_adds_a_class_without_rows() -> None:
    vocabulary = Vocabulary.parse("ship").with_background(Background("threshold", threshold=0.4))
    assert vocabulary.names == ("ship", "background")
    assert vocabulary.rows == ("ship",)


def test_palette_keeps_given_colours_and_makes_the_others_distinct() -> None:
    names = ["water", "river", "lake", "waters", *(f"thing {i}" for i in range(300))]
    classes = (VocabularyClass("given", color=(43, 117, 214)), *(VocabularyClass(name) for name in names))
    palette = Vocabulary(classes, Background("words", ("other",))).palette
    assert palette.shape == (306, 3) and palette.dtype == np.uint8
    assert tuple(palette[0]) == (43, 117, 214)
    assert len(np.unique(palette, axis=0)) == 306


def test_small_palette_is_easily_told_apart() -> None:
    palette = Vocabulary.parse("bridge,river,car,building,tree,road,quay,crane,silo,mast").palette.astype(int)
    apart = np.abs(palette[:, None] - palette[None]).sum(-1) + 999 * np.eye(len(palette))
    assert apart.min() > 40


def test_is_hashable_picklable_and_equal_by_value() -> None:
    vocabulary = Vocabulary.parse("ship|boat,bridge")
    assert {vocabulary: 1}[Vocabulary.parse("ship|boat, bridge")] == 1
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    assert vocabulary != Vocabulary.parse("bridge,ship|boat")


def test_a_description_is_cleaned_and_tells_vocabularies_apart() -> None:
    plain = Vocabulary.parse("ship|boat,bridge")
    told = plain.with_description("  a river town\n after a flood ")
    assert plain.description == "" and told.description == "a river town after a flood"
    assert told != plain and told == plain.with_description("a river town after a flood")
    assert len({plain, told, pickle.loads(pickle.dumps(told))}) == 2
    assert told.with_description(" ") == plain
    assert (told.names, told.rows) == (plain.names, plain.rows)  # it is no word that a pixel may be


def test_a_description_stays_with_other_classes_and_another_background() -> None:
    vocabulary = Vocabulary((VocabularyClass("a"), VocabularyClass("b", seen=False))).with_description("a town")
    assert vocabulary.seen_only().description == "a town"
    assert vocabulary.with_background(Background("threshold")).description == "a town"


@pytest.mark.parametrize(
    ("text", "message"), [("a" * 4001, "4,001 characters"), ("bell \a", "U\\+0007"), (None, "is no text"), (3, "is no text")]
)
def test_a_description_that_cannot_be_is_refused(text: object, message: str) -> None:
    with pytest.raises(VocabularyError, match=f"the description: .*{message}"):
        Vocabulary.parse("ship").with_description(text)  # type: ignore[arg-type]


def test_a_sentence_of_each_class_stays_with_its_class() -> None:
    plain = Vocabulary((VocabularyClass("a", ("c",)), VocabularyClass("b", seen=False), VocabularyClass("d")))
    told = plain.with_class_descriptions(["pale  sand", "", "dark\nfirs"])
    assert plain.class_descriptions == () and told.class_descriptions == ("pale sand", "", "dark firs")
    assert told.seen_only().class_descriptions == ("pale sand", "dark firs")
    elsewhere = told.with_description("a town").with_background(Background("threshold"))
    assert elsewhere.class_descriptions == told.class_descriptions
    assert (told.names, told.rows, told.row_classes) == (plain.names, plain.rows, plain.row_classes)


def test_sentences_of_classes_tell_vocabularies_apart_and_none_is_as_empty_ones() -> None:
    plain = Vocabulary.parse("ship|boat,bridge")
    told, other = (plain.with_class_descriptions((sentence, "")) for sentence in ("grey hulls", "white hulls"))
    assert len({plain, told, other, pickle.loads(pickle.dumps(told))}) == 3
    assert told.with_class_descriptions(()) == plain == plain.with_class_descriptions(("", " "))


def test_sentences_of_classes_are_of_a_place_and_stay_out_of_files(tmp_path: Path) -> None:
    plain = Vocabulary.parse("ship|boat,bridge")
    plain.with_class_descriptions(("grey hulls", "")).write(tmp_path / "ships.yaml")
    assert Vocabulary.read(tmp_path / "ships.yaml") == plain


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (("one",), "1 class descriptions for 2 classes"),
        (("", "", ""), "3 class descriptions for 2 classes"),
        (("fine", "a" * 501), "class description 2: .*501 characters"),
        ((None, "fine"), "class description 1: None is no text"),
        (("bell \a", ""), "U\\+0007"),
    ],
)
def test_sentences_of_classes_that_cannot_be_are_refused(sentences: tuple[str, ...], message: str) -> None:
    with pytest.raises(VocabularyError, match=message):
        Vocabulary.parse("ship,bridge").with_class_descriptions(sentences)


def test_templates_hold_one_place_for_the_name() -> None:
    assert len(TEMPLATES["remote_sensing"]) == 4
    assert all(template.count("{}") == 1 for templates in TEMPLATES.values() for template in templates)


def test_seen_only_drops_unseen_classes_and_keeps_the_order() -> None:
    vocabulary = Vocabulary((VocabularyClass("a"), VocabularyClass("b", seen=False), VocabularyClass("c")))
    assert vocabulary.seen_only().names == ("a", "c")


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_a_round_trip_keeps_everything(tmp_path: Path, ending: str) -> None:
    vocabulary = Vocabulary(
        (
            VocabularyClass("ship", ("boat", "navire à voile"), (1, 2, 3), seen=False),
            VocabularyClass("no"),
            VocabularyClass("12"),
        ),
        Background("words", ("other", "unknown"), 0.25),
        description='Un port à marée basse: no ships, "12" quays',
    )
    path = tmp_path / f"words.{ending}"
    vocabulary.write(path)
    assert Vocabulary.read(path) == vocabulary
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_text_file_is_a_class_a_line(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# harbour\nship,boat, vessel\n\nbridge\n", encoding="utf-8-sig")
    assert Vocabulary.read(path) == Vocabulary.parse("ship|boat|vessel,bridge")


def test_json_file_is_a_list_of_strings(tmp_path: Path) -> None:
    path = tmp_path / "words.json"
    path.write_text(json.dumps(["ship, boat", "bridge"]))
    assert Vocabulary.read(path) == Vocabulary.parse("ship|boat,bridge")


def test_a_mapping_says_the_same_as_json_and_as_yaml(tmp_path: Path) -> None:
    (tmp_path / "words.json").write_text('{"classes": ["ship, boat", {"name": "quay"}], "description": "a port"}')
    (tmp_path / "words.yaml").write_text("classes: [ship|boat, quay]\ndescription: a port\npurpose: for people alone\n")
    expected = Vocabulary.parse("ship|boat,quay").with_description("a port")
    assert Vocabulary.read(tmp_path / "words.json") == Vocabulary.read(tmp_path / "words.yaml") == expected
    (tmp_path / "empty.yaml").write_text("classes: [ship]\ndescription:\n")
    assert Vocabulary.read(tmp_path / "empty.yaml").description == ""


def test_yaml_accepts_plain_names_and_hex_colours(tmp_path: Path) -> None:
    path = tmp_path / "words.yaml"
    path.write_text('classes: ["ship|boat", {name: bridge, color: "#ff8000"}]\nbackground: threshold\n')
    vocabulary = Vocabulary.read(path)
    assert vocabulary.rows == ("ship", "boat", "bridge")
    assert vocabulary.classes[1].color == (255, 128, 0)
    assert vocabulary.background.policy == "threshold"


@pytest.mark.parametrize("text", ["", " , ,", "|", "ship,SHIP", "ship|boat,Boat", "ship|ship", "storage tank,storage  tank"])
def test_empty_or_repeated_words_are_refused(text: str) -> None:
    with pytest.raises(VocabularyError, match="empty|twice"):
        Vocabulary.parse(text)


def test_background_may_not_repeat_a_class() -> None:
    with pytest.raises(VocabularyError, match="'Ship' is given twice: by class 'ship' and by the background"):
        Vocabulary.parse("ship").with_background(Background("words", ("Ship",)))
    with pytest.raises(VocabularyError, match="background"):
        Vocabulary.parse("ship,background").with_background(Background("threshold"))


@pytest.mark.parametrize(
    ("policy", "words", "threshold"),
    [("words", (), 0.5), ("sometimes", (), 0.5), ("threshold", (), 1.5), ("none", ("other",), 0.5)],
)
def test_impossible_background_is_refused(policy: str, words: tuple[str, ...], threshold: float) -> None:
    with pytest.raises(VocabularyError):
        Background(policy, words, threshold)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bad.csv", b"ship"),
        ("bad.txt", b""),
        ("bad.txt", b"ship\n\xff\xfe\x00"),
        ("bad.txt", b"ship\nboat,ship\n"),
        ("bad.json", b'{"ship": 1}'),
        ("bad.json", b"[1, 2]"),
        ("bad.json", b"[oops"),
        ("bad.json", b'["ship", ""]'),
        ("bad.json", b'{"classes": ["ship"], "description": ["a", "b"]}'),
        ("bad.yaml", b"classes: [ship]\ndescription: 0"),
        ("bad.yaml", b"a: [1"),
        ("bad.yaml", b"classes: [{name: ship, colour: 1}]"),
        ("bad.yaml", b"classes: [{name: ship, color: [1, 2, 999]}]"),
        ("bad.yaml", b"classes: [no]"),
        ("bad.yaml", b"classes: [ship]\nbackground: {policy: words}"),
        ("bad.yaml", b"classes: [ship]\nsynonyms: median"),
        ("bad.yaml", b"classes: [{name: ship, threshold: 2}]\nbackground: threshold"),
        ("bad.yaml", b"classes: [{name: ship, threshold: high}]\nbackground: threshold"),
        ("bad.yaml", b"classes: [{name: ship, threshold: 0.5}]"),
    ],
)
def test_bad_file_is_named_in_the_error(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(VocabularyError, match=name):
        Vocabulary.read(path)


def test_missing_file_and_unwritable_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="absent.txt"):
        Vocabulary.read(tmp_path / "absent.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(VocabularyError, match="words.yaml"):
        Vocabulary.parse("ship").write(tmp_path / "file" / "words.yaml")
    Vocabulary.parse("ship").write(tmp_path / "made" / "words.yaml")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["words.yaml"]


def test_thresholds_and_the_rule_for_synonyms_come_back_from_a_file(tmp_path: Path) -> None:
    classes = (VocabularyClass("ship", ("boat",), threshold=0.7), VocabularyClass("bridge"))
    vocabulary = Vocabulary(classes, Background("threshold", threshold=0.2), synonyms="mean")
    vocabulary.write(tmp_path / "words.yaml")
    assert Vocabulary.read(tmp_path / "words.yaml") == vocabulary
    with pytest.raises(VocabularyError, match=r"'ship' has a threshold, but there is no background"):
        vocabulary.with_background(Background())


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_vocabulary_with_distinct_colours_of_its_own(name: str) -> None:
    vocabulary = Vocabulary.preset(name)
    assert vocabulary.num_classes >= 6 and presets()[name] and not vocabulary.description
    colors = [cls.color for cls in vocabulary.classes]
    assert None not in colors and len(set(colors)) == len(colors)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(VocabularyError, match=r"no preset 'moon'; there are airport, city"):
        Vocabulary.preset("moon")


@pytest.mark.parametrize("text", ["words.yaml", " lists/Town.JSON", "classes.txt "])
def test_the_name_of_a_file_is_not_taken_for_a_word(text: str) -> None:
    with pytest.raises(VocabularyError, match="looks like a file"):
        Vocabulary.parse(text)
