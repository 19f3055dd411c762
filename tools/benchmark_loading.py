"""Time how published encoders are built and loaded, and the memory that it takes beyond their parameters.

    python tools/benchmark_loading.py --folder output/random_weights

ViT-L/14 as OpenAI publishes it (a TorchScript archive in half precision) and SAM's ViT-H (a PyTorch file in single precision),
with random values in the published layout: 0.9 and 2.6 GB, written to the folder and removed again. The loading is measured in
a process of its own: seconds, the most memory that was resident, and the most that was private, which unlike a file's pages
the kernel cannot take back. --usual also measures the usual way: build with initial values, read SAM's file whole, copy.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or the exit code of a loading that failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="where the files are written, 3.5 GB; a temporary folder unless given")
    parser.add_argument("--usual", action="store_true", help="measure the usual way, too")
    parser.add_argument("--measure", nargs=2, metavar=("CLIP", "SAM"), help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    # Torch is imported after the arguments have been read, so that help answers at once.
    from ovrs.benchmark.loading import measure, write_clip, write_sam

    if args.measure:
        print(json.dumps(measure(Path(args.measure[0]), Path(args.measure[1]), args.usual)))
        return 0
    if args.folder:
        Path(args.folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        clip, sam = Path(folder) / "clip.pt", Path(folder) / "sam.pth"
        write_clip(clip)
        write_sam(sam)
        command = [sys.executable, __file__, "--measure", str(clip), str(sam)]
        codes = [subprocess.run([*command, *flags]).returncode for flags in ([], ["--usual"])[: 1 + args.usual]]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
