import io
import json
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
from detectron2.data import DatasetCatalog

from ovrs.data.preparation.plain_pickle import read_plain_pickle
from ovrs.data.referring.reading import read_files
from ovrs.errors import DataError

FOLDER = "RRSIS-D_refer"
SPLITS = {1: "train", 2: "train", 3: "val", 4: "test"}
SIZES = {1: (40, 40), 2: (40, 40), 3: (37, 40), 4: (40, 40)}


def runs(mask):
    """COCO's run lengths of a mask, as numbers: column by column, the first outside."""
    flat = np.asarray(mask, int).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff([0, *changes, flat.size]).tolist()
    return {"size": list(mask.shape), "counts": [0, *lengths] if flat[0] else lengths}


def square(top, left):
    mask = np.zeros((40, 40), bool)
    mask[top : top + 10, left : left + 6] = True
    return mask


def reference(number, **changes):
    said = {"raw": f"The vehicle  on the left of {number}", "sent": "x", "tokens": ["the"], "sent_id": number}
    return {
        "ref_id": number,
        "ann_id": 100 + number,
        "image_id": 10 + number,
        "category_id": 7,
        "split": SPLITS[number],
        "sent_ids": [number],
        "file_name": f"{number:05d}.jpg",
        "sentences": [said],
        **changes,
    }


@pytest.fixture
def publish(make):
    """Writes the published files; references, run lengths and images can be changed."""

    def write(refs=None, protocol=4, segmentations=None, images=SIZES, raw=None):
        refs = [reference(number) for number in SPLITS] if refs is None else refs
        segmentations = segmentations or {}
        instances = {
            "images": [{"id": 10 + number, "file_name": f"{number:05d}.jpg"} for number in SPLITS],
            "annotations": [
                {
                    "id": 100 + n,
                    "image_id": 10 + n,
                    "categories_id": 7,
                    "segmentation": segmentations.get(n, [runs(square(n, 3 * n))]),
                }
                for n in SPLITS
            ],
            "categories": [{"id": 7, "name": "vehicle"}],
        }
        photos = {number: make.encode(make.photo(*size), "jpg") for number, size in images.items()}
        make.zip("images-1.zip", {f"images/rrsisd/JPEGImages/{n:05d}.jpg": data for n, data in photos.items()})
        make.files(
            {
                "rrsisd/refs(unc).p": pickle.dumps(refs, protocol) if raw is None else raw,
                "rrsisd/instances.json": json.dumps(instances).encode(),
            }
        )
        return photos

    return write


def lines(run, split):
    return [json.loads(line) for line in (run.output / FOLDER / f"{split}.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_images_masks_and_sentences_are_those_published(publish, run, protocol):
    photos = publish(protocol=protocol)
    assert run("prepare_rrsisd") == 0
    assert lines(run, "train") == [
        {
            "id": f"{number:05d}",
            "image": f"images/{number:05d}.jpg",
            "mask": f"masks/{number:05d}.png",
            "sentence": f"The vehicle on the left of {number}",
            "category": "vehicle",
        }
        for number in (1, 2)
    ]
    assert (run.output / FOLDER / "images/00002.jpg").read_bytes() == photos[2]
    assert np.array_equal(run.pixels(f"{FOLDER}/masks/00002.png"), square(2, 6) * np.uint8(255))
    assert [len(lines(run, split)) for split in ("val", "test")] == [1, 1]


def test_a_mask_of_another_size_than_its_image_is_brought_to_it(publish, run, capsys):
    publish()
    run("prepare_rrsisd")
    mask = run.pixels(f"{FOLDER}/masks/00003.png")
    assert mask.shape == (37, 40) and abs(int((mask > 0).sum()) - 60 * 37 / 40) <= 6
    assert "brought to the size of their image: 1" in capsys.readouterr().out
    assert run.record(FOLDER)["counts"]["stretched"] == 1


def test_the_registered_sets_read_what_was_prepared(publish, run, monkeypatch):
    publish()
    run("prepare_rrsisd")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(run.output))
    first, _ = DatasetCatalog.get("rrsisd_train")
    assert first["expressions"] == ("The vehicle on the left of 1",) and first["category"] == "vehicle"
    assert np.array_equal(read_files(first)[1], square(1, 3))


def test_run_lengths_as_text_and_polygons_are_read_too(publish, run):
    publish(segmentations={1: {"size": [40, 40], "counts": r"\3:n000000dY1"}, 2: [[6, 2, 12, 2, 12, 12, 6, 12]]})
    assert run("prepare_rrsisd") == 0
    wanted = np.zeros((40, 40), bool)
    wanted[28:38, 2:6] = True  # 108 pixels, then four columns: 10 inside, 30 outside
    assert np.array_equal(run.pixels(f"{FOLDER}/masks/00001.png") > 0, wanted)
    assert np.array_equal(run.pixels(f"{FOLDER}/masks/00002.png") > 0, square(2, 6))


def test_several_sentences_stay_with_their_thing(publish, run):
    two = reference(1)
    two["sentences"] = [{"raw": "a"}, {"sent": "b"}]
    publish([two, *(reference(number) for number in (2, 3, 4))])
    run("prepare_rrsisd")
    assert lines(run, "train")[0]["sentences"] == ["a", "b"]


def test_an_empty_mask_is_kept(publish, run):
    publish(segmentations={4: [runs(np.zeros((40, 40), bool))]})
    assert run("prepare_rrsisd") == 0
    assert not run.pixels(f"{FOLDER}/masks/00004.png").any() and len(lines(run, "test")) == 1


def test_counts_stand_beside_the_published_ones(publish, run, capsys):
    publish()
    run("prepare_rrsisd")
    printed = capsys.readouterr()
    assert ["train", "2", "2", "12,181"] in [line.split() for line in printed.out.splitlines()]
    assert "train and val and test differ from the published counts" in printed.err
    record = run.record(FOLDER)
    assert record["complete"] and record["counts"]["references"] == {"train": 2, "val": 1, "test": 1}
    assert record["published"] == {"train": 12181, "val": 1740, "test": 3481}


def test_a_second_run_writes_nothing_and_a_lost_file_is_made_again(publish, run, capsys):
    publish()
    run("prepare_rrsisd")
    before = run.written()
    capsys.readouterr()
    assert run("prepare_rrsisd") == 0 and run.written() == before
    assert "nothing to do" in capsys.readouterr().out
    (run.output / FOLDER / "masks/00002.png").unlink()
    assert run("prepare_rrsisd") == 0
    assert np.array_equal(run.pixels(f"{FOLDER}/masks/00002.png") > 0, square(2, 6))


def test_other_files_are_refused_unless_forced(publish, run, capsys):
    publish()
    run("prepare_rrsisd")
    publish(segmentations={1: [runs(square(20, 20))]}, images=dict.fromkeys(SPLITS, (40, 40)))
    assert run("prepare_rrsisd") == 2 and "was prepared in another way" in capsys.readouterr().err
    assert run("prepare_rrsisd", "--force") == 0
    assert np.array_equal(run.pixels(f"{FOLDER}/masks/00001.png") > 0, square(20, 20))


def test_missing_images_are_an_error_or_left_out(publish, run, capsys):
    publish(images={1: (40, 40), 3: (40, 40), 4: (40, 40)})
    assert run("prepare_rrsisd") == 2
    assert "1 of 4 references have no image, the first being '00002.jpg'" in capsys.readouterr().err
    assert run("prepare_rrsisd", "--skip-missing") == 0
    assert [line["id"] for line in lines(run, "train")] == ["00001"]
    assert "left out, their image being missing: 1" in capsys.readouterr().out


def test_a_dry_run_writes_nothing(publish, run, capsys):
    publish()
    assert run("prepare_rrsisd", "--dry-run") == 0 and not run.written()
    assert f"train        2 references -> {FOLDER}/train.jsonl" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"split": "other"}, "split is 'other', expected train, val, test"),
        ({"ref_id": "1"}, "ref_id is '1', expected a whole number"),
        ({"ann_id": 5}, "has no annotation 5, which reference 1 is of"),
        ({"image_id": 5}, "names no file for image 5"),
        ({"category_id": 9}, "has no category 9"),
        ({"sentences": []}, "has no sentences"),
        ({"sentences": [{"raw": 3}]}, "has a sentence that is no text"),
        ({"ref_id": 2}, "two references are called '00002'"),
    ],
)
def test_what_cannot_be_is_named(publish, run, capsys, changes, said):
    publish([reference(1, **changes), *(reference(number) for number in (2, 3, 4))])
    assert run("prepare_rrsisd") == 2
    assert said in capsys.readouterr().err and not (run.output / FOLDER / "train.jsonl").exists()


@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        (None, "no list of polygons or run lengths"),
        ([{"size": [40, 40], "counts": [5]}], "run lengths of 5 pixels for 40 x 40"),
        ([{"size": [40, 40], "counts": [2000, -400]}], "no whole numbers from 0"),
        ([{"size": [100000, 100000], "counts": [10**10]}], "a size of 100,000 x 100,000"),
        ([{"size": [40, 40], "counts": "0\u007f"}], "the character"),
        ([{"size": [40, 40], "counts": "ooo"}], "run lengths that end early"),
        ([[1, 2, 3]], "no list of x, y, x, y"),
    ],
)
def test_masks_that_cannot_be_are_named_by_their_annotation(publish, run, capsys, segmentation, said):
    publish(segmentations={1: segmentation})
    assert run("prepare_rrsisd") == 2
    error = capsys.readouterr().err
    assert "instances.json, annotation 101: its mask has" in error and said in error


# ------------------------------------------------------------------ pickles


class Call:
    """Asks the reader to call something."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


HOSTILE = {
    "os.system": lambda marker: Call(os.system, f"touch {marker}"),
    "eval": lambda marker: Call(eval, f"open({str(marker)!r}, 'w')"),
    "open": lambda marker: Call(open, str(marker), "w"),
    "bytearray": lambda marker: Call(bytearray, 10**12),
    "a class": lambda marker: OrderedDict(a=1),
    "a function by name": lambda marker: os.system,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_that_a_pickle_names_is_run(tmp_path, kind):
    marker = tmp_path / "run"
    for protocol in range(6):
        text = pickle.dumps([reference(1, file_name=HOSTILE[kind](marker))], protocol)
        with pytest.raises(DataError, match="refs.p: asks for .*; nothing of it was run; download it again"):
            read_plain_pickle(text, "refs.p")
    assert not marker.exists()


def test_a_hostile_pickle_ends_the_command_with_one_line(publish, run, tmp_path, capsys):
    publish([reference(1), reference(2, file_name=HOSTILE["os.system"](tmp_path / "run"))])
    assert run("prepare_rrsisd") == 2
    error = capsys.readouterr().err
    assert "refs(unc).p: asks for posix.system" in error and error.count("\n") == 1
    assert not (tmp_path / "run").exists() and not run.written()


@pytest.mark.parametrize(
    "text",
    [
        b"cos\nsystem\n(S'touch x'\ntR.",
        b"(S'touch x'\nios\nsystem\n.",
        b"(cos\nsystem\nS'touch x'\no.",
        b"\x8c\x02os\x8c\x06system\x93\x8c\x01x\x85R.",
        b"Pid\n.",
        b"X\x02\x00\x00\x00idQ.",
        b"\x82\x01.",
        b"]X\x01\x00\x00\x00a\x85R.",
        b"}X\x01\x00\x00\x00ab.",
        b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"]r\xff\xff\xff\x7f.",
        b"\x80\x04]",
        b"0.",
        b"t.",
        b"]]]e.",
        b"no pickle",
        b"",
        b"I" + b"9" * 5000 + b"\n.",
    ],
)
def test_every_other_way_to_ask_for_more_is_an_error_or_plain(text):
    try:
        value = read_plain_pickle(text, "refs.p")
    except DataError as error:
        assert "refs.p: " in str(error)
    else:
        assert value == []  # a place in the memo costs nothing, however large its number


def test_plain_values_come_as_they_are():
    value = [{"a": [1, -5, 2**40, 1.5, None, True, False, "é", (1, 2, 3, 4), ()], "b": {}, "": []}, "x" * 300]
    for protocol in range(6):
        assert read_plain_pickle(pickle.dumps(value, protocol), "x") == value
    shared = ["again"]
    first, second = read_plain_pickle(pickle.dumps([shared, shared]), "x")
    assert first is second


def test_a_cut_pickle_is_an_error():
    text = pickle.dumps([reference(number) for number in SPLITS])
    for length in range(0, len(text), 37):
        with pytest.raises(DataError, match="refs.p"):
            read_plain_pickle(text[:length], "refs.p")


def test_a_pickle_that_python_would_run_is_one(tmp_path):
    """The other tests would pass with gadgets that do not work."""
    marker = tmp_path / "run"
    pickle.load(io.BytesIO(pickle.dumps(HOSTILE["os.system"](marker))))
    assert marker.exists()
