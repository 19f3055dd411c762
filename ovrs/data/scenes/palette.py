"""The colours of one place: climate and season decide the green, geology the soil, builders the roofs."""

from dataclasses import dataclass

import numpy as np

from ovrs.data.scenes.climate import Setting
from ovrs.data.scenes.regional import LOOKS, Look


def _rgb(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.array(colours, np.float32)


GRASS = _rgb((96, 122, 62), (104, 126, 66), (78, 104, 58), (86, 118, 54), (104, 138, 66), (88, 110, 64), (112, 134, 80))
DRY_GRASS = _rgb((158, 146, 104), (140, 132, 92), (170, 152, 112), (128, 120, 92), (148, 138, 110))
TREES = _rgb((46, 68, 40), (58, 80, 44), (38, 58, 42), (72, 88, 52), (88, 92, 56), (52, 78, 60), (64, 70, 46), (70, 98, 48))
AUTUMN = _rgb((150, 100, 44), (168, 128, 52), (128, 66, 42), (112, 104, 56))
BARE_TREES = _rgb((112, 100, 86), (96, 88, 80), (124, 112, 98))
SOILS = _rgb((176, 146, 110), (150, 116, 84), (198, 176, 142), (136, 108, 86), (168, 116, 84), (120, 104, 88), (160, 140, 116))
RED_SOILS = _rgb((186, 118, 82), (168, 112, 80), (150, 96, 68), (204, 144, 100), (176, 140, 108))
DESERT_SOILS = _rgb((214, 200, 170), (204, 182, 148), (222, 212, 194), (190, 182, 170), (200, 170, 132), (176, 162, 146))
SANDS = _rgb((222, 206, 168), (206, 188, 150), (232, 222, 196), (188, 170, 140))
DEEP = _rgb(
    (28, 62, 82), (36, 72, 66), (22, 48, 54), (40, 88, 104), (70, 78, 60), (104, 98, 74), (30, 84, 112), (54, 66, 72),
    (34, 42, 40), (44, 58, 52), (78, 88, 96), (20, 30, 34), (58, 74, 62), (84, 92, 84),
)  # fmt: skip
SHALLOW = _rgb(
    (88, 158, 158), (104, 130, 104), (74, 96, 88), (110, 188, 184), (122, 120, 92), (146, 134, 104), (96, 170, 186),
    (98, 108, 108), (62, 70, 62), (76, 96, 80), (104, 114, 118), (40, 54, 54), (92, 104, 84), (108, 114, 100),
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
RUSTY_ROOFS = _rgb(
    (166, 96, 78), (150, 110, 92), (186, 178, 170), (204, 204, 202), (140, 126, 116), (172, 74, 62), (122, 88, 74),
    (196, 140, 110), (120, 134, 150), (228, 226, 220),
)  # fmt: skip
GREEN_CROPS = _rgb((102, 136, 66), (84, 116, 58), (132, 150, 82), (116, 142, 92), (92, 124, 84), (112, 148, 72))
RIPE_CROPS = _rgb((198, 180, 110), (212, 190, 120), (178, 160, 104), (206, 196, 78), (188, 168, 122))
STUBBLE = _rgb((148, 118, 84), (124, 98, 74), (164, 140, 108), (136, 112, 90), (152, 136, 104))
CONTAINERS = _rgb((150, 62, 52), (54, 92, 142), (196, 120, 52), (188, 188, 184), (66, 112, 84), (112, 112, 116), (206, 176, 84))
COURTS = _rgb((60, 108, 146), (74, 118, 84), (150, 82, 66), (94, 124, 150), (168, 98, 70), (56, 92, 120), (88, 130, 98))
TANK_TOPS = _rgb((236, 236, 232), (222, 222, 216), (196, 198, 198), (168, 170, 170), (206, 190, 160), (156, 116, 92))
SNOW = np.array((226, 232, 240), np.float32)
WHITE = np.array((236, 236, 232), np.float32)


# Shares of green, ripe and cleared fields.
_FIELDS = {
    "winter": (0.45, 0.0, 0.55),
    "spring": (0.6, 0.15, 0.25),
    "summer": (0.45, 0.45, 0.1),
    "autumn": (0.2, 0.2, 0.6),
    "rainy season": (0.8, 0.1, 0.1),
    "dry season": (0.3, 0.4, 0.3),
}


@dataclass(frozen=True)
class Palette:
    """Base colours ``float32 [3]`` (RGB, 0..255) of one scene; :meth:`draw` takes them from a seed and a setting.

    ``autumn`` and ``bare`` are the shares of trees that have turned or shed their leaves; ``wooded`` scales how many trees
    there are; ``barren`` is the chance that open ground is bare instead of green; ``snow`` the depth of its cover, 0 to 1.
    ``roofs`` [n, 3] are those of houses; ``flat_roofs`` and ``sheets`` [n, 3] those of blocks and halls, and of huts.
    """

    grass: np.ndarray
    dry_grass: np.ndarray
    tree: np.ndarray
    autumn: float
    bare: float
    wooded: float
    barren: float
    snow: float
    soil: np.ndarray
    sand: np.ndarray
    deep: np.ndarray
    shallow: np.ndarray
    asphalt: np.ndarray
    paving: np.ndarray
    roofs: np.ndarray
    flat_roofs: np.ndarray
    sheets: np.ndarray
    crops: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, setting: Setting | None = None, *, regional: bool = False) -> "Palette":
        """The palette of a place: most of its roofs share two or three colours, as real places do.

        With ``regional`` vegetation, soil and roofs have the colours of its climate zone, else those of anywhere.
        """
        setting = setting or Setting()
        look = LOOKS[setting.climate] if regional else _anywhere(setting)
        water = int(rng.integers(len(DEEP)))
        local = look.roofs[rng.integers(len(look.roofs), size=3)]
        roofs = np.concatenate([np.repeat(local, 4, axis=0), look.roofs[rng.integers(len(look.roofs), size=5)]])
        lush = float(np.clip(setting.green + rng.normal(0, 0.16), 0, 1))
        green, dry = pick(look.grass, rng, 8), pick(look.dry_grass, rng, 8)
        grass = (green * lush + dry * (1 - lush)).astype(np.float32)
        soil = pick(look.soil, rng, 8)
        tree = pick(look.trees, rng, 8)
        sheds = setting.zone in ("temperate", "continental") and rng.random() < 0.75
        turned, shed = float(rng.uniform(0.05, 0.8)), float(rng.uniform(0.3, 0.95))
        return cls(
            grass=grass,
            dry_grass=(0.6 * grass + 0.4 * pick(np.stack([dry, soil]), rng, 8)).astype(np.float32),
            tree=(tree * (0.6 + 0.4 * lush) + dry * (0.4 - 0.4 * lush)).astype(np.float32),
            autumn=turned if sheds and setting.season == "autumn" else 0.0,
            bare=shed if sheds and setting.season == "winter" else 0.0,
            wooded={"desert": 0.3, "semi-arid": 0.5, "Mediterranean": 0.8, "tropical": 1.3}.get(setting.zone, 1.0),
            barren={"desert": 0.85, "semi-arid": 0.45, "tropical": 0.3, "Mediterranean": 0.2}.get(setting.zone, 0.06),
            snow=float(rng.uniform(0.35, 1.0)) if rng.random() < setting.snow_chance else 0.0,
            soil=soil,
            sand=pick(SANDS, rng, 6),
            deep=np.clip(DEEP[water] + rng.normal(0, 7, 3).astype(np.float32), 8, 255),
            shallow=np.clip(SHALLOW[water] + rng.normal(0, 7, 3).astype(np.float32), 8, 255),
            asphalt=pick(ASPHALT, rng, 3),
            paving=pick(PAVING, rng, 4),
            roofs=roofs,
            flat_roofs=look.flat_roofs,
            sheets=look.sheets,
            crops=_crops(rng, setting.season),
        )


def _anywhere(setting: Setting) -> Look:
    """The colours of places all over the Earth; soil is red in the tropics and pale in deserts."""
    soil = {"tropical": RED_SOILS, "desert": DESERT_SOILS}.get(setting.zone, SOILS)
    return Look(GRASS, DRY_GRASS, TREES, soil, ROOFS, FLAT_ROOFS, RUSTY_ROOFS)


def _crops(rng: np.random.Generator, season: str) -> np.ndarray:
    """Six crops of the season ``[6, 3]``."""
    tables = (GREEN_CROPS, RIPE_CROPS, STUBBLE)
    return np.stack([pick(tables[int(k)], rng, 5) for k in rng.choice(3, size=6, p=_FIELDS[season])])


def pick(colours: np.ndarray, rng: np.random.Generator, spread: float = 6.0) -> np.ndarray:
    """One of the colours ``[n, 3]``, brighter or darker as a whole by ``spread`` and off-tint by a third of it."""
    chosen = colours[int(rng.integers(len(colours)))]
    return np.clip(chosen + rng.normal(0, spread) + rng.normal(0, spread / 3, 3), 4, 250).astype(np.float32)
