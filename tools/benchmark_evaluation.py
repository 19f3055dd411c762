"""Time the evaluator on random tiles: processor milliseconds an image, on one thread, scores in memory.

python tools/benchmark_evaluation.py --ignored 0.95
python tools/benchmark_evaluation.py --ignored 0 --grid 41
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of a tile in pixels")
    parser.add_argument("--classes", type=int, default=15)
    parser.add_argument("--ignored", type=float, default=0.0, help="share of the pixels that are ignored")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--grid", type=int, default=0, help="constants of the calibration curve")
    parser.add_argument("--boundary-ratio", type=float, default=0.02)
    args = parser.parse_args(arguments)
    # Torch is imported after the arguments have been read, so that help answers at once.
    import numpy as np
    import torch

    from ovrs.benchmark.evaluation import measure
    from ovrs.evaluation.settings import EvaluationSettings

    torch.set_num_threads(1)
    settings = EvaluationSettings(grid=tuple(np.linspace(-2, 8, args.grid)), boundary_ratio=args.boundary_ratio)
    times = measure(settings, args.size, args.classes, args.ignored, args.images)
    print(f"median {statistics.median(times):.1f} ms, mean {statistics.fmean(times):.1f} ms, most {max(times):.1f} ms an image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
