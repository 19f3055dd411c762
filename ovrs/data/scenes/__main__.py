"""Draw scenes for people to look at: ``python -m ovrs.data.scenes --seed 0 --count 12 --output DIR``."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from ovrs.data.scenes import SCENE_CLASSES, draw_scene


def main() -> None:
    """Write ``<index>.png``, the image and its coloured labels side by side."""
    parser = argparse.ArgumentParser(prog="python -m ovrs.data.scenes", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the series (default 0)")
    parser.add_argument("--count", type=int, default=12, help="how many scenes (default 12)")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default 512)")
    parser.add_argument("--output", type=Path, default=Path("output/scenes"), help="folder to write to (default output/scenes)")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    palette = np.array([cls.color for cls in SCENE_CLASSES], np.uint8)
    for index in range(args.count):
        scene = draw_scene(args.seed, index, size=args.size)
        pair = np.concatenate([scene.image, palette[scene.labels]], axis=1)
        Image.fromarray(pair).save(args.output / f"{index:03d}.png")
        print(f"{args.output / f'{index:03d}.png'}: {scene.gsd:.2f} m, {scene.description}")


if __name__ == "__main__":
    main()
