"""Time and memory of whole scenes, with a model that costs nothing and with one that does.

    python tools/benchmark_scenes.py --sides 5000 20000
    python tools/benchmark_scenes.py --sides 5000 --config-file mini

Scenes are mosaics of drawn ones, JPEG in tiles of 512 as orthophotos are often delivered, made once in --folder. Each is
segmented in a process of its own, and all its maps are written. ``peak_gib`` is that process's peak memory above what it took
with the model loaded; ``other_share`` the share of the time in which the model did not compute, but reading, blending, deciding
or writing went on.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ovrs.errors import OvrsError
from ovrs.vocabulary import Vocabulary


def measure(path: Path, output: Path, config_file: str | None, options: Sequence[str], names: int, threads: int) -> None:
    """Segment a scene and print its figures as a line of JSON."""
    # Torch is imported after the arguments have been read, so that help answers at once.
    import torch

    from ovrs.benchmark.clock import peak_gib
    from ovrs.benchmark.scenes import Costless, time_scene
    from ovrs.inference.segmenter import Segmenter

    logging.disable(logging.WARNING)
    if threads:
        torch.set_num_threads(threads)
    vocabulary = Vocabulary.from_names(f"thing {number}" for number in range(names))
    try:
        segmenter = Segmenter(Costless()) if config_file is None else Segmenter.from_config(config_file, options=options)
        segmenter.model.score(torch.zeros(1, 3, 192, 192, dtype=torch.uint8), vocabulary)
        before = peak_gib()
        with tqdm(desc=path.name, unit="tile", disable=None) as bar:

            def progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            found = time_scene(segmenter, path, vocabulary, output, progress)
    except OvrsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    place = found.result.place
    figures = {
        "model": config_file or "costless",
        "scene": f"{place.width} x {place.height}",
        "names": names,
        "seconds": round(found.seconds, 1),
        "pixels_per_second": round(place.width * place.height / found.seconds),
        "other_share": round(found.other / found.seconds, 3),
        "model_gib": round(before, 2),
        "peak_gib": round(peak_gib() - before, 2),
    }
    print(json.dumps(figures), flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0, or 2 with a line on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[5000], metavar="PIXELS", help="default: 5000")
    parser.add_argument("--names", type=int, default=16, help="default: 16")
    parser.add_argument("--config-file", help="a model; without it one that costs nothing")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of the model; 0 leaves PyTorch's choice")
    parser.add_argument("--folder", type=Path, default=Path("output/benchmark"), help="default: output/benchmark")
    parser.add_argument("--opts", nargs=argparse.REMAINDER, default=[], help="KEY VALUE pairs that override the configuration")
    args = parser.parse_args(arguments)
    from ovrs.benchmark.scenes import make_scene

    processes = multiprocessing.get_context("spawn")
    for side in args.sides:
        scene = args.folder / f"scene_{side}.tif"
        try:
            make_scene(scene, side)
        except OvrsError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        output = args.folder / f"scene_{side}.classes.tif"
        given = (scene, output, args.config_file, args.opts, args.names, args.threads)
        process = processes.Process(target=measure, args=given)
        process.start()
        process.join()
        if process.exitcode:
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
