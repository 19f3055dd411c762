"""The figures of a run: medians, ratios round by round, shares of ceilings; as JSON, and beside those of another run."""

import json

import pytest
from made_up import cost
from PIL import Image

from ovrs.benchmark.picture import draw, series
from ovrs.benchmark.report import key, read, report, write
from ovrs.benchmark.tables import compared, tables
from ovrs.errors import InputError


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]


def test_times_are_medians_and_ratios_are_of_the_same_round():
    first, second = report([cost("a.yaml", 1.0, 2.0, 6.0), cost("b.yaml", 3.0, 3.0, 3.0)])
    assert first["seconds"]["whole"] == {"median": 2.0, "least": 1.0, "most": 6.0}
    assert first["seconds"]["image_encoder"]["median"] == 0.5 and first["to_encoders"]["median"] == 4.0
    assert second["to_first"] == {"median": 1.5, "least": 0.5, "most": 3.0} and first["to_first"]["median"] == 1
    assert first["to_plain"] is None and first["head_a_class"] == pytest.approx(1.5 / 17)
    assert first["parameters"] == {"all": 30_000_000, "trained": 1_500_000, "text": 20_000_000, "text_trained": 0}
    assert (first["operations"], first["uncounted"], first["text_once"], first["files"]) == (2.1e9, {"add": 3}, 0.5, 0.1)


def test_times_are_beside_the_first_of_the_same_images_and_words():
    found = report([cost("a.yaml", 1.0), cost("b.yaml", 3.0), cost("a.yaml", 2.0, classes=60), cost("b.yaml", 8.0, classes=60)])
    assert [figures["to_first"]["median"] for figures in found] == [1, 3, 1, 4]
    assert [figures["files"] for figures in found] == [0.1] * 4


def test_the_plain_form_in_single_precision_is_what_all_precisions_are_compared_with():
    fast, half, plain = report(
        [cost("a.yaml", 1.0, 4.0), cost("a.yaml", 0.5, 1.0, precision="bf16"), cost("a.yaml", 4.0, 8.0, form="plain")]
    )
    assert fast["to_plain"] == {"median": 0.375, "least": 0.25, "most": 0.5}
    assert half["to_plain"] == {"median": 0.125, "least": 0.125, "most": 0.125} and plain["to_plain"]["median"] == 1


def test_shares_are_of_the_ceiling_in_the_same_precision():
    (fp32,), (bf16,) = report([cost("a.yaml", 1.0)]), report([cost("a.yaml", 1.0, precision="bf16")])
    # 2e9 multiply-adds are 4e9 operations; the machine does 1e10 a second, twice as many in bf16.
    assert fp32["share_of_products"] == pytest.approx({"whole": 0.4, "image_encoder": 0.4, "decoder": 0.6, "rest": 0.0})
    assert bf16["share_of_products"]["whole"] == pytest.approx(0.2)
    assert fp32["share_of_copy"] == pytest.approx({"whole": 1.0, "image_encoder": 4.0, "decoder": 0.0, "rest": 0.0})


def test_tables_have_a_row_a_setting_and_name_what_differs():
    costs = [
        cost("configs/a.yaml", 1.0, 2.0, 6.0),
        cost("b.yaml", 3.0, 3.0, 3.0, precision="bf16"),
        cost("c.yaml", mode="text"),
    ]
    text = tables(report(costs))
    assert text.startswith("fast form, 384 x 384 pixels, 1 at a time, rotations as configured, 17 classes\nCeilings:")
    assert "10 GFLOP/s in fp32, 20 GFLOP/s in bf16; a copy 1.0 GB/s" in text
    rows = cells(text)
    assert rows[2] == [
        *("a", "inference", "fp32", "30.00 M", "20.00 M", "1.50 M", "2.1", "2.000 (1.000 to 6.000)", "-"),
        *("1.00 (1.00 to 1.00)", "4.00 (4.00 to 4.00)", "88.24 ms", "20%", "1.25 GiB"),
    ]
    untimed = ["c", "text", "fp32", "30.00 M", "20.00 M", "1.50 M", "2.0", *"------", "1.25 GiB"]
    assert rows[4] == untimed
    assert rows[5] == ["system", "mode", "precision", "image encoder", "decoder", "rest", "text, once", "files, an image"]
    assert rows[7] == ["a", "inference", "fp32", "0.500 (20%)", "1.000 (30%)", "0.500 (0%)", "0.500", "0.100"]
    assert len(rows) == 9 and {len(row) for row in rows[:5]} == {14} and {len(row) for row in rows[5:]} == {8}


def test_where_nothing_was_timed_operations_are_shared_among_stages():
    text = tables(report([cost("a.yaml"), cost("b.yaml")]))
    assert "Ceilings" not in text
    assert cells(text.partition("by stages")[2]) == [
        ["system", "image encoder", "decoder"],
        ["---", "---:", "---:"],
        ["a", "0.5", "1.5"],
        ["b", "0.5", "1.5"],
    ]


def written(path, *costs):
    write(path, [figures for each in costs for figures in report([each])], {"date": "today", "processor": "made up"}, "command")
    return read(path)


def test_a_run_is_read_as_it_was_written_and_compared_as_ratios(tmp_path):
    old = written(tmp_path / "old.json", cost("a.yaml", 2.0, 4.0, 4.0), cost("b.yaml", 1.0), cost("only.yaml", 1.0))
    new = written(tmp_path / "new.json", cost("a.yaml", 1.0, 1.0, 2.0, ceiling=3e10), cost("b.yaml", 1.0, classes=5))
    assert json.loads((tmp_path / "new.json").read_text()) == new and new["command"] == "command"
    text = compared(new, old, key)
    header, _, row = cells(text)
    assert header == ["system", "whole", "image encoder", "decoder", "rest", "peak memory", "ceiling of products", "of a copy"]
    assert row == ["a", *["0.25 (0.25 to 1.00)"] * 4, "1.00", "3.00", "1.00"]
    assert "New to old (today, made up)" in text
    alone = [line for line in text.splitlines() if line.startswith("only in")]
    assert [line.split(",")[0] for line in alone] == [
        "only in the new run: b",
        "only in the old run: b",
        "only in the old run: only",
    ]
    assert "5 classes" in alone[0] and "17 classes" in alone[1]


def test_a_run_is_itself(tmp_path):
    run = written(tmp_path / "run.json", cost("a.yaml", 2.0, 2.0, options=("MODEL.MAX_CLASSES", "8")))
    assert cells(compared(run, run, key))[2] == ["a", *["1.00 (1.00 to 1.00)"] * 4, "1.00", "1.00", "1.00"]


def test_two_runs_with_nothing_in_common_say_so(tmp_path):
    old, new = written(tmp_path / "old.json", cost("a.yaml", 1.0)), written(tmp_path / "new.json", cost("b.yaml", 1.0))
    assert compared(new, old, key).splitlines()[0] == "no setting is in both runs"


@pytest.mark.parametrize("content", ["", "[]", '{"format": 0, "results": []}', '{"format": 1}'])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"other.json: no figures"):
        read(path)
    with pytest.raises(InputError, match=r"absent.json: no figures"):
        read(tmp_path / "absent.json")


def test_the_picture_has_a_line_for_whatever_differs_but_the_classes(tmp_path):
    costs = [cost("configs/a.yaml", 2.0, classes=17), cost("configs/a.yaml", 1.0, classes=5), cost("b.yaml", 3.0, classes=5)]
    costs += [cost("b.yaml", 4.0, classes=5, form="plain")]
    results = [figures for each in costs for figures in report([each])]
    assert series(results) == {
        "a, form fast": [(17, 2.0, 1.25), (5, 1.0, 1.25)],
        "b, form fast": [(5, 3.0, 1.25)],
        "b, form plain": [(5, 4.0, 1.25)],
    }
    assert draw(tmp_path / "picture.png", results)
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width > picture.height > 400
    assert not draw(tmp_path / "none.png", report([cost("a.yaml")])) and not (tmp_path / "none.png").exists()
