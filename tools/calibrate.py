r"""Choose the calibration constant (TEST.CALIBRATION) on folds of the training classes; the test's labels are never used.

Train a run for each fold with some seen classes hidden, evaluate it on training images with a grid of constants, then choose:

    python train_net.py --config-file CONFIG OUTPUT_DIR output/fold1 DATASETS.HIDDEN_CLASSES '("plane", "ship", "roundabout")' \
        DATASETS.TEST '("isaid_train",)' TEST.CALIBRATION_GRID "$(python tools/calibrate.py --grid -2 8 0.25)"
    python tools/calibrate.py output/fold1 output/fold2 output/fold3

The hidden classes stand for unseen ones, the truly unseen take no part. Chosen is the constant with the best mean h-mIoU over
the folds. docs/evaluation.md says more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from ovrs.errors import DataError, OvrsError
from ovrs.evaluation.calibration import Choice, choose_constant
from ovrs.evaluation.runs import Run, read_runs
from ovrs.evaluation.tables import markdown_table
from ovrs.files import written_whole


def grid_text(start: float, stop: float, step: float) -> str:
    """A value for TEST.CALIBRATION_GRID, both ends included.

    Raises:
        DataError: the step is not positive, or the grid would be empty or have more than a thousand constants.
    """
    count = (stop - start) / step + 1 if step > 0 else 0
    if not 1 <= count <= 1001:
        raise DataError(f"--grid {start:g} {stop:g} {step:g}: START must not exceed STOP, and STEP must cut at most 1000 parts")
    return str(tuple(round(start + step * number, 6) for number in range(int(count + 1e-9))))


def constants_of(runs: Sequence[Run]) -> list[float]:
    """The grid that all runs were evaluated on.

    Raises:
        DataError: a run has no calibration curve or another grid, or a data set occurs beside another.
    """
    grids = [[row["constant"] for row in run.curve] for run in runs]
    for run, grid in zip(runs, grids, strict=True):
        if not grid:
            raise DataError(
                f"{run.folder}: its report of {run.dataset} has no calibration curve; evaluate the run with "
                "TEST.CALIBRATION_GRID and DATASETS.HIDDEN_CLASSES as it was trained with"
            )
        if grid != grids[0]:
            raise DataError(f"{run.folder}: evaluated on another grid than {runs[0].folder}; use one TEST.CALIBRATION_GRID")
        if run.dataset != runs[0].dataset:
            raise DataError(f"{run.folder}: reports of {runs[0].dataset} and {run.dataset}; choose one with --dataset")
    return grids[0]


def curve_table(constants: Sequence[float], runs: Sequence[Run], choice: Choice) -> str:
    """h-mIoU over the constant, a column a fold and their mean; the chosen line is marked."""
    heads = ["constant", *(run.name for run in runs), "mean"]
    rows = []
    for index, constant in enumerate(constants):
        mark = " *" if constant == choice.constant else ""
        values = [*(run.curve[index]["h-mIoU"] for run in runs), choice.curve[index]]
        rows.append([f"{constant:g}{mark}", *(f"{value:.2f}" for value in values)])
    return "\n".join(markdown_table(heads, rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", help="run folders, one a fold")
    parser.add_argument("--dataset", help="the evaluated data set, where the runs have reports of several")
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write choice and curves as JSON")
    parser.add_argument("--grid", nargs=3, type=float, metavar=("START", "STOP", "STEP"), help="print a grid and stop")
    args = parser.parse_args(arguments)
    try:
        if args.grid:
            print(grid_text(*args.grid))
            return 0
        runs = read_runs(args.runs, args.dataset)
        if not runs:
            raise DataError("name the run folders of the folds")
        constants = constants_of(runs)
        folds = {str(run.folder): [row["h-mIoU"] for row in run.curve] for run in runs}
        choice = choose_constant(constants, folds)
        if args.output is not None:
            content = {"constant": choice.constant, "constants": constants, "mean": list(choice.curve), "folds": folds}
            with written_whole(args.output) as temporary:
                temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(curve_table(constants, runs, choice))
    plain = f" (at 0: {choice.curve[constants.index(0)]:.2f})" if 0 in constants else ""
    print(f"\nTEST.CALIBRATION {choice.constant}")
    print(f"mean h-mIoU {choice.mean:.2f}{plain} over {len(runs)} folds of {runs[0].dataset}")
    if choice.at_edge and len(constants) > 1:
        print("warning: the best constant is at the edge of the grid; a wider one may be better", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
