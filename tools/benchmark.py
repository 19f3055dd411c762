"""What systems cost for one image: parameters, operations, time by stages and memory.

    python tools/benchmark.py --config-file configs/aeroseg/aeroseg_vitb16_saml.yaml --size 384 --classes 17 --precision bf16
    python tools/benchmark.py --config-file configs/mini/isaid/{aeroseg,ovrs,catseg}.yaml --size 512 --runs 20 --markdown

One pass over one square image, text features cached. Each system runs in a process of its own and they take turns, so that
their ratios are paired; compare ratios within one run rather than seconds between computers. Values of weights change nothing:
they are random where the configuration names no file. What is printed, a line of JSON for each system:

  whole, vision_language, guidance_encoder, head
                seconds, medians over the counted runs; the head is what is left of the whole after both encoders
  whole_range   fastest and slowest run
  to_first      the whole in multiples of the first system's, median over the rounds; to_first_range
  text_once     seconds to embed the vocabulary
  peak_gib      peak memory of the process, libraries and model included (peak_gpu_gib: what PyTorch held on the GPU)
  parameters    all, those that learn (trained), and of both those of the text tower, which runs once a vocabulary
  gflops        1e9 multiply-adds of the pass as fvcore counts them, text not included: a multiplication and an addition
                together are one, as in most papers; PyTorch's own counter says twice as much
  uncounted     operators that have no count, with how often they ran; missed is the share of matrix products among them
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

from ovrs.engine.benchmark import Cost, Setting, measure
from ovrs.errors import OvrsError

# Share of the products above which a count is called incomplete.
_NOTABLE = 0.01


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", nargs="+", default=["configs/aeroseg/aeroseg_vitb16_saml.yaml"], metavar="FILE")
    parser.add_argument("--size", type=int, default=384, help="side of the image in pixels")
    parser.add_argument("--classes", type=int, default=17)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 leaves PyTorch's choice")
    parser.add_argument("--runs", type=int, default=3, help="counted runs after one that warms up; 0 times nothing")
    parser.add_argument("--markdown", action="store_true", help="print a table instead of JSON")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    return parser


def report(setting: Setting, cost: Cost, first: Cost) -> dict[str, Any]:
    """The figures of a system, for JSON; ``first`` is what its time is compared with."""
    parameters, operations = cost.parameters, cost.operations
    figures: dict[str, Any] = {
        "config": setting.config_file,
        "size": setting.size,
        "classes": setting.classes,
        "precision": setting.precision,
    }
    if cost.rounds:
        stages = {name: round(median(turn[name] for turn in cost.rounds), 4) for name in cost.rounds[0]}
        whole = [turn["whole"] for turn in cost.rounds]
        ratios = [own / turn["whole"] for own, turn in zip(whole, first.rounds, strict=True)]
        figures |= stages | {"whole_range": _range(whole, 4)}
        figures |= {"to_first": round(median(ratios), 3), "to_first_range": _range(ratios, 3)}
        figures |= {"text_once": round(cost.text_once or 0.0, 4), "head_share": round(stages["head"] / stages["whole"], 3)}
    figures["peak_gib"] = round(cost.peak_gib, 2)
    if cost.peak_gpu_gib is not None:
        figures["peak_gpu_gib"] = round(cost.peak_gpu_gib, 2)
    figures["parameters"] = {
        "all": parameters.every,
        "trained": parameters.trained,
        "text": parameters.text,
        "text_trained": parameters.text_trained,
    }
    counted = {"whole": operations.whole, **operations.stages}
    figures["gflops"] = {name: round(number / 1e9, 4) for name, number in counted.items()}
    return figures | {"uncounted": operations.uncounted, "missed": round(operations.missed, 4)}


def _range(values: Sequence[float], digits: int) -> list[float]:
    return [round(min(values), digits), round(max(values), digits)]


def table(reports: Sequence[dict[str, Any]]) -> str:
    """The figures that are compared, as a table in Markdown."""
    header = ["system", "parameters", "of them text", "trained", "GFLOPs", "seconds", "to the first", "peak memory"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for figures in reports:
        parameters = [f"{figures['parameters'][name] / 1e6:.2f} M" for name in ("all", "text", "trained")]
        seconds = ratio = "-"
        if "whole" in figures:
            seconds = "{:.3f} ({:.3f} to {:.3f})".format(figures["whole"], *figures["whole_range"])
            ratio = "{:.2f} ({:.2f} to {:.2f})".format(figures["to_first"], *figures["to_first_range"])
        memory = figures.get("peak_gpu_gib", figures["peak_gib"])
        lines.append([figures["config"], *parameters, f"{figures['gflops']['whole']:.1f}", seconds, ratio, f"{memory:.2f} GiB"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    settings = [
        Setting(name, args.size, args.classes, args.precision, args.threads, tuple(args.opts)) for name in args.config_file
    ]
    try:
        costs = measure(settings, args.runs)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reports = [report(setting, cost, costs[0]) for setting, cost in zip(settings, costs, strict=True)]
    for figures in reports:
        if figures["missed"] > _NOTABLE:
            share = f"{figures['missed']:.0%} of its matrix products"
            print(f"warning: {figures['config']}: gflops lack {share}, see uncounted in JSON", file=sys.stderr)
    print(table(reports) if args.markdown else "\n".join(json.dumps(figures) for figures in reports))
    return 0


if __name__ == "__main__":
    sys.exit(main())
