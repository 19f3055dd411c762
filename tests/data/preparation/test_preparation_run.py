"""The loop: what is done once is not done again, whatever happened in between."""

import json
import re
import zipfile
from dataclasses import replace

import numpy as np
import pytest

import ovrs.data.preparation.run as loop
from ovrs.data.preparation.command import command
from ovrs.data.preparation.images import write_tile
from ovrs.data.preparation.labels import from_indices, shifted
from ovrs.data.preparation.recipe import Pair, Recipe, paired
from ovrs.data.preparation.source import unique
from ovrs.data.preparation.tiling import Tiling
from ovrs.data.preparation.workplace import workplace
from ovrs.data.table import DATA_SETS
from ovrs.errors import DataError

COUNT = 6


def pairs(source):
    images = unique(source.select(r".*/i\d+\.png"), lambda member: member.stem[1:])
    labels = unique(source.select(r".*/m\d+\.png"), lambda member: member.stem[1:])
    return [Pair("val" if pair.stem == "0" else "train", *_rest(pair)) for pair in paired("train", images, labels)]


def _rest(pair):
    return pair.stem, pair.image, pair.labels


def recipe(size=8, published=None):
    data = replace(DATA_SETS["isaid"], expected_counts=published or {})
    return Recipe("tiny", data, pairs, from_indices(shifted(15)), Tiling(size))


@pytest.fixture
def source(tmp_path):
    """An archive of six images of 16 x 8 pixels, with two tiles each."""
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        write_tile(tmp_path / f"i{number}.png", rng.integers(0, 256, (16, 8, 3), dtype=np.uint8))
        write_tile(tmp_path / f"m{number}.png", np.full((16, 8), number + 1, np.uint8))
    folder = tmp_path / "downloads"
    folder.mkdir()
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        for path in tmp_path.glob("*.png"):
            archive.write(path, path.name)
    return folder


@pytest.fixture
def output(tmp_path):
    return tmp_path / "data"


def state(output):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in sorted(output.rglob("*")) if path.is_file()}


def test_a_second_run_does_nothing(source, output):
    first = loop.prepare(recipe(), source, output)
    before = state(output)
    second = loop.prepare(recipe(), source, output)
    assert (first.cut, second.cut) == (COUNT, 0)
    assert state(output) == before and second.counts == first.counts
    assert first.counts["train"].tiles == 10 and first.counts["val"].pixels["ship"] == 128


def test_the_record_does_not_depend_on_threads_or_time(source, output, tmp_path):
    for number, workers in enumerate((1, 3)):
        loop.prepare(recipe(), source, tmp_path / f"{number}", workers=workers)
    one, two = ({p.relative_to(tmp_path / n): content for p, (_, content) in state(tmp_path / n).items()} for n in "01")
    assert one == two


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_run_goes_on(source, output, monkeypatch, error):
    written = []

    def failing(path, pixels):
        if len(written) == 9:  # in the middle of a tile's two files
            raise error("stopped")
        written.append(path)
        write_tile(path, pixels)

    monkeypatch.setattr(loop, "write_tile", failing)
    with pytest.raises(error):
        loop.prepare(recipe(), source, output, workers=1)
    before = state(output / "iSAID_split")
    assert json.loads((output / "iSAID_split/preparation.json").read_text())["complete"] is False
    monkeypatch.setattr(loop, "write_tile", write_tile)
    outcome = loop.prepare(recipe(), source, output)
    assert 0 < outcome.cut < COUNT
    assert outcome.counts["train"].tiles == 10 and outcome.counts["train"].images == 5
    after = state(output / "iSAID_split")
    tiles = [path for path in before if path.suffix == ".png"]
    assert len(tiles) == 9 and all(after[path] == before[path] for path in tiles)
    assert json.loads((output / "iSAID_split/preparation.json").read_text())["complete"] is True


def test_an_interrupted_run_ends_as_one_that_was_not(source, output, tmp_path, monkeypatch):
    loop.prepare(recipe(), source, tmp_path / "straight")
    calls = iter(range(100))
    monkeypatch.setattr(loop, "write_tile", lambda *given: write_tile(*given) if next(calls) < 13 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.prepare(recipe(), source, output)
    monkeypatch.setattr(loop, "write_tile", write_tile)
    loop.prepare(recipe(), source, output)
    straight = {path.relative_to(tmp_path / "straight"): content for path, (_, content) in state(tmp_path / "straight").items()}
    assert {path.relative_to(output): content for path, (_, content) in state(output).items()} == straight


@pytest.mark.parametrize("harm", ["removed", "emptied", "cut short"])
def test_a_tile_that_is_not_whole_is_made_again_and_no_other(source, output, harm):
    loop.prepare(recipe(), source, output)
    before = state(output)
    tile = output / "iSAID_split/train/imgs/3_00008_00000.png"
    data = tile.read_bytes()
    tile.unlink() if harm == "removed" else tile.write_bytes(b"" if harm == "emptied" else data[:-4])
    assert loop.prepare(recipe(), source, output).cut == 1
    after = state(output)
    assert after[tile][1] == data
    tiles = [path for path in before if path.suffix == ".png" and path != tile]
    assert all(after[path] == before[path] for path in tiles)


def test_a_torn_note_is_not_believed(source, output):
    loop.prepare(recipe(), source, output)
    notes = output / "iSAID_split/tiles.jsonl"
    notes.write_text(notes.read_text()[:-30])
    assert loop.prepare(recipe(), source, output).cut == 1
    assert len(notes.read_text().splitlines()) == COUNT


def test_a_torn_note_spoils_no_later_one(source, output, monkeypatch):
    loop.prepare(recipe(), source, output)
    notes = output / "iSAID_split/tiles.jsonl"
    notes.write_text(notes.read_text()[:-30])
    (output / "iSAID_split/train/imgs/3_00008_00000.png").unlink()
    monkeypatch.setattr(loop, "write_tile", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        loop.prepare(recipe(), source, output)
    assert {json.loads(line)["image"] for line in notes.read_text().splitlines()} >= {"1", "2", "4", "5"}


def test_another_recipe_is_refused_or_starts_anew(source, output):
    loop.prepare(recipe(), source, output)
    before = state(output)
    with pytest.raises(DataError, match=r"prepared in another way \(tiling: .*'size': 8.*'size': 4.*--force") as caught:
        loop.prepare(recipe(4), source, output)
    assert str(output / "iSAID_split") in str(caught.value) and state(output) == before
    assert loop.prepare(recipe(4), source, output, force=True).counts["train"].tiles == 40
    assert len(list((output / "iSAID_split/train/imgs").iterdir())) == 40


def test_other_archives_are_refused_and_moved_ones_are_not(source, output, tmp_path):
    loop.prepare(recipe(), source, output)
    (source / "deeper").mkdir()
    (source / "all.zip").rename(source / "deeper/renamed.zip")
    assert loop.prepare(recipe(), source, output).cut == 0
    with zipfile.ZipFile(source / "deeper/renamed.zip", "a") as archive:
        archive.writestr("more.txt", "more")
    with pytest.raises(DataError, match=r"in another way \(other archives: deeper/renamed.zip\)"):
        loop.prepare(recipe(), source, output)


@pytest.mark.parametrize("force", [False, True])
def test_tiles_of_another_hand_are_never_touched(source, output, force):
    tile = output / "iSAID_split/train/imgs/mine.png"
    write_tile(tile, np.zeros((4, 4, 3), np.uint8))
    before = state(output)
    with pytest.raises(DataError, match="holds files that no preparation of ours recorded; move the folder away"):
        loop.prepare(recipe(), source, output, force=force)
    assert state(output) == before


def test_an_error_in_one_image_keeps_what_is_done(source, output, tmp_path):
    write_tile(tmp_path / "m5.png", np.full((16, 9), 1, np.uint8))
    with zipfile.ZipFile(source / "all.zip", "w") as archive:
        for path in tmp_path.glob("*.png"):
            archive.write(path, path.name)
    with pytest.raises(DataError, match=r"all.zip/m5.png: is 9 x 16 pixels, its image .*i5.png 8 x 16"):
        loop.prepare(recipe(), source, output, workers=1)
    assert len(list((output / "iSAID_split/train/imgs").iterdir())) == 8
    assert not list(output.rglob(".*"))


def test_only_one_process_prepares_a_folder(source, output):
    with (
        workplace(output / "iSAID_split", []),
        pytest.raises(DataError, match="iSAID_split: is being prepared by another process"),
    ):
        loop.prepare(recipe(), source, output)
    assert loop.prepare(recipe(), source, output).cut == COUNT


def test_what_a_killed_process_left_is_swept(source, output):
    folder = output / "iSAID_split"
    for left in (".unpacked-abc/big.zip", "train/imgs/.1_00000_00000.png.x7", ".preparing"):
        (folder / left).parent.mkdir(parents=True, exist_ok=True)
        (folder / left).write_bytes(b"half")
    loop.prepare(recipe(), source, output)
    assert not list(output.rglob(".*"))


def test_what_desktops_and_editors_hide_beside_tiles_stays_and_is_no_tile(source, output):
    images = output / "iSAID_split/train/imgs"
    (images / ".ipynb_checkpoints").mkdir(parents=True)
    (images / ".DS_Store").write_bytes(b"icons")
    assert loop.prepare(recipe(), source, output).cut == COUNT
    assert (images / ".ipynb_checkpoints").is_dir() and (images / ".DS_Store").read_bytes() == b"icons"


def test_a_source_without_images_leaves_no_folder(tmp_path, output):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/readme.txt").write_text("nothing")
    with pytest.raises(DataError, match="no images of iSAID found"):
        loop.prepare(recipe(), tmp_path / "empty", output)
    assert not (output / "iSAID_split").exists()


def test_two_images_of_one_name_are_refused(source, output):
    def doubled(files):
        found = pairs(files)
        return [*found, Pair("train", "1", found[2].image, found[2].labels)]

    twice = Recipe("tiny", DATA_SETS["isaid"], doubled, from_indices(shifted(15)), Tiling(8))
    with pytest.raises(DataError, match=r"i2.png and .*i1.png would both be written as '1'"):
        loop.prepare(twice, source, output)


def run_command(*arguments, published=None):
    return command("A tiny data set.\n", lambda args: recipe(args.tile, published), list(map(str, arguments)), tile=8)


def test_a_dry_run_writes_nothing(source, output, capsys):
    assert run_command("--source", source, "--output", output, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert re.search(r"train\s+5 images -> iSAID_split/train/imgs", printed) and "'size': 8" in printed
    assert not output.exists()


def test_equal_counts_give_no_warning(source, output, capsys):
    assert run_command("--source", source, "--output", output, published={"train": 10, "val": 2}) == 0
    assert "WARNING" not in capsys.readouterr().err
    assert run_command("--source", source, "--output", output, published={"train": 10, "val": 3}) == 0
    printed = capsys.readouterr()
    assert "nothing to do" in printed.out and "WARNING: val differ" in printed.err


def test_bad_input_is_one_line_and_code_2(source, output, capsys):
    assert run_command("--source", source / "none", "--output", output) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "none" in error


@pytest.mark.parametrize("option", [("--tile", "-4"), ("--workers", "0"), ("--stride", "x")])
def test_options_that_cannot_work_are_refused(source, output, option, capsys):
    with pytest.raises(SystemExit) as caught:
        run_command("--source", source, "--output", output, *option)
    assert caught.value.code == 2 and option[0] in capsys.readouterr().err


def test_an_interruption_says_that_it_can_go_on(source, output, monkeypatch, capsys):
    monkeypatch.setattr(loop, "write_tile", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run_command("--source", source, "--output", output) == 130
    assert "the same command goes on" in capsys.readouterr().err
