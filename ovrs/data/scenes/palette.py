"""The colours of one place: climate and season decide the green, geology the soil, builders the roofs."""

from dataclasses import dataclass

import numpy as np


def _rgb(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.array(colours, np.float32)


GRASS = _rgb((96, 122, 62), (116, 130, 72), (78, 104, 58), (140, 138, 88), (158, 146, 104), (104, 138, 66), (128, 124, 92))
TREES = _rgb((46, 68, 40), (58, 80, 44), (38, 58, 42), (72, 88, 52), (88, 92, 56), (52, 78, 60), (64, 70, 46))
AUTUMN = _rgb((150, 100, 44), (168, 128, 52), (128, 66, 42), (112, 104, 56))
SOILS = _rgb((176, 146, 110), (150, 116, 84), (198, 176, 142), (136, 108, 86), (168, 116, 84), (120, 104, 88), (212, 196, 164))
SANDS = _rgb((222, 206, 168), (206, 188, 150), (232, 222, 196), (188, 170, 140))
DEEP = _rgb((28, 62, 82), (36, 72, 66), (22, 48, 54), (40, 88, 104), (70, 78, 60), (104, 98, 74), (30, 84, 112), (54, 66, 72))
SHALLOW = _rgb(
    (88, 158, 158), (104, 130, 104), (74, 96, 88), (110, 188, 184), (122, 120, 92), (146, 134, 104), (96, 170, 186),
    (98, 108, 108),
)  # fmt: skip
ASPHALT = _rgb((92, 92, 94), (118, 117, 114), (74, 74, 78), (140, 138, 134), (104, 100, 96), (158, 154, 148), (128, 128, 132))
PAVING = _rgb((168, 164, 158), (190, 186, 178), (146, 144, 142), (176, 164, 150), (128, 128, 128), (200, 196, 190))
ROOFS = _rgb(
    (158, 82, 62), (178, 98, 72), (134, 70, 58), (190, 122, 94), (120, 120, 124), (92, 92, 98), (152, 150, 146),
    (208, 206, 200),
    (228, 226, 222), (120, 92, 72), (146, 118, 94), (88, 76, 70), (84, 108, 142), (110, 134, 128), (176, 160, 140),
)  # fmt: skip
FLAT_ROOFS = _rgb(
    (206, 204, 198), (180, 178, 174), (150, 150, 150), (118, 118, 120), (228, 228, 226), (92, 92, 94), (196, 180, 160),
    (92, 122, 160), (168, 102, 84), (124, 140, 130), (172, 164, 152),
)  # fmt: skip
CARS = _rgb(
    (232, 232, 232), (244, 244, 244), (200, 202, 204), (168, 170, 174), (110, 112, 116), (52, 54, 58), (30, 30, 34),
    (150, 36, 36),
    (44, 72, 128), (70, 84, 96), (196, 180, 140), (214, 214, 216), (182, 40, 40), (40, 84, 60), (220, 180, 50),
)  # fmt: skip
CROPS = _rgb(
    (102, 136, 66), (84, 116, 58), (132, 150, 82), (198, 180, 110), (212, 190, 120), (178, 160, 104), (116, 142, 92),
    (148, 118, 84),
    (124, 98, 74), (206, 196, 78), (164, 140, 108), (92, 124, 84),
)  # fmt: skip
CONTAINERS = _rgb((150, 62, 52), (54, 92, 142), (196, 120, 52), (188, 188, 184), (66, 112, 84), (112, 112, 116), (206, 176, 84))
COURTS = _rgb((60, 108, 146), (74, 118, 84), (150, 82, 66), (94, 124, 150), (168, 98, 70), (56, 92, 120), (88, 130, 98))
TANK_TOPS = _rgb((236, 236, 232), (222, 222, 216), (196, 198, 198), (168, 170, 170), (206, 190, 160), (156, 116, 92))
WHITE = np.array((236, 236, 232), np.float32)


@dataclass(frozen=True)
class Palette:
    """Base colours ``float32 [3]`` (RGB, 0..255) of one scene; :meth:`draw` takes them from a seed."""

    grass: np.ndarray
    dry_grass: np.ndarray
    tree: np.ndarray
    autumn: float
    soil: np.ndarray
    sand: np.ndarray
    deep: np.ndarray
    shallow: np.ndarray
    asphalt: np.ndarray
    paving: np.ndarray
    roofs: np.ndarray
    crops: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Palette":
        """The palette of a place: most of its roofs share two or three colours, as real places do."""
        water = int(rng.integers(len(DEEP)))
        local = ROOFS[rng.integers(len(ROOFS), size=3)]
        roofs = np.concatenate([np.repeat(local, 4, axis=0), ROOFS[rng.integers(len(ROOFS), size=5)]])
        green = pick(GRASS, rng, 8)
        return cls(
            grass=green,
            dry_grass=0.6 * green + 0.4 * pick(SOILS, rng, 8),
            tree=pick(TREES, rng, 8),
            autumn=float(max(0.0, rng.uniform(-0.8, 0.6))),
            soil=pick(SOILS, rng, 8),
            sand=pick(SANDS, rng, 6),
            deep=np.clip(DEEP[water] + rng.normal(0, 7, 3).astype(np.float32), 8, 255),
            shallow=np.clip(SHALLOW[water] + rng.normal(0, 7, 3).astype(np.float32), 8, 255),
            asphalt=pick(ASPHALT, rng, 3),
            paving=pick(PAVING, rng, 4),
            roofs=roofs,
            crops=CROPS[rng.integers(len(CROPS), size=6)],
        )


def pick(colours: np.ndarray, rng: np.random.Generator, spread: float = 6.0) -> np.ndarray:
    """One of the colours ``[n, 3]``, brighter or darker as a whole by ``spread`` and off-tint by a third of it."""
    chosen = colours[int(rng.integers(len(colours)))]
    return np.clip(chosen + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 4, 250).astype(np.float32)
