"""Draw scenes for people to look at, or write them as files to work with.

python -m ovrs.data.scenes --seed 0 --count 12 --output DIR            pictures: image, SAR, labels and instances side by side
python -m ovrs.data.scenes --seed 0 --count 1000 --output DIR --files  images, labels, SAR, instances; sentences
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovrs.climate.zones import zone_named
from ovrs.data.scenes import SCENE_CLASSES, Scene, scene_shard, write_scenes
from ovrs.data.scenes.earth import earth_zones, places_in
from ovrs.errors import InputError, OvrsError
from ovrs.files import written_whole


def side_by_side(scene: Scene) -> NDArray[np.uint8]:
    """Image, cloudy image where there are clouds, SAR, labels and instances in colour: ``uint8 [H, 4 W or 5 W, 3]``."""
    palette = np.array([cls.color for cls in SCENE_CLASSES], np.uint8)
    colours = np.random.default_rng(0).integers(60, 256, (int(scene.instances.max()) + 1, 3)).astype(np.uint8)
    colours[0] = 0
    sar = np.repeat(scene.sar_view[..., None], 3, axis=2)
    clouds = [scene.cloudy] if scene.clouds else []
    return np.concatenate([scene.image, *clouds, sar, palette[scene.labels], colours[scene.instances]], axis=1)


def _places(zone: str) -> tuple[int, ...]:
    """The rows of the table of places in a zone."""
    found = places_in((zone_named(zone).code,))
    if not found:
        raise InputError(f"--zone {zone}: scenes lie in {', '.join(earth_zones())}")
    return found


def main() -> None:
    """Write ``<index>.png`` for each scene, or with ``--files`` what :func:`write_scenes` writes."""
    parser = argparse.ArgumentParser(
        prog="python -m ovrs.data.scenes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="the series (default 0)")
    parser.add_argument("--start", type=int, default=0, help="the first index (default 0)")
    parser.add_argument("--count", type=int, default=12, help="how many scenes (default 12)")
    parser.add_argument("--size", type=int, default=512, help="side in pixels (default 512)")
    parser.add_argument("--gsd", type=float, help="metres a pixel (drawn from 0.12 to 1.5 where it is not given)")
    parser.add_argument("--clouds", type=float, default=0.0, help="share of the sky under clouds, 0 to 1 (default 0)")
    parser.add_argument("--regional", action="store_true", help="vegetation, soil and roofs as they look in the climate zone")
    parser.add_argument("--zone", default="", metavar="CODE", help="draw places of one climate zone alone, such as BWh")
    parser.add_argument("--output", type=Path, default=Path("output/scenes"), help="folder to write to (default output/scenes)")
    parser.add_argument("--files", action="store_true", help="write files to work with instead of pictures")
    args = parser.parse_args()
    stop, options = args.start + args.count, {"size": args.size, "gsd": args.gsd, "clouds": args.clouds}
    try:
        if args.regional:
            options["regional"] = True
        if args.zone:
            options["places"] = _places(args.zone)
        if args.files:
            print(f"{write_scenes(args.output, args.seed, args.start, stop, **options)}: {args.count} synthetic scenes")
            return
        for scene in scene_shard(args.seed, args.start, stop, **options):
            target = args.output / f"{scene.index:03d}.png"
            with written_whole(target) as path:
                Image.fromarray(side_by_side(scene)).save(path, format="PNG")
            zone = f", {scene.setting.climate}" if scene.regional else ""
            print(f"{target}: synthetic, {scene.gsd:.2f} m a pixel{zone}. {scene.description}")
    except (OvrsError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
