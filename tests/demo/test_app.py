"""The demo in a browser: guests, limits and messages without one, then the page itself, typed into and clicked on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.transform import from_origin

from ovrs.browser.guests import Guests, Limits, safe_stem
from ovrs.browser.messages import plain_words
from ovrs.browser.questions import question_of, vocabulary_of, words_of
from ovrs.errors import InputError, OutputError, VocabularyError
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sentence import Sentence
from ovrs.inference.tile_models import SystemTiles
from ovrs.inference.tiles import Tiling
from ovrs.inference.work import WorkFolder
from ovrs.vocabulary import Vocabulary

sys.path.append(str(Path(__file__).parents[1] / "modeling"))

from parts import tiny_rs_zeroseg

SCRIPT = Path(__file__).parents[2] / "demo" / "app.py"
WAIT = 120_000  # milliseconds; a busy machine is slow
WORDS = "dark, middling|medium, <b>bright</b>"


class FakeModel:
    """Class = the brightness in as many steps as there are names; the brighter, the surer. Counts its calls."""

    tiling = Tiling(tile=48, overlap=0.25, patch=16, per_patch=16)
    batch = 1
    reads_sentences = True
    calls = 0

    def score(self, tiles: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
        self.calls += 1
        names = vocabulary.num_classes if vocabulary.background.policy == "threshold" else len(vocabulary)
        brightness = tiles.float().mean(dim=1, keepdim=True) / 256
        steps = (torch.arange(names).view(1, -1, 1, 1) + 0.5) / names
        return brightness * (1 - (brightness - steps).abs())


def write_town(path: Path) -> Path:
    """A GeoTIFF of 60 x 90 pixels in UTM at half a metre: dark, middling and bright thirds, and a black corner."""
    bands = np.repeat(np.array([40, 130, 220], np.uint8), 30)[None, None].repeat(3, axis=0).repeat(60, axis=1)
    bands[:, :20, :20] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 3, "height": 60, "width": 90, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", **profile, transform=from_origin(5e5, 4e6, 0.5, 0.5)) as file:
        file.write(bands)
    return path


@pytest.fixture
def guests(tmp_path: Path) -> Guests:
    return Guests(Segmenter(FakeModel()), tmp_path / "uploads", tmp_path / "uploads" / "results")


@pytest.fixture
def town(guests: Guests) -> Path:
    return write_town(guests.uploads / "ab12" / "town.tif")


# ------------------------------------------------------------------ guests


def test_an_upload_becomes_a_map_an_overlay_and_polygons(guests: Guests, town: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    result = guests.segment("guest", town, Vocabulary.parse(WORDS))
    assert "One sentence" in result.read, "the model reads sentences, and words were asked"
    with rasterio.open(result.raster) as file:
        assert file.crs.to_epsg() == 32631 and file.shape == (60, 90)
        assert file.read(1)[30, [5, 45, 85]].tolist() == [0, 1, 2]
    with Image.open(result.overlay) as overlay:
        assert overlay.size[0] > 640
    assert result.vectors is not None and not result.no_vectors
    found = pyogrio.read_dataframe(result.vectors)
    assert set(found["class"]) == {"dark", "middling", "<b>bright</b>"}
    assert found.crs.to_epsg() == 32631


def test_a_picture_becomes_a_png_and_the_missing_polygons_are_explained(guests: Guests) -> None:
    path = guests.uploads / "x" / "view.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.full((40, 50, 3), 130, np.uint8)).save(path)
    result = guests.segment("guest", path, Vocabulary.parse(WORDS))
    with Image.open(result.raster) as file:
        assert file.format == "PNG" and np.unique(np.asarray(file)).tolist() == [1]
    assert result.vectors is None and "coordinate reference system" in result.no_vectors
    assert result.screen.areas is None


def test_another_system_serves_guests_like_the_first(guests: Guests, town: Path) -> None:
    pytest.importorskip("pyogrio")
    guests.segmenter = Segmenter(SystemTiles(tiny_rs_zeroseg().eval()))
    vocabulary, least = vocabulary_of(WORDS, "land, tree", 0.2)
    result = guests.segment("guest", town, vocabulary, least)
    screen = result.screen
    assert result.vectors is not None and sum(screen.shares.values()) == pytest.approx(1)
    scores = screen.scores_at(30, 45)
    assert scores is not None and set(scores) == {"dark", "middling", "<b>bright</b>", "background"}
    assert screen.chosen_at(30, 45) == max(scores, key=scores.__getitem__)


def test_layers_scores_and_shares_tell_the_same_as_the_map(guests: Guests, town: Path) -> None:
    screen = guests.segment("guest", town, Vocabulary.parse(WORDS)).screen
    layer, palette = screen.class_layer(), screen.vocabulary.palette
    assert (layer[30, [5, 45, 85]] == palette).all()
    heat, top = screen.heat_layer("<b>bright</b>")
    assert 0.8 < top <= 1 and heat[30, 85].sum() > heat[30, 5].sum()
    row, column = screen.pixel_at(0.5, 0.5)
    scores = screen.scores_at(row, column)
    assert (row, column) == (30, 45) and scores is not None
    assert next(iter(scores)) == "middling" == screen.chosen_at(row, column)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert screen.scores_at(3, 3) is None and screen.chosen_at(3, 3) is None  # the black corner is nodata
    assert screen.pixel_at(1, 1) == (59, 89)
    assert screen.areas is not None and screen.areas["middling"] == pytest.approx(30 * 60 * 0.25, rel=0.01)


@pytest.mark.parametrize("point", [(-0.1, 0.5), (0.5, 1.1), (float("nan"), 0.5)])
def test_a_point_outside_of_the_map_is_refused(guests: Guests, town: Path, point: tuple[float, float]) -> None:
    screen = guests.segment("guest", town, Vocabulary.parse(WORDS)).screen
    with pytest.raises(InputError, match="outside"):
        screen.pixel_at(*point)


def test_scores_of_a_background_by_threshold_are_refused_by_name(guests: Guests, town: Path) -> None:
    vocabulary, least = vocabulary_of(WORDS, "", 0.5)
    screen = guests.segment("guest", town, vocabulary, least).screen
    assert screen.shares["background"] > 0 and "background" not in screen.scored
    with pytest.raises(InputError, match="no scores of 'background'"):
        screen.heat_layer("background")


def test_only_uploads_are_read(guests: Guests, town: Path, tmp_path: Path) -> None:
    elsewhere = write_town(tmp_path / "secret.tif")
    link = guests.uploads / "ab12" / "link.tif"
    link.symlink_to(elsewhere)
    result = guests.segment("guest", town, Vocabulary.parse(WORDS))
    for path in (
        elsewhere,
        link,
        guests.uploads / ".." / "secret.tif",
        result.raster,
        guests.uploads,
        "/vsicurl/http://a/b.tif",
    ):
        with pytest.raises(InputError, match="was not uploaded here"):
            guests.upload(path)
    with pytest.raises(InputError, match="choose an image"):
        guests.upload(None)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        (Limits(pixels=5000), "5,400 pixels are more than the 5,000 allowed"),
        (Limits(bytes=100), "more than the 0 MB allowed"),
        (Limits(names=2), "3 names are more than the 2 allowed"),
    ],
)
def test_limits_are_kept_before_anything_is_computed(guests: Guests, town: Path, limits: Limits, says: str) -> None:
    strict = replace(guests, limits=limits)
    with pytest.raises((InputError, VocabularyError), match=says):
        strict.segment("guest", town, Vocabulary.parse(WORDS))
    assert guests.segmenter.model.calls == 0  # type: ignore[attr-defined]
    assert not guests.results.exists()


def test_the_number_of_synonyms_is_limited_too(guests: Guests, town: Path) -> None:
    many = Vocabulary.parse("|".join(f"word {number}" for number in range(400)))
    with pytest.raises(VocabularyError, match="400 words are more than"):
        guests.segment("guest", town, many)


def test_a_guest_has_one_result_and_none_after_leaving(guests: Guests, town: Path) -> None:
    first = guests.segment("one", town, Vocabulary.parse(WORDS))
    second = guests.segment("one", town, Vocabulary.parse("dark, bright"))
    other = guests.segment("two", town, Vocabulary.parse("dark, bright"))
    assert not first.raster.exists() and second.raster.exists()
    assert guests.result("one") is second
    guests.leave("one")
    assert not second.raster.parent.exists() and other.raster.exists()
    with pytest.raises(InputError, match="segment the image again"):
        guests.result("one")
    guests.leave("one")  # twice is once


def test_results_of_idle_guests_are_removed_when_another_comes(guests: Guests, town: Path) -> None:
    now = [0.0]
    timed = replace(guests, clock=lambda: now[0], limits=Limits(idle=100))
    idle = timed.segment("idle", town, Vocabulary.parse(WORDS))
    now[0] = 101
    timed.segment("new", town, Vocabulary.parse(WORDS))
    assert not idle.raster.exists()


def test_a_guest_who_leaves_meanwhile_leaves_nothing(guests: Guests, town: Path) -> None:
    with pytest.raises(OutputError):
        guests.segment("guest", town, Vocabulary.parse(WORDS), progress=lambda done, tiles: guests.leave("guest"))
    assert list(guests.results.iterdir()) == []


def test_a_failure_leaves_nothing(guests: Guests, town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guests.segmenter.model, "score", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        guests.segment("guest", town, Vocabulary.parse(WORDS))
    assert list(guests.results.iterdir()) == []


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "..", "a\0b"])
def test_a_guests_name_is_never_a_path(guests: Guests, town: Path, name: str) -> None:
    result = guests.segment(name, town, Vocabulary.parse(WORDS))
    assert result.raster.parent.parent == guests.results


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("town.tif", "town"),
        ("Zürich west (2).tif", "Z_rich_west_2"),
        ("../../x.tif", "x"),
        ("..tif", "image"),
        ("a" * 300 + ".png", "a" * 60),
    ],
)
def test_results_are_named_after_the_upload_in_plain_letters(name: str, stem: str) -> None:
    assert safe_stem(name) == stem


def test_messages_are_one_line_without_the_servers_folders(guests: Guests) -> None:
    broken = guests.uploads / "ab12" / "broken.tif"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"II*\0 and no more")
    with pytest.raises(InputError) as caught:
        guests.upload(broken)
    text = plain_words(caught.value, guests.uploads)
    assert "broken.tif" in text and str(guests.uploads) not in text and "\n" not in text


def test_messages_name_the_pages_controls_and_no_options(guests: Guests, town: Path) -> None:
    four, deep, vrt, view = (town.with_name(name) for name in ("four.tif", "deep.png", "town_vrt.tif", "view.png"))
    with rasterio.open(four, "w", driver="GTiff", count=4, height=9, width=9, dtype="uint16", photometric="minisblack") as file:
        file.write(np.ones((4, 9, 9), np.uint16))
    Image.fromarray(np.ones((9, 9), np.uint16)).save(deep)
    Image.fromarray(np.ones((9, 9, 3), np.uint8)).save(view)
    vrt.write_text("<VRTDataset rasterXSize='9' rasterYSize='9'></VRTDataset>")
    small = replace(guests, limits=Limits(pixels=50))
    said = [
        (guests, town, "1,2", "Bands '1,2': give three numbers"),
        (guests, town, "1,2,7", "no band 7; correct Bands, under More"),
        (guests, four, "", "name them in Bands, under More"),
        (guests, deep, "", "make it a GeoTIFF"),
        (guests, vrt, "", "choose the file itself"),
        (small, town, "", "more than the 50 allowed; cut it"),
        (small, view, "", "more than the 50 allowed; cut it"),
    ]
    for asked, path, bands, words in said:
        with pytest.raises(InputError) as caught:
            asked.upload(path, bands)
        text = plain_words(caught.value, guests.uploads)
        assert words in text and "--" not in text, text


def test_a_full_disk_leaves_nothing_to_resume_on_the_page(guests: Guests, town: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("no space left")

    monkeypatch.setattr(WorkFolder, "keep", full)
    monkeypatch.setattr(guests.segmenter, "in_memory", 0)
    with pytest.raises(OutputError) as caught:
        guests.segment("guest", town, Vocabulary.parse(WORDS))
    text = plain_words(caught.value, guests.uploads)
    assert "no space left; try again later" in text and "--" not in text and str(guests.results) not in text
    assert list(guests.results.iterdir()) == []


def test_typed_words_give_the_policies_of_the_command_line() -> None:
    assert vocabulary_of("ship|boat, quay")[0].background.policy == "none"
    words, least = vocabulary_of("ship", "water, land", 0.3)
    assert words.background.words == ("water", "land") and least == 0.3
    threshold, least = vocabulary_of("ship", " , ", 0.3)
    assert threshold.background.policy == "threshold" and threshold.background.threshold == 0.3 and least is None
    with pytest.raises(VocabularyError, match="empty"):
        vocabulary_of(None)


def test_a_sentence_is_taken_whole_and_its_background_is_bare(guests: Guests, town: Path) -> None:
    assert question_of("a, b", False)[0] == vocabulary_of("a, b")[0]
    asked, least = question_of("the bright, left | one", True, "dark, ", 0.3)
    assert asked == Sentence("the bright, left | one", threshold=0.3, others=("dark",)) and least is None
    with pytest.raises(VocabularyError, match="holds no word"):
        question_of(None, True)
    result = guests.segment("guest", town, question_of("the bright one on the left", True, "dark")[0])
    screen = result.screen
    assert screen.vocabulary.names == ("the bright one on the left", "background")
    values, layer = screen.map, screen.class_layer()
    assert {0, 1} <= set(np.unique(values))
    assert np.array_equal(layer[values == 1], screen.image[values == 1]) and (layer[values == 0] == (255, 196, 0)).all()
    assert "the whole scene at once" in result.read
    hint = "hint: reduced 9 times; for such things leave out 'left' and give --grounding windows"
    assert plain_words(hint, guests.uploads).endswith("leave out 'left'")


def test_the_text_of_a_ready_vocabulary_brings_its_colours() -> None:
    harbour = Vocabulary.preset("harbour")
    typed = vocabulary_of(words_of(harbour), ", ".join(harbour.background.words))[0]
    assert typed.classes == harbour.classes and typed.background.words == harbour.background.words
    assert vocabulary_of("ship")[0].classes[0].color is None


# ----------------------------------------------------------------- the script


def test_help_answers_without_gradio_and_mistakes_are_one_line() -> None:
    environment = {**os.environ, "PYTHONPATH": str(SCRIPT.parents[1])}
    code = (
        f"import sys, runpy; sys.modules['gradio'] = sys.modules['torch'] = None; sys.argv = ['app.py', '--help']; "
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    shown = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0 and "127.0.0.1" in shown.stdout and "examples:" in shown.stdout
    wrong = subprocess.run(
        [sys.executable, str(SCRIPT), "--port", "70000"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert wrong.returncode == 2 and "70000 is no port" in wrong.stderr and "Traceback" not in wrong.stderr


# ----------------------------------------------------------------- the server


class Server:
    """The page with a model that costs nothing, at an address."""

    def __init__(self, folder: Path) -> None:
        from ovrs.browser.page import build_page, launch

        self.folder, self.model = folder, FakeModel()
        self.guests = Guests(Segmenter(self.model), folder, folder / "results", Limits(bytes=3_000_000, names=5))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.page = build_page(self.guests, "a model for tests", waiting=8)
        launch(self.page, "127.0.0.1", port, 3_000_000, prevent_thread_lock=True, quiet=True)
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("gradio")
    folder = tmp_path_factory.mktemp("gradio").resolve()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        patch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
        running = Server(folder)
        try:
            yield running
        finally:
            running.page.close(verbose=False)


def test_the_server_listens_here_only_and_offers_programs_nothing(server: Server) -> None:
    assert server.page.server_name == "127.0.0.1" and server.page.share_url is None
    assert json.loads(server.get("/gradio_api/info")[1])["named_endpoints"] == {}
    assert server.get("/monitoring")[0] != 200


def test_the_server_gives_out_no_file_of_its_own(server: Server, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    results = server.guests.results
    results.mkdir(exist_ok=True)
    for path in (secret, SCRIPT, Path("/etc/passwd"), server.folder / ".." / "secret.txt", server.folder, results):
        status, body = server.get(f"/gradio_api/file={path}")
        assert status in (403, 404) and b"secret" not in body.replace(b"secret.txt", b"")


def test_a_path_that_was_not_uploaded_is_refused_by_the_server(server: Server, tmp_path: Path) -> None:
    """A program may send what the page never would."""
    config = json.loads(server.get("/config")[1])
    segment = next(event for event in config["dependencies"] if len(event["inputs"]) == 11)
    file = {"path": str(write_town(tmp_path / "secret.tif")), "meta": {"_type": "gradio.FileData"}}
    body = {
        "data": [file, "dark, bright", False, "", 0, "", file, None, False, "", ""],
        "fn_index": segment["id"],
        "session_hash": "../../evil",
    }
    request = urllib.request.Request(
        f"{server.url}/gradio_api/queue/join", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    calls = server.model.calls
    with urllib.request.urlopen(request, timeout=60):
        pass
    with urllib.request.urlopen(f"{server.url}/gradio_api/queue/data?session_hash=..%2F..%2Fevil", timeout=60) as stream:
        lines = (line.decode() for line in stream)
        end = next(line for line in lines if "process_completed" in line)
    assert json.loads(end.removeprefix("data: "))["success"] is False
    assert server.model.calls == calls


# ----------------------------------------------------------------- Chromium


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, chromium: Any, server: Server) -> Iterator[Any]:
    """The page, opened by a guest of its own; whatever it asks other computers for is in ``page.strangers``."""
    width, height = request.param
    context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.strangers = []

    def note(asked: Any) -> None:
        if not asked.url.startswith((server.url, "data:", "blob:", server.url.replace("http", "ws"))):
            page.strangers.append(asked.url)

    page.on("request", note)
    page.goto(server.url)
    page.wait_for_selector("#go")
    page.wait_for_selector("#upload input[type=file]", state="attached")
    yield page
    context.close()


def fits(page: Any) -> bool:
    """No need to scroll sideways."""
    return bool(page.evaluate("document.scrollingElement.scrollWidth <= innerWidth"))


def segment(page: Any, path: Path, words: str) -> None:
    page.set_input_files("#upload input[type=file]", path)
    page.wait_for_selector("#map .ovrs-sheet")
    page.locator("#words textarea").press_sequentially(words)
    page.click("#go")
    page.wait_for_selector("#legend table")


def download(page: Any, button: str, folder: Path) -> Path:
    with page.expect_download() as waiting:
        page.locator(button).click()
    path = folder / str(waiting.value.suggested_filename)
    waiting.value.save_as(path)
    return path


def test_type_segment_look_click_and_download(page: Any, server: Server, tmp_path: Path) -> None:
    pyogrio = pytest.importorskip("pyogrio")
    assert fits(page)
    segment(page, write_town(tmp_path / "town hall.tif"), WORDS)
    legend = page.inner_text("#legend")
    assert all(word in legend for word in ("dark", "middling", "<b>bright</b>", "m²", "nodata"))
    assert "EPSG:32631" in page.inner_text("#map") and "60" in page.inner_text("#map")
    assert fits(page)

    # Opacity is the browser's affair.
    calls, before = server.model.calls, page.eval_on_selector(".ovrs-cover", "e => getComputedStyle(e).opacity")
    page.locator("#opacity input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"getComputedStyle(document.querySelector('.ovrs-cover')).opacity != '{before}'")
    assert float(page.eval_on_selector(".ovrs-cover", "e => getComputedStyle(e).opacity")) < float(before)

    colours = page.get_attribute(".ovrs-cover", "src")
    page.click("#layer input")
    page.get_by_role("option", name="middling").click()
    page.wait_for_selector("#legend .ovrs-ramp")
    assert "Scores of middling" in page.inner_text("#legend")
    assert page.get_attribute(".ovrs-cover", "src") != colours

    box = page.locator(".ovrs-sheet").bounding_box()
    page.locator(".ovrs-sheet").click(position={"x": box["width"] * 46.5 / 90, "y": box["height"] * 54.5 / 60})
    page.wait_for_selector("#pixel table")
    told = page.inner_text("#pixel")
    assert "middling" in told.splitlines()[0] and "row 54" in told and "<b>bright</b>" in told and "500,023" in told
    assert server.model.calls == calls, "looking must not segment again"

    with rasterio.open(download(page, "#raster", tmp_path)) as file:
        assert file.crs.to_epsg() == 32631 and file.read(1)[30, [5, 45, 85]].tolist() == [0, 1, 2]
    vectors = download(page, "#vectors", tmp_path)
    assert vectors.name == "town_hall.gpkg" and len(pyogrio.read_dataframe(vectors)) == 3
    with rasterio.open(download(page, "#overlay", tmp_path)) as file:
        assert file.count >= 3 and file.width > 300
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert fits(page) and page.strangers == []


def test_a_sentence_is_typed_into_the_field_of_words(page: Any, server: Server, tmp_path: Path) -> None:
    page.click("#sentence input")
    segment(page, write_town(tmp_path / "town.tif"), "the dark, narrow strip on the left")
    legend = page.inner_text("#legend")
    assert "the dark, narrow strip on the left" in legend and "background" in legend
    assert "the whole scene at once" in page.inner_text("#note")
    page.screenshot(path=tmp_path / "sentence.png", full_page=True)
    assert fits(page) and page.strangers == []


def test_a_bad_file_and_bad_words_are_told_in_plain_words(page: Any, server: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    broken.write_bytes(write_town(tmp_path / "whole.tif").read_bytes()[:60])
    page.set_input_files("#upload input[type=file]", broken)
    toast = page.locator(".toast-body").first
    toast.wait_for()
    text = toast.inner_text()
    assert "broken.tif" in text and "truncated" in text and "Traceback" not in text and str(server.folder) not in text
    page.wait_for_function("document.querySelector('#map').innerText.includes('truncated')")
    assert fits(page)
    page.reload()
    page.wait_for_selector("#upload input[type=file]", state="attached")
    page.set_input_files("#upload input[type=file]", tmp_path / "whole.tif")
    page.wait_for_selector("#map .ovrs-sheet")
    page.locator("#words textarea").fill("<b>dark</b>, <b>dark</b>")
    page.click("#go")
    toast = page.locator(".toast-body").first
    toast.wait_for()
    assert "'<b>dark</b>' is given twice" in toast.inner_text()


def test_an_example_and_a_ready_list_fill_the_page_and_closing_it_removes_the_results(page: Any, server: Server) -> None:
    page.locator("#examples .thumbnail-item").first.click()
    page.wait_for_selector("#map .ovrs-sheet")
    assert "synthetic" in page.inner_text("#map")
    page.wait_for_function("document.querySelector('#words textarea').value.includes('ship')")
    page.locator("#words textarea").fill("")
    chosen = []
    page.on("request", lambda asked: chosen.append(asked) if '"harbour"' in (asked.post_data or "") else None)
    page.click("#preset input")
    page.get_by_role("option", name="harbour").click()
    page.wait_for_function("document.querySelector('#words textarea').value.includes('quay')")
    page.locator("#words textarea").fill("dark, bright")
    page.click("#go")
    page.wait_for_selector("#legend table")
    assert len(chosen) == 1, "a second answer would overwrite what was typed after the first"
    kept = len(list((server.folder / "results").iterdir()))
    assert kept >= 1
    page.close()
    deadline = time.monotonic() + 60
    while len(list((server.folder / "results").iterdir())) >= kept:
        assert time.monotonic() < deadline, "the results are still there"
        time.sleep(0.2)
