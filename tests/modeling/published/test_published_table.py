"""The rows of the table against what open_clip and timm know, and the page that shows them."""

import re
from pathlib import Path

import open_clip
import open_clip.pretrained
import pytest
import timm
from timm.models import get_pretrained_cfg

from ovrs.config import load_config
from ovrs.errors import WeightsError
from ovrs.modeling.encoders.guidance import SAM_SIZES
from ovrs.modeling.layouts import LAYOUTS
from ovrs.modeling.published.configured import configured_weights
from ovrs.modeling.published.page import CHECKS, as_markdown, paths_of
from ovrs.modeling.published.table import PUBLISHED

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/weights.md"
ROWS = list(PUBLISHED.values())
VISION_LANGUAGE = [row for row in ROWS if row.part == "vision_language"]
TIMM = [row for row in ROWS if row.architecture.startswith("timm:")]
TAGS = {"openai": "openai", "laion2b": "laion2b_s", "datacomp": "datacomp_xl", "siglip": "webli", "siglip2": "webli"}


def by_name(rows):
    return pytest.mark.parametrize("row", rows, ids=lambda row: row.name)


def test_names_and_files_are_the_rows_own():
    files = [name for row in ROWS for name in row.files]
    assert len(files) == len(set(files)) and len(PUBLISHED) == 52
    assert all(not Path(name).is_absolute() and ".." not in Path(name).parts for name in files)


@by_name(ROWS)
def test_a_row_is_complete(row):
    assert re.fullmatch(r"[a-z0-9.-]+/[\w.+-]+", row.name) and row.family in CHECKS
    assert row.address.startswith("https://") and row.source
    assert re.fullmatch("([0-9a-f]{64})?", row.sha256) and re.fullmatch("[0-9a-f]{0,32}", row.md5)
    if row.part == "text":
        assert row.normalization is None and not row.size and not row.patch
        return
    assert row.size and row.patch
    mean, std = row.normalization
    assert all(50 < value < 150 for value in mean) and all(30 < value < 150 for value in std)


@by_name(VISION_LANGUAGE)
def test_open_clip_knows_the_architecture_and_its_sizes(row):
    config = open_clip.get_model_config(row.architecture)
    if config is None and row.family == "siglip2":
        pytest.skip("SigLIP 2 needs a newer open_clip")
    vision = config["vision_cfg"]
    patch = vision.get("patch_size") or int(re.search(r"patch(\d+)", vision["timm_model_name"])[1])
    assert (vision["image_size"], patch) == (row.size, row.patch)
    assert bool(config.get("quick_gelu")) == row.architecture.endswith("-quickgelu")


@by_name([row for row in VISION_LANGUAGE if row.family in TAGS])
def test_address_and_normalisation_are_open_clip_s(row):
    known = open_clip.pretrained.list_pretrained_tags_by_model(row.architecture.removesuffix("-quickgelu"))
    tags = [tag for tag in known if tag.startswith(TAGS[row.family])]
    if not tags and row.family == "siglip2":
        pytest.skip("SigLIP 2 needs a newer open_clip")
    (tag,) = tags
    published = open_clip.pretrained.get_pretrained_cfg(row.architecture.removesuffix("-quickgelu"), tag)
    assert row.address == published["url"] or published["hf_hub"].rstrip("/") in row.address
    for ours, theirs in zip(row.normalization, (published["mean"], published["std"]), strict=True):
        assert ours == pytest.approx([255 * value for value in theirs], abs=1e-4)


@by_name(TIMM)
def test_timm_knows_the_architecture_its_normalisation_and_its_licence(row):
    name = row.architecture.removeprefix("timm:").split(".")[0]
    if name not in timm.list_models():
        pytest.skip(f"{name} needs a newer timm")
    stem = row.address.split("/timm/")[1].split("/")[0] if "/timm/" in row.address else name
    known = get_pretrained_cfg(stem)
    for ours, theirs in zip(row.normalization, (known.mean, known.std), strict=True):
        assert ours == pytest.approx([255 * value for value in theirs], abs=1e-3)
    assert row.licence.lower().replace(" ", "-") == known.license
    if "/timm/" in row.address:
        assert known.hf_hub_id == f"timm/{stem}" and known.input_size[-1] == row.size


@by_name([row for row in ROWS if row.part == "guidance" and row not in TIMM])
def test_other_guidance_is_sam(row):
    assert row.architecture in SAM_SIZES and row.md5 in row.address


@by_name([row for row in ROWS if row.part == "system"])
def test_the_converter_knows_the_layout(row):
    assert row.architecture in LAYOUTS


# ------------------------------------------------------------------ docs/weights.md


def test_the_page_shows_the_table_as_it_is():
    shown = PAGE.read_text().split("<!-- table -->\n")[1]
    assert shown.strip() == as_markdown(ROWS), "run: python -m ovrs.weights list --markdown"


def test_every_family_names_a_test_that_exists():
    assert {row.family for row in ROWS} == set(CHECKS)
    assert [path for checks in CHECKS.values() for path in paths_of(checks) if not (ROOT / path).is_file()] == []


def test_the_page_s_links_and_names_exist():
    text = PAGE.read_text()
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
    assert links and [link for link in links if not (PAGE.parent / link).exists()] == []
    used = re.findall(r"(?:fetch|WEIGHTS|verify) ((?:[a-z0-9.-]+/[\w.+-]+ ?)+)", text.split("<!-- table -->")[0])
    names = [name for words in used for name in words.split()]
    assert names and [name for name in names if name not in PUBLISHED and not name.endswith(".safetensors")] == []


# ------------------------------------------------------------------ configs/rs_zeroseg/README.md

FOLDER = ROOT / "configs/rs_zeroseg"
WANTED = re.findall(r"^\| (\w+\.yaml)[^|]* \| ([\w/-]+) \| ([\w/-]+) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)


def test_weights_are_named_for_every_pair_of_encoders():
    assert sorted(file for file, *_ in WANTED) == sorted(path.name for path in FOLDER.glob("*.yaml"))


@pytest.mark.parametrize(("file", "vision_language", "guidance"), WANTED)
def test_the_weights_named_are_those_of_the_file_s_encoders(file, vision_language, guidance, tmp_path, monkeypatch):
    monkeypatch.setenv("OVRS_CACHE", str(tmp_path))
    model = load_config(str(FOLDER / file)).MODEL
    for keys, name, part in (
        (model.VISION_LANGUAGE, vision_language, "vision_language"),
        (model.GUIDANCE, guidance, "guidance"),
    ):
        # All that the table knows is compared before the file is looked for.
        with pytest.raises(WeightsError, match=f"ovrs.weights fetch {name}"):
            configured_weights(name, part=part, architecture=keys.NAME, mean=keys.PIXEL_MEAN, std=keys.PIXEL_STD)
    patch = PUBLISHED[guidance].patch
    assert (model.GUIDANCE.INPUT_SIZE or 384) == 24 * patch and PUBLISHED[vision_language].patch == model_patch(file)


def model_patch(file):
    return int(re.search(r"vit[bl](\d+)_", file)[1])
