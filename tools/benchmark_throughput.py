"""Images a second of a system on a GPU, with reading, copying and computing overlapped, beside what the GPU can do at most.

    python tools/benchmark_throughput.py --check-synchronisation --profile output/throughput
    python tools/benchmark_throughput.py --compile --cuda-graphs --channels-last
    python tools/benchmark_throughput.py --config-file configs/mini/aeroseg.yaml --size 192 --batch 2 --batches 3 --workers 2

AerOSeg with ViT-B/16 and SAM ViT-L, 32 images of 384 x 384 at a time in bf16, unless asked otherwise; weights are random. The
last line tries the command on a CPU, without what is a GPU's own. A line of JSON:

  images_per_second      files read and decoded by processes, pinned, copied while the batch before is computed; maps copied
                         back while the next ones are
  without_reading        the same with one batch that is on the device already: what reading costs is the difference
  share_of_ceiling       of a large product of matrices in the same precision, measured before
  stages                 seconds a batch and share of the ceiling of each stage, by themselves (nothing overlaps, not compiled);
                         encoders: image and guidance encoder together
  peak_gpu_gib           what PyTorch held on the GPU

--check-synchronisation makes every operation an error that waits for the GPU in the loop; --profile writes a trace and a table
of operators. The first batches, in which a system makes what it keeps and is compiled, are not counted.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ovrs.errors import OvrsError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", default="configs/aeroseg/aeroseg_vitb16_saml.yaml", metavar="FILE")
    parser.add_argument("--size", type=int, default=384, help="side of the images in pixels; default: 384")
    parser.add_argument("--batch", type=int, default=32, help="images at a time; default: 32")
    parser.add_argument("--batches", type=int, default=50, help="default: 50")
    parser.add_argument("--classes", type=int, default=17, help="default: 17")
    parser.add_argument("--precision", default="bf16", choices=["fp32", "bf16", "fp16"], help="default: bf16")
    parser.add_argument("--workers", type=int, default=8, help="processes that read; default: 8")
    parser.add_argument("--images", nargs="+", type=Path, metavar="FILE", help="images of that size; drawn ones without")
    parser.add_argument("--folder", type=Path, default=Path("output/benchmark"), help="of drawn images; output/benchmark")
    parser.add_argument("--compile", nargs="?", const="default", metavar="MODE", help="torch.compile, in that mode if any")
    parser.add_argument("--cuda-graphs", action="store_true", help="replay the pass as one CUDA graph")
    parser.add_argument("--channels-last", action="store_true", help="weights and images with channels last in memory")
    parser.add_argument("--check-synchronisation", action="store_true", help="waiting for the GPU in the loop is an error")
    parser.add_argument("--profile", type=Path, metavar="DIR", help="write trace.json and profile.txt there")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    args = parser().parse_args(arguments)
    # PyTorch is imported now, so that help answers at once.
    from ovrs.benchmark.throughput_figures import measure

    try:
        print(json.dumps(measure(args)))
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # that weights are random is no news here
    sys.exit(main())
