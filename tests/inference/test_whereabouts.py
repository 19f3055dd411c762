"""Where an image was taken becomes the prompt of a model that reads it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from place_model import DEGREES, UTM40, WORDS, PlaceReader, write_bank, write_image
from rasterio.control import GroundControlPoint

import ovrs.climate.lookup
from ovrs import Background, ClimateOptions, ReadOptions, Segmenter, Vocabulary
from ovrs.climate.bank import NEUTRAL
from ovrs.climate.zones import zone_named
from ovrs.errors import DataError, InputError, OutputError
from ovrs.inference.drawing import draw_source, drawn_place
from ovrs.inference.image_place import coordinates_of_file
from ovrs.inference.prompt_policy import PromptPolicy
from ovrs.inference.sentence import Sentence
from ovrs.inference.whereabouts import Whereabouts, state_told, whereabouts_of_file


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return write_bank(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Longitudes and latitudes that are looked up; all the world is a hot desert but for the south, which is open sea."""
    found: list[tuple[float, float]] = []

    def zone_at(lon: float, lat: float, raster: Path | None = None) -> Any:
        found.append((lon, lat))
        return zone_named("BWh") if lat > 0 else None

    monkeypatch.setattr(ovrs.climate.lookup, "zone_at", zone_at)
    return found


def hints(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in log.records if record.message.startswith("hint: ")]


def tags(path: Path) -> dict[str, str]:
    with rasterio.open(path) as file:
        return dict(file.tags())


@pytest.mark.parametrize("grid", [UTM40, DEGREES], ids=["UTM", "EPSG:4326"])
def test_a_geotiff_says_where_it_was_taken(
    tmp_path: Path, bank: Path, asked: list[Any], caplog: pytest.LogCaptureFixture, grid: dict[str, Any]
) -> None:
    image, model = write_image(tmp_path / "town.tif", **grid), PlaceReader()
    result = Segmenter(model).segment(image, WORDS, climate=ClimateOptions(bank=bank), output=tmp_path / "map.tif")
    assert asked == [(pytest.approx(55.3, abs=1e-3), pytest.approx(25.2, abs=1e-3))]
    assert set(model.told) == {"Palms. Flat roofs."} and (result.labels == 0).all() and not hints(caplog)
    written = tags(tmp_path / "map.tif")
    assert written["PLACE"] == "25.20 N, 55.30 E (the middle of town.tif)" and written["CLIMATE_ZONE"] == "BWh"
    assert written["DESCRIPTION"] == "Palms. Flat roofs." and "LACKED" not in written
    assert result.whereabouts is not None
    assert str(result.whereabouts).splitlines() == [
        "place: 25.20 N, 55.30 E (the middle of town.tif); zone BWh, hot desert climate",
        "prompt: Palms. Flat roofs.",
    ]


def test_control_points_place_an_image_too(tmp_path: Path, bank: Path, asked: list[Any]) -> None:
    points = [GroundControlPoint(y, x, 55.2 + x / 300, 25.3 - y / 200) for y in (0, 40) for x in (0, 60)]
    image = write_image(tmp_path / "raw.tif", gcps=points, crs="EPSG:4326")
    result = Segmenter(PlaceReader()).segment(image, WORDS, climate=ClimateOptions(bank=bank))
    assert asked == [(pytest.approx(55.3, abs=1e-3), pytest.approx(25.2, abs=1e-3))] and (result.labels == 0).all()


def test_without_a_place_the_prompt_is_neutral_and_that_is_said_once(
    tmp_path: Path, bank: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image, model = write_image(tmp_path / "bare.tif"), PlaceReader()
    Image.new("RGB", (20, 20)).save(tmp_path / "town.png")
    segmenter, options = Segmenter(model), ClimateOptions(bank=bank)
    pixels = np.zeros((20, 20, 3), np.uint8)
    for each in (image, tmp_path / "town.png", pixels):
        result = segmenter.segment(each, WORDS, climate=options)
        facts = dict(result.provenance)
        assert facts["DESCRIPTION"] == NEUTRAL and facts["LACKED"] == "a place" and "CLIMATE_ZONE" not in facts
        assert result.whereabouts is not None and result.whereabouts.lines[0].startswith("place: not known; name it by")
    assert set(model.told) == {NEUTRAL}
    assert len(hints(caplog)) == 1 and "name the place by --location, --region or --zone" in hints(caplog)[0]


def test_what_the_user_says_comes_before_the_images_own_coordinates(tmp_path: Path, bank: Path, asked: list[Any]) -> None:
    image, model = write_image(tmp_path / "town.tif", **UTM40), PlaceReader()
    segmenter = Segmenter(model)
    by_zone = segmenter.segment(image, WORDS, climate=ClimateOptions(zone="cfb", bank=bank))
    assert not asked and set(model.told) == {"Oaks. Red roofs."}
    assert dict(by_zone.provenance)["PLACE"].startswith("25.20 N, 55.30 E") and "(as named)" in str(by_zone.whereabouts)
    at = segmenter.segment(image, WORDS, options=ReadOptions(climate=ClimateOptions(location="24N 10W", bank=bank)))
    assert asked == [(-10, 24)] and dict(at.provenance)["PLACE"] == "24.00 N, 10.00 W (--location)"
    segmenter.segment(image, WORDS, climate=ClimateOptions(region="dubai", bank=bank))
    assert asked[1] == (pytest.approx(55.3, abs=0.1), pytest.approx(25.2, abs=0.1))


def test_the_open_sea_has_no_zone(bank: Path, asked: list[Any]) -> None:
    found = Whereabouts.of(Vocabulary.parse(WORDS), ClimateOptions(location="-40, 10", bank=bank))
    assert found.text == NEUTRAL and found.lacked == "a climate zone" and "no climate zone there" in found.where
    assert dict(found.facts) == {"PLACE": "40.00 S, 10.00 E (--location)"}


def test_a_description_of_the_users_own_wins_and_that_is_said(
    tmp_path: Path, asked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    image, model = write_image(tmp_path / "town.tif", **UTM40), PlaceReader()
    said = "a dry town"
    for words, description in ((WORDS, said), (Vocabulary.parse(WORDS).with_description(said), None)):
        zone = ClimateOptions(zone="BWh")
        result = Segmenter(model).segment(image, words, climate=zone, description=description)
        facts = dict(result.provenance)
        assert facts["DESCRIPTION"] == "a dry town" and not {"PLACE", "CLIMATE_ZONE", "LACKED"} & set(facts)
        assert "prompt (the description given): a dry town" in str(result.whereabouts)
    assert set(model.told) == {"a dry town"} and not asked and not hints(caplog)


def test_names_are_the_first_words_of_classes_and_no_background(bank: Path) -> None:
    words = Vocabulary.parse("building|house, quay|tree")
    words = words.with_background(Background("words", ("wood",)))
    found = Whereabouts.of(words, ClimateOptions(zone="BWh", bank=bank))
    assert found.text == "Flat roofs." and found.left_out == ("quay",) and "nothing is said of: quay" in str(found)
    none = Whereabouts.of(Vocabulary.parse("quay"), ClimateOptions(zone="BWh", bank=bank))
    assert none.text == NEUTRAL and none.lacked == "a sentence about these classes" and not none.left_out


def test_a_sentence_is_answered_under_the_neutral_prompt(tmp_path: Path, bank: Path) -> None:
    model = PlaceReader()
    segmenter = Segmenter(model)
    segmenter.segment(write_image(tmp_path / "a.tif"), Sentence("the tree left"), climate=ClimateOptions(zone="BWh", bank=bank))
    assert set(model.told) == {NEUTRAL}


def test_the_models_own_tokenizer_says_what_there_is_room_for(tmp_path: Path, bank: Path) -> None:
    class Short(PlaceReader):
        most_tokens = 30

        def count_tokens(self, text: str) -> int:
            return len(text)

    model = Short()
    Segmenter(model).segment(write_image(tmp_path / "a.tif"), "tree", climate=ClimateOptions(zone="BWh", bank=bank))
    result = Segmenter(model).segment(
        write_image(tmp_path / "a.tif"), "building, tree, quay", climate=ClimateOptions(zone="Cfb", bank=bank)
    )
    assert set(model.told) == {"Palms.", "Red roofs. Oaks."} and result.whereabouts is not None
    model.most_tokens = 31
    seasoned = ClimateOptions(zone="BWh", bank=bank, season="dry")
    assert "the dry season" in Whereabouts.of(Vocabulary.parse(WORDS), seasoned).text


def test_season_and_pixel_size_enter_the_prompt(tmp_path: Path, bank: Path) -> None:
    image, words = write_image(tmp_path / "town.tif", **UTM40), Vocabulary.parse(WORDS)
    climate = ClimateOptions(zone="BWh", bank=bank, season="winter", say_pixel_size=True)
    told = [whereabouts_of_file(image, words, ReadOptions(climate=climate, gsd=gsd)).text for gsd in (None, 2.5)]
    assert told[0] == "Palms. Flat roofs. It was taken in winter. A pixel is 10 metres wide." and "2.5 metres" in told[1]
    assert "A pixel" not in Whereabouts.of(words, climate).text, "where nothing says how large it is"


def test_a_drawn_scene_knows_its_zone(tmp_path: Path, asked: list[Any]) -> None:
    source = draw_source(3, tmp_path).source
    assert isinstance(source.path, Path)
    zone = tags(source.path)["CLIMATE_ZONE"]
    words = Vocabulary.parse(WORDS)
    found = whereabouts_of_file(source.path, words, ReadOptions())
    assert found.zone is not None and found.zone.code == zone == coordinates_of_file(source.path, ReadOptions())
    assert not asked and "(as drawn)" in found.where
    assert Whereabouts.of(words, ClimateOptions(), drawn_place(3)).lines == found.lines, "without drawing it"
    # A photograph's tag of that name is nobody's word.
    image = write_image(tmp_path / "photo.tif", **UTM40)
    with rasterio.open(image, "r+") as file:
        file.update_tags(CLIMATE_ZONE="ET")
    assert whereabouts_of_file(image, words, ReadOptions()).zone == zone_named("BWh")
    middle = [float(each) for each in coordinates_of_file(image, ReadOptions()).split(",")]
    assert middle == pytest.approx([25.2, 55.3], abs=1e-3)


def test_a_model_that_reads_no_places_says_so_once_and_answers_as_without(
    tmp_path: Path, asked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Plain(PlaceReader):
        reads_descriptions = reads_places = False

    image, segmenter = write_image(tmp_path / "town.tif", **UTM40), Segmenter(Plain())
    plain = segmenter.segment(image, WORDS)
    assert not hints(caplog) and plain.whereabouts is None and not asked
    told = [segmenter.segment(image, WORDS, climate=ClimateOptions(zone="BWh", season="dry")) for _ in range(2)]
    assert all(each.provenance == plain.provenance and np.array_equal(each.labels, plain.labels) for each in told)
    assert len(hints(caplog)) == 1 and "(--zone BWh, --season dry) changes nothing" in hints(caplog)[0]


def test_one_that_reads_other_descriptions_is_told_nothing_of_places(tmp_path: Path, asked: list[Any]) -> None:
    class Told(PlaceReader):
        reads_places = False

    model = Told()
    result = Segmenter(model).segment(write_image(tmp_path / "town.tif", **UTM40), WORDS)
    assert set(model.told) == {""} and dict(result.provenance)["LACKED"] == "a description" and not asked


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"zone": "BWx"}, "no climate zone 'BWx'.*near: .*BWh"),
        ({"location": "91, 10"}, "no place on Earth"),
        ({"location": "here"}, "'here' is no location"),
        ({"region": "Dubay"}, "no region 'Dubay'.*near: Dubai"),
        ({"region": "Dubai", "zone": "BWh"}, "--region and --zone: each says where"),
        ({"season": "monsoon"}, "--season 'monsoon': choose from winter"),
    ],
)
def test_what_there_is_not_is_refused(given: dict[str, str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        ClimateOptions(**given)


def test_files_are_tried_before_a_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--climate-raster .*absent.tif: there is no such file"):
        ClimateOptions(raster=tmp_path / "absent.tif").check()
    (tmp_path / "bank.json").write_text("{}")
    with pytest.raises(DataError, match="bank.json: is no prompt bank"):
        ClimateOptions(bank=tmp_path / "bank.json").check()
    write_bank(tmp_path)
    ClimateOptions(bank=tmp_path / "bank.json").check()  # its new state is read


def test_a_text_may_be_a_zone_coordinates_or_a_region() -> None:
    assert ClimateOptions.where(" bwh") == ClimateOptions(zone="BWh")
    assert ClimateOptions.where("25.2, 55.3").location == "25.2, 55.3" and ClimateOptions.where("Dubai").region == "Dubai"
    assert ClimateOptions.where("  ") == ClimateOptions()
    with pytest.raises(InputError, match="no region 'nowhere'"):
        ClimateOptions.where("nowhere")
    options = ReadOptions(climate=ClimateOptions(zone="BWh", bank=Path("b.json")))
    assert pickle.loads(pickle.dumps(options)) == options != ReadOptions(), "as clusters get it, and records compare it"


def test_begun_work_goes_on_under_the_same_zone_only(tmp_path: Path, bank: Path) -> None:
    profile = {**UTM40, "height": 1600, "width": 64}
    with rasterio.open(tmp_path / "long.tif", "w", driver="GTiff", count=3, dtype="uint8", **profile) as file:
        file.write(np.full((3, 1600, 64), 99, np.uint8))

    def segment(zone: str, stop: bool = False) -> PlaceReader:
        def progress(done: int, total: int) -> None:
            if stop and done > 0.8 * total:
                raise KeyboardInterrupt

        model, climate = PlaceReader(), ClimateOptions(zone=zone, bank=bank)
        segmenter = Segmenter(model, in_memory=0)
        how: Any = {"climate": climate, "output": tmp_path / "map.tif", "resume": True, "progress": progress}
        segmenter.segment(tmp_path / "long.tif", WORDS, **how)
        return model

    with pytest.raises(KeyboardInterrupt):
        segment("BWh", stop=True)
    with pytest.raises(OutputError, match="begun with another vocabulary"):
        segment("Cfb")
    assert 0 < len(segment("BWh").told) < len(segment("Cfb").told)


def told(policy: PromptPolicy, climate: ClimateOptions, image: Path, words: str = WORDS) -> tuple[str, dict[str, str]]:
    """The one prompt of a model that was trained by ``policy``, and the tags."""
    model: Any = PlaceReader()
    model.prompt_policy = policy
    result = Segmenter(model).segment(image, words, climate=climate)
    (prompt,) = set(model.told)
    return prompt, dict(result.provenance)


def test_a_prompt_is_about_the_classes_of_the_training_if_that_named_any(tmp_path: Path, bank: Path) -> None:
    image, policy = write_image(tmp_path / "a.tif"), PromptPolicy(bank=bank, classes=("building", "tree"))
    desert = ClimateOptions(zone="BWh")
    for words in (WORDS, "quay", "ship, tree"):
        prompt, facts = told(policy, desert, image, words)
        assert prompt == "Flat roofs. Palms." and facts["PROMPT_BANK"] == "bank test (bank.json)"
    lines = Whereabouts.of(Vocabulary.parse("quay"), desert, None, policy).lines
    assert lines[1:] == ("prompt (on the classes of its training): Flat roofs. Palms.",)
    assert told(PromptPolicy(bank=bank), desert, image, "tree, quay")[0] == "Palms.", "what is asked for, where it named none"


def test_sentences_come_from_where_they_came_in_training_unless_the_user_names_a_bank(tmp_path: Path, bank: Path) -> None:
    image, desert = write_image(tmp_path / "a.tif"), ClimateOptions(zone="BWh")
    by_rule, facts = told(PromptPolicy("template"), desert, image)
    assert by_rule.startswith("The image may show tree in a place with") and facts["PROMPT_BANK"] == "template"
    shipped, facts = told(PromptPolicy(), desert, image)
    assert shipped.startswith("Trees are ") and facts["PROMPT_BANK"] == "bank v1"
    own = ClimateOptions(zone="BWh", bank=bank)
    for policy in (PromptPolicy("template"), PromptPolicy("neutral"), PromptPolicy(bank=tmp_path / "absent.json")):
        assert told(policy, own, image)[0] == "Palms. Flat roofs."
    with pytest.raises(DataError, match="absent.json"):
        told(PromptPolicy(bank=tmp_path / "absent.json"), desert, image)


def test_a_model_that_learnt_from_one_prompt_is_told_that_one(
    tmp_path: Path, asked: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    image, policy = write_image(tmp_path / "town.tif", **UTM40), PromptPolicy("neutral")
    prompt, facts = told(policy, ClimateOptions(), image)
    assert prompt == NEUTRAL and not {"PLACE", "CLIMATE_ZONE", "PROMPT_BANK", "LACKED"} & set(facts) and not asked
    assert len(hints(caplog)) == 1 and "has learnt from one prompt for all images" in hints(caplog)[0]
    found = Whereabouts.of(Vocabulary.parse(WORDS), ClimateOptions(zone="BWh"), None, policy)
    assert found.lines[1] == f"prompt (neutral, as in its training): {NEUTRAL}"


def test_a_prompt_is_no_longer_than_in_training(bank: Path) -> None:
    words, dry = Vocabulary.parse(WORDS), ClimateOptions(zone="BWh", season="dry")
    for trained, readable, left_out in ((40, 99, ("building",)), (99, 40, ("building",)), (99, 99, ())):
        policy = PromptPolicy(bank=bank, most_tokens=trained)
        found = Whereabouts.of(words, dry, None, policy, most_tokens=readable, count=len)
        assert found.left_out == left_out


def test_what_a_map_depends_on_changes_with_legend_bank_and_policy(tmp_path: Path, bank: Path) -> None:
    model: Any = PlaceReader()
    raster = tmp_path / "zones.tif"
    climate = ClimateOptions(raster=raster)
    seen = [state_told(model, climate)]
    assert state_told(model, climate) == seen[0] and "bank v1" in seen[0]
    for legend in ("zones.txt", "legend.txt"):
        (tmp_path / legend).write_text("1: Af", encoding="utf-8")
        seen.append(state_told(model, climate))
        (tmp_path / legend).write_text("1: BWh, and more", encoding="utf-8")
        seen.append(state_told(model, climate))
    for policy in (PromptPolicy("template"), PromptPolicy(classes=("tree",)), PromptPolicy(bank=bank)):
        model.prompt_policy = policy
        seen.append(state_told(model, climate))
    bank.write_text(bank.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    seen.append(state_told(model, climate))
    assert len(set(seen)) == len(seen)
    model.reads_places = False
    assert state_told(model, ClimateOptions()) == ""
