import json

import numpy as np
import pytest

FOLDER = "RefSegRS_refer"
LINES = {
    "train": ["1 vehicle in the parking area", "2 road marking  on the main road", "2 all the road markings"],
    "val": ["3 low vegetation along the road"],
    "test": ["4 everything that is grey"],
}


@pytest.fixture
def publish(make):
    """Writes the published archive; lines can be changed."""

    def write(lines=LINES, lacking=()):
        photos = {number: make.photo(16, 16) for number in (1, 2, 3, 4)}
        members = {}
        for number, photo in photos.items():
            mask = np.zeros((16, 16), np.uint8)
            mask[number:8, 2:5] = 1 if number == 3 else 255
            mask[0, 0] = 0 if number == 3 else 30  # smoothed away where the owner made images smaller
            members[f"RefSegRS/images/{number}.tif"] = make.encode(photo, "tif")
            members[f"RefSegRS/masks/{number}.tif"] = make.encode(mask, "tif")
        for split, text in lines.items():
            members[f"RefSegRS/output_phrase_{split}.txt"] = ("\n".join(text) + "\n").encode()
        make.zip("RefSegRS.zip", {name: data for name, data in members.items() if name not in lacking})
        return photos

    return write


def lines(run, split):
    return [json.loads(line) for line in (run.output / FOLDER / f"{split}.jsonl").read_text().splitlines()]


def test_images_masks_and_sentences_are_those_published(publish, run):
    photos = publish()
    assert run("prepare_refsegrs") == 0
    first, second = lines(run, "train")
    assert first == {
        "id": "1",
        "image": "images/1.png",
        "mask": "masks/1.png",
        "sentence": "vehicle in the parking area",
        "category": "vehicle",
    }
    assert second["sentences"] == ["road marking on the main road", "all the road markings"]
    assert second["category"] == "road marking"
    assert lines(run, "val")[0]["category"] == "low vegetation" and "category" not in lines(run, "test")[0]
    assert np.array_equal(run.pixels(f"{FOLDER}/images/1.png"), photos[1])
    for number in (1, 2, 3, 4):
        mask = run.pixels(f"{FOLDER}/masks/{number}.png")
        assert set(np.unique(mask)) == {0, 255} and (mask > 0).sum() == (8 - number) * 3


def test_counts_and_a_second_run(publish, run, capsys):
    publish()
    run("prepare_refsegrs")
    before = run.written()
    assert ["test", "1", "1", "1,817"] in [line.split() for line in capsys.readouterr().out.splitlines()]
    assert run("prepare_refsegrs") == 0 and run.written() == before
    assert run.record(FOLDER)["counts"]["sentences"] == {"train": 3, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": ["5 a road"]}, "line 1: there is no image 5.tif"),
        ({"train": ["1"]}, "line 1: '1' is no number with a sentence"),
        ({"train": ["1 a road", "", "x a road"]}, "line 3: 'x a road' is no number with a sentence"),
        ({"val": ["1 a road"]}, "image 1 is of train already"),
        ({"val": []}, "no reference of val found"),
    ],
)
def test_what_cannot_be_is_named_by_file_and_line(publish, run, capsys, change, said):
    publish(LINES | change)
    assert run("prepare_refsegrs") == 2
    assert said in capsys.readouterr().err


def test_a_missing_mask_or_text_is_named(publish, run, capsys):
    publish(lacking=["RefSegRS/masks/2.tif"])
    assert run("prepare_refsegrs") == 2 and "there is no mask 2.tif" in capsys.readouterr().err
    publish(lacking=["RefSegRS/output_phrase_val.txt"])
    assert run("prepare_refsegrs") == 2 and "no sentences (output_phrase_val.txt) found" in capsys.readouterr().err
