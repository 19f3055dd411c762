"""Set several runs side by side: mean and standard deviation over the seeds of each configuration.

    python tools/compare_runs.py output/aeroseg_* output/catseg_* --markdown docs/table.md --csv table.csv

Reads inference/<data set>/report.json of each run folder. Runs whose names differ only in a trailing _seedN are one group;
--group-by takes a configuration key instead, read from each run's config.yaml. Deviations are those of a sample (n - 1).

--land-cover gives the table of land-cover papers: overall accuracy, Kappa, mIoU, mean F1, user's accuracy of every class.

Where tools/calibrate.py has chosen a constant for a group, --constants aeroseg=0.5 catseg=1.25 reads the calibrated figures
from the curves in the reports (TEST.CALIBRATION_GRID), so that nothing need be evaluated again.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from ovrs.errors import DataError, OvrsError
from ovrs.evaluation.comparison import FIGURES, as_csv, as_markdown, calibrated, compare, land_cover, without_seed
from ovrs.evaluation.runs import Run, read_runs
from ovrs.files import written_whole


def value_of(key: str, run: Run) -> str:
    """What a run's config.yaml says under a dotted key.

    Raises:
        DataError: the file cannot be read or has no such key.
    """
    path = run.folder / "config.yaml"
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        for part in key.split("."):
            value = value[part]
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot group by {key!r} ({type(error).__name__}: {error})") from error
    return str(value)


def constant(text: str) -> tuple[str, float]:
    """NAME=VALUE as a group and its constant."""
    name, mark, value = text.rpartition("=")
    try:
        if not (name and mark):
            raise ValueError
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER, as in aeroseg=0.5") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run folders (OUTPUT_DIR of train_net.py)")
    parser.add_argument(
        "--dataset", help="only this data set, as isaid_val; otherwise a line for each that a run was tested on"
    )
    parser.add_argument("--group-by", default="name", metavar="KEY", help="'name' (without _seedN), or a configuration key")
    parser.add_argument(
        "--constants", nargs="+", default=[], type=constant, metavar="NAME=C", help="calibration constants of groups"
    )
    columns = parser.add_mutually_exclusive_group()
    columns.add_argument(
        "--figures",
        nargs="+",
        default=list(FIGURES),
        metavar="NAME",
        help="names in report.json's summary, or IoU-, UA-, PA- or F1- and a class",
    )
    columns.add_argument(
        "--land-cover", action="store_true", help="OA, Kappa, mIoU, mean F1 and every class's user's accuracy (UA)"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write mean, std and n as CSV")
    args = parser.parse_args(arguments)
    try:
        runs = read_runs(args.runs, args.dataset)
        group_of = without_seed if args.group_by == "name" else functools.partial(value_of, args.group_by)
        constants = dict(args.constants)
        names = {group_of(run) for run in runs}
        if unknown := sorted(set(constants) - names):
            raise DataError(f"--constants: no run belongs to {unknown[0]!r}; the groups are {', '.join(sorted(names))}")
        runs = [calibrated(run, constants[group_of(run)]) if group_of(run) in constants else run for run in runs]
        groups = land_cover(runs, group_of) if args.land_cover else compare(runs, args.figures, group_of)
        for path, text in ((args.markdown, as_markdown(groups)), (args.csv, as_csv(groups))):
            if path is not None:
                with written_whole(path) as temporary:
                    temporary.write_text(text, encoding="utf-8")
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(as_markdown(groups), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
