"""tools/compare_runs.py and tools/calibrate.py on reports of run folders."""

import csv
import importlib.util
import json
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


def load(name):
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


compare_runs, calibrate = load("compare_runs"), load("calibrate")


def write_run(folder, summary, curve=(), dataset="isaid_val", rate=1e-3):
    path = folder / "inference" / dataset / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"constant": constant, "h-mIoU": value} for constant, value in curve]
    path.write_text(json.dumps({"dataset": dataset, "summary": summary, "calibration_curve": rows}))
    (folder / "config.yaml").write_text(f"SOLVER:\n  BASE_LR: {rate}\n")
    return str(folder)


@pytest.fixture
def runs(tmp_path):
    return [
        write_run(tmp_path / "aeroseg_seed1", {"mIoU": 20.0, "h-mIoU": 10.0, "u-only-mIoU": 40.0}),
        write_run(tmp_path / "aeroseg_seed2", {"mIoU": 22.0, "h-mIoU": None}, rate=2e-3),
        write_run(tmp_path / "aeroseg_seed10", {"mIoU": 27.0, "h-mIoU": 13.0}),
        write_run(tmp_path / "catseg", {"mIoU": 8.0, "h-mIoU": 1.5}),
    ]


def cells(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]


def test_runs_are_grouped_by_name_without_the_seed(runs, capsys, tmp_path):
    arguments = [*runs, "--markdown", str(tmp_path / "table.md"), "--csv", str(tmp_path / "table.csv")]
    assert compare_runs.main(arguments) == 0
    text = capsys.readouterr().out
    heads, _, *rows = cells(text)
    assert heads == ["run", "data set", "h-mIoU", "mIoU", "u-only-mIoU"]  # no run has any of the others
    assert rows[0] == ["aeroseg", "isaid_val", "11.50 ± 2.12 (2)", "23.00 ± 3.61 (3)", "40.00 (1)"]
    assert rows[1] == ["catseg", "isaid_val", "1.50 (1)", "8.00 (1)", "-"]
    assert (tmp_path / "table.md").read_text() == text
    first = next(csv.DictReader((tmp_path / "table.csv").open()))
    assert (first["run"], first["mIoU mean"], first["mIoU std"], first["mIoU n"]) == ("aeroseg", "23.0000", "3.6056", "3")


def test_calibrated_figures_come_from_the_curves_at_a_group_s_constant(tmp_path, capsys):
    curves = ((0.0, 10.0), (0.5, 14.0)), ((0.0, 12.0), (0.5, 18.0))
    runs = [write_run(tmp_path / f"aeroseg_seed{seed}", {"h-mIoU": 9.0}, curve) for seed, curve in enumerate(curves)]
    assert compare_runs.main([*runs, "--constants", "aeroseg=0.5", "--figures", "calibrated-h-mIoU"]) == 0
    assert cells(capsys.readouterr().out)[2] == ["aeroseg", "isaid_val", "16.00 ± 2.83 (2)"]
    assert compare_runs.main([*runs, "--constants", "aeroseg=0.7"]) == 2
    assert "at the constant 0.7 (there are: 0, 0.5)" in capsys.readouterr().err
    assert compare_runs.main([*runs, "--constants", "catseg=0.5"]) == 2
    assert "no run belongs to 'catseg'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        compare_runs.main([*runs, "--constants", "0.5"])


def test_runs_are_grouped_by_a_configuration_key(runs, capsys):
    assert compare_runs.main([*runs, "--group-by", "SOLVER.BASE_LR", "--figures", "mIoU"]) == 0
    assert [row[0] for row in cells(capsys.readouterr().out)[2:]] == ["0.001", "0.002"]


def test_referring_segmentation_shows_its_own_figures(tmp_path, capsys):
    figures = [
        {"oIoU": 60.0, "mIoU": 50.0, "Pr@0.5": 40.0, "positional-mIoU": 30.0},
        {"oIoU": 62.0, "mIoU": 54.0, "Pr@0.5": 44.0},
    ]
    runs = [write_run(tmp_path / f"mafn_seed{seed}", each, dataset="refer_val") for seed, each in enumerate(figures)]
    assert compare_runs.main(runs) == 0
    heads, _, row = cells(capsys.readouterr().out)
    assert heads == ["run", "data set", "mIoU", "oIoU", "Pr@0.5", "positional-mIoU"]
    assert row == ["mafn", "refer_val", "52.00 ± 2.83 (2)", "61.00 ± 1.41 (2)", "42.00 ± 2.83 (2)", "30.00 (1)"]


def test_data_sets_are_kept_apart(runs, capsys, tmp_path):
    write_run(tmp_path / "catseg", {"mIoU": 50.0}, dataset="dlrsd_val")
    assert compare_runs.main([runs[3]]) == 0
    assert [row[:2] for row in cells(capsys.readouterr().out)[2:]] == [["catseg", "dlrsd_val"], ["catseg", "isaid_val"]]
    assert compare_runs.main([runs[3], "--dataset", "dlrsd_val"]) == 0
    assert len(cells(capsys.readouterr().out)) == 3


@pytest.mark.parametrize(
    ("content", "message"), [(None, "evaluate the run first"), ("{", "not a report"), ('{"dataset": "x"}', "not a report")]
)
def test_a_folder_without_a_report_is_named(tmp_path, capsys, content, message):
    folder = tmp_path / "empty_run"
    folder.mkdir()
    if content is not None:
        write_run(folder, {})
        (folder / "inference" / "isaid_val" / "report.json").write_text(content)
    assert compare_runs.main([str(folder)]) == 2
    error = capsys.readouterr().err
    assert message in error and "empty_run" in error


def test_a_key_that_a_run_does_not_have_is_named(runs, capsys):
    assert compare_runs.main([runs[0], "--group-by", "SOLVER.RATE"]) == 2
    assert "cannot group by 'SOLVER.RATE'" in capsys.readouterr().err


def test_the_constant_is_chosen_over_the_folds(tmp_path, capsys):
    folds = [
        write_run(tmp_path / f"fold{number}", {"mIoU": 1.0}, list(zip([0.0, 1.0, 2.0], values, strict=True)), "isaid_train")
        for number, values in enumerate([(0.0, 30.0, 20.0), (0.0, 10.0, 28.0)])
    ]
    assert calibrate.main([*folds, "--output", str(tmp_path / "choice.json")]) == 0
    captured = capsys.readouterr()
    assert "TEST.CALIBRATION 2.0\n" in captured.out and "mean h-mIoU 24.00 (at 0: 0.00) over 2 folds" in captured.out
    assert ["2 *", "20.00", "28.00", "24.00"] in cells(captured.out)
    assert "edge of the grid" in captured.err
    choice = json.loads((tmp_path / "choice.json").read_text())
    assert choice["constant"] == 2.0 and choice["mean"] == [0.0, 20.0, 24.0]


def test_folds_without_a_curve_or_on_other_grids_are_refused(tmp_path, capsys):
    plain = write_run(tmp_path / "plain", {})
    one = write_run(tmp_path / "one", {}, [(0.0, 1.0)])
    two = write_run(tmp_path / "two", {}, [(0.5, 1.0)])
    other = write_run(tmp_path / "other", {}, [(0.0, 1.0)], "dlrsd_train")
    for arguments, message in [
        ([plain], "no calibration curve"),
        ([one, two], "another grid"),
        ([one, other], "choose one with --dataset"),
        ([], "name the run folders"),
    ]:
        assert calibrate.main(arguments) == 2
        assert message in capsys.readouterr().err


def test_a_grid_is_printed_for_the_configuration(capsys):
    assert calibrate.main(["--grid", "-0.5", "1", "0.5"]) == 0
    assert capsys.readouterr().out == "(-0.5, 0.0, 0.5, 1.0)\n"
    assert calibrate.main(["--grid", "1", "0", "0.5"]) == 2
    assert calibrate.main(["--grid", "0", "1", "0"]) == 2
