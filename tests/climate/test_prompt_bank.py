import hashlib
import json

import pytest

from ovrs.climate.bank import NEUTRAL, SHIPPED, PromptBank, Sentence
from ovrs.climate.check import BUILDINGS, SOIL, VEGETATION, answer_problems, bank_problems, climate_group, mentions
from ovrs.climate.composer import compose
from ovrs.climate.zones import ZONES
from ovrs.data.table import DATA_SETS
from ovrs.errors import DataError, InputError, OutputError
from ovrs.vocabulary import Vocabulary, VocabularyClass

V1 = "27be2adfa8bfff28eeb18858d9682b0e75ec81921bfc7dfccb15aa92791f2d0a"
TABLE = [(entry.name, entry.synonyms) for row in DATA_SETS.values() for entry in row.classes]


@pytest.fixture(scope="module")
def shipped():
    return PromptBank.load()


def test_the_sentences_that_models_were_trained_on_stay_as_they_are():
    """A changed sentence needs another version of the bank, and the old file for old models."""
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == V1


def small(**synonyms):
    said = {"Af": {name: Sentence(f"A {name} is green.", "by hand") for name in synonyms}}
    return PromptBank("test", synonyms, said)


def document(**changes):
    read = {
        "format": "ovrs prompt bank 1",
        "version": "test",
        "classes": {"tree": ["trees"]},
        "provenance": ["by hand"],
        "sentences": {"Af": {"tree": {"text": "A tree is green.", "provenance": 0}}},
    }
    return {key: value for key, value in {**read, **changes}.items() if value is not None}


def loaded(tmp_path, read):
    path = tmp_path / "bank.json"
    path.write_text(read if isinstance(read, str) else json.dumps(read))
    return PromptBank.load(path)


def test_the_shipped_bank_says_something_of_every_class_of_every_data_set_in_every_zone(shipped):
    assert shipped.zones == tuple(ZONES) and len(ZONES) == 31
    assert len(shipped) == 31 * len(shipped.classes) >= 2400
    for name, synonyms in TABLE:
        for word in (name, *synonyms):
            assert all(shipped.sentence(zone, word) for zone in ZONES), word


def test_the_shipped_bank_passes_its_check(shipped):
    assert list(bank_problems(shipped, TABLE)) == []


def test_no_two_zones_say_the_same_of_plants_and_soil_nor_two_climate_groups_of_buildings(shipped):
    for name in (*VEGETATION, *SOIL):
        assert len({shipped.sentence(zone, name).text for zone in ZONES}) == 31, name
    for name in BUILDINGS:
        said = {(shipped.sentence(zone, name).text, climate_group(zone)) for zone in ZONES}
        assert len({text for text, _ in said}) == len(said), name


def test_every_sentence_says_where_it_comes_from(shipped):
    assert all("composed by tools/build_prompt_bank.py" in sentence.provenance for _, _, sentence in shipped)
    assert shipped.sentence("Af", "tree").provenance.startswith("ovrs facts v1: vegetation.yaml + zones.yaml")


def test_what_cannot_be_on_the_ice_cap_is_said_to_be_absent(shipped):
    for name in ("tree", "vineyard", "rangeland", "soccer field", "agriculture"):
        assert any(word in shipped.sentence("EF", name).text for word in (" not ", "absent")), name
    assert "ice" in shipped.sentence("EF", "water").text and "palms" in shipped.sentence("BWh", "tree").text


def test_the_facts_give_the_shipped_bank_to_the_byte():
    assert compose(table=TABLE).as_json().encode() == SHIPPED.read_bytes()


def test_a_name_is_found_in_any_case_with_hyphens_and_by_synonym(shipped):
    said = shipped.sentence("Cfb", "soccer field")
    for name in ("Soccer-Ball-Field", "soccer ball field", "football pitch", "FOOTBALL_FIELD", "Football-Field"):
        assert shipped.sentence("cfb", name) == said
    assert shipped.class_named("bareland") == shipped.class_named("Bare Ground") == "bare soil"
    assert shipped.sentence("Cfb", "unicorn") is None
    with pytest.raises(InputError, match="Xyz"):
        shipped.sentence("Xyz", "tree")


def test_a_class_keeps_its_name_where_it_is_a_synonym_of_another():
    bank = small(grass=("rangeland",), rangeland=())
    assert bank.class_named("rangeland") == "rangeland"


def test_a_bank_reads_back_as_written_and_writes_the_same_bytes(tmp_path):
    bank = small(tree=("trees",), water=()).with_sentence("EF", "Trees", Sentence("Trees are absent; é.", "by ear"))
    bank.save(tmp_path / "a.json")
    read = PromptBank.load(tmp_path / "a.json")
    assert list(read) == list(bank) and read.synonyms == bank.synonyms and read.version == "test"
    read.save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert sum("provenance" in line for line in (tmp_path / "a.json").read_text().splitlines()) == 1 + len(bank)


def test_a_new_class_comes_with_its_sentence_and_the_bank_before_stays_as_it_was():
    bank = small(tree=())
    more = bank.with_sentence("af", "shed", Sentence("A shed is small.", "by hand"))
    assert more.classes == ("tree", "shed") and more.sentence("Af", "SHED") and bank.sentence("Af", "shed") is None


def test_an_empty_bank_is_written_and_read(tmp_path):
    PromptBank("empty", {}, {}).save(tmp_path / "empty.json")
    assert len(PromptBank.load(tmp_path / "empty.json")) == 0


@pytest.mark.parametrize(
    "read, said",
    [
        ("{", "is no JSON"),
        ([], "one object"),
        (document(version=None), "lacks the key 'version'"),
        (document(colour=1), "'colour' is no key"),
        (document(format="ovrs prompt bank 2"), "format is 'ovrs prompt bank 2'"),
        (document(version=3), "version: is 3"),
        (document(classes=[]), "classes: is list"),
        (document(classes={"tree": "trees"}), r"classes\.tree: is str"),
        (document(classes={"tree": [""]}), r"classes\.tree: is ''"),
        (document(classes={"tree": [], "Tree": []}), "'tree' and 'Tree' are one name"),
        (document(classes={"tree": ["wood"], "forest": ["Wood"]}), "'wood' is a synonym of 'tree' too"),
        (document(provenance=[1]), r"provenance\[0\]: is 1"),
        (document(sentences={"Xx": {}}), "'Xx' is no climate zone"),
        (document(sentences={"Af": {"ship": {"text": "A ship.", "provenance": 0}}}), "'ship' is not among its classes"),
        (document(sentences={"Af": []}), r"sentences\.Af: is list"),
        (document(sentences={"Af": {"tree": "green"}}), r"sentences\.Af\.tree: is str"),
        (document(sentences={"Af": {"tree": {"text": "Green."}}}), "give text and provenance"),
        (document(sentences={"Af": {"tree": {"text": "", "provenance": 0}}}), r"Af\.tree\.text: is ''"),
        (document(sentences={"Af": {"tree": {"text": "A.\nB.", "provenance": 0}}}), "one line"),
        (document(sentences={"Af": {"tree": {"text": "x" * 501, "provenance": 0}}}), r"Af\.tree\.text: has 501 .*500 are"),
        (document(sentences={"Af": {"tree": {"text": "Green.", "provenance": 1}}}), r"tree\.provenance: is 1"),
        (document(sentences={"Af": {"tree": {"text": "Green.", "provenance": True}}}), r"tree\.provenance: is True"),
        (json.dumps(document()).replace('"Af"', '"Af": {}, "Af"'), "'Af' stands twice"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_key(tmp_path, read, said):
    with pytest.raises(DataError, match=said) as error:
        loaded(tmp_path, read)
    assert "bank.json" in str(error.value)


def test_a_sentence_as_long_as_a_class_may_have_is_read(tmp_path):
    longest = document(sentences={"Af": {"tree": {"text": "x" * 500, "provenance": 0}}})
    text = loaded(tmp_path, longest).sentence("Af", "tree").text
    assert Vocabulary((VocabularyClass("tree"),)).with_class_descriptions((text,)).class_descriptions == (text,)


def test_a_file_that_is_absent_or_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: cannot be read"):
        PromptBank.load(tmp_path / "none.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        small(tree=()).save(tmp_path / "file" / "bank.json")


def test_a_bank_that_is_wanting_is_told_so():
    twice = {"Af": {"tree": Sentence("Trees are green.", "x")}, "Am": {"tree": Sentence("Trees are green.", "x")}}
    found = list(bank_problems(PromptBank("test", {"tree": ()}, twice), [("tree", ("woods",)), ("ship", ())]))
    kinds = {kind for kind, _ in found}
    assert kinds == {
        "a class without a sentence",
        "a synonym of the table that the bank does not know",
        "zones with one sentence for vegetation or soil",
    }
    assert ("zones with one sentence for vegetation or soil", "tree in Af, Am: 'Trees are green.'") in found
    assert any(text.startswith("ship in Af, Am, As") for _, text in found)


def test_groups_of_one_climate_may_build_alike():
    same = Sentence("Buildings are flat.", "x")
    alike = PromptBank("test", {"building": ("buildings",)}, {"Cfa": {"building": same}, "Cfb": {"building": same}})
    assert not list(bank_problems(alike, []))
    other = alike.with_sentence("BWh", "building", same)
    assert [kind for kind, _ in bank_problems(other, [])] == ["climate groups that build alike"]


@pytest.mark.parametrize(
    "text, said",
    [
        ("Trees are green.", []),
        ("Small-cars and trees are seen.", []),
        ("Trees are green", ["one sentence"]),
        ("trees are green.", ["one sentence"]),
        ("Trees are green. They are tall.", ["one sentence"]),
        ("Trees are " + "very " * 20 + "green.", ["23 words"]),
        ("Streets are grey.", ["does not mention 'tree'"]),
        ("", ["one sentence", "does not mention"]),
    ],
)
def test_an_answer_is_one_short_sentence_about_its_class(text, said):
    problems = answer_problems(text, ("tree",), 20)
    assert len(problems) == len(said) and all(part in problem for part, problem in zip(said, problems, strict=True))


def test_a_class_is_mentioned_in_singular_or_plural_as_a_whole_word():
    assert mentions("Buses stand there.", ("bus",)) and mentions("A small car.", ("Small-Cars",))
    assert mentions("Ferries, white.", ("passenger ship", "ferry"))
    assert not mentions("Streets are grey.", ("tree",)) and not mentions("Grasshoppers.", ("grass",))


def test_the_neutral_prompt_is_that_of_the_paper():
    assert NEUTRAL == "It is a remote sensing image."
