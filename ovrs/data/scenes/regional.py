"""How land and roofs look in a climate zone: one table of colours for each zone in which scenes lie.

Written for these scenes from what such places commonly show from above: laterite where it is hot and wet, pale sand in deserts,
black earth on the prairie; terracotta around the Mediterranean, slate and shingle where it rains, painted sheet metal in the
north-east of Asia. One colour means different things in different zones, as it does on Earth: what is a roof of tiles in the
one is bare earth in the other, and a desert's flat roofs have the colour of its sand. Only shape and place tell them apart, or
knowing the zone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colours = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Look:
    """Colours ``float32 [n, 3]`` (RGB, 0..255) from which the palette of a scene is drawn.

    Attributes:
        grass, dry_grass: in the green season, and parched.
        trees: crowns in leaf.
        soil: bare ground.
        roofs: pitched roofs of houses.
        flat_roofs: flat roofs and halls.
        sheets: low roofs of corrugated metal.
    """

    grass: np.ndarray
    dry_grass: np.ndarray
    trees: np.ndarray
    soil: np.ndarray
    roofs: np.ndarray
    flat_roofs: np.ndarray
    sheets: np.ndarray


def _look(
    *, grass: Colours, dry: Colours, trees: Colours, soil: Colours, roofs: Colours, flat: Colours, sheets: Colours
) -> Look:
    return Look(*(np.array(table, np.float32) for table in (grass, dry, trees, soil, roofs, flat, sheets)))


_ZINC: Colours = ((188, 192, 194), (170, 174, 176), (204, 206, 206))
_RUST: Colours = ((150, 86, 60), (132, 72, 52), (168, 104, 74))
_CONCRETE: Colours = ((152, 150, 144), (134, 132, 126), (168, 164, 156))

LOOKS: dict[str, Look] = {
    # Rainforest: lush, orange laterite; rusty and plain sheet metal, stained concrete.
    "Af": _look(
        grass=((84, 134, 52), (96, 144, 58)), dry=((128, 138, 78), (140, 142, 84)), trees=((30, 70, 34), (40, 84, 38)),
        soil=((182, 106, 66), (166, 94, 58)), roofs=(*_RUST, (122, 70, 54), (168, 170, 166)),
        flat=((126, 124, 112), (108, 110, 102), (144, 138, 124)), sheets=(*_RUST, (178, 180, 178)),
    ),
    # Monsoon: as green, paler red soil; weathered tiles and bare metal.
    "Am": _look(
        grass=((98, 142, 62), (110, 148, 70)), dry=((158, 152, 92),), trees=((46, 88, 44), (60, 100, 50)),
        soil=((190, 124, 84), (176, 116, 84)), roofs=((168, 98, 68), (184, 124, 92), (152, 84, 62), (186, 188, 184)),
        flat=((176, 172, 160), (152, 146, 134)), sheets=(*_ZINC, (168, 104, 74)),
    ),
    # Savanna: straw and olive, the reddest soil; shining and rusty metal.
    "Aw": _look(
        grass=((112, 138, 64), (122, 144, 70)), dry=((182, 162, 98), (170, 150, 90)), trees=((68, 92, 46), (80, 100, 54)),
        soil=((196, 110, 68), (184, 98, 60), (206, 126, 80)), roofs=(*_ZINC, (160, 98, 74), (112, 134, 156)),
        flat=((196, 194, 186), (176, 172, 164)), sheets=(*_ZINC, (158, 96, 72), (120, 138, 154)),
    ),
    # Hot desert: pale sand; flat roofs, white or of the ground's own colour.
    "BWh": _look(
        grass=((104, 126, 74), (112, 130, 80)), dry=((196, 178, 136), (186, 170, 130)), trees=((92, 106, 72), (80, 96, 64)),
        soil=((222, 206, 172), (212, 194, 156), (230, 218, 190)),
        roofs=((228, 214, 184), (216, 198, 162), (240, 234, 222), (206, 186, 150)),
        flat=((238, 234, 224), (224, 212, 186), (212, 196, 164), (244, 242, 236)), sheets=((214, 204, 182), (190, 176, 150)),
    ),
    # Cold desert: grey gravel; mud, sheet metal in grey blue.
    "BWk": _look(
        grass=((124, 132, 92),), dry=((178, 166, 140), (168, 158, 134)), trees=((96, 104, 82), (84, 94, 76)),
        soil=((196, 182, 164), (182, 170, 156), (204, 192, 178)), roofs=((180, 164, 144), (196, 182, 164), (126, 142, 158)),
        flat=((186, 172, 152), (168, 160, 150), (142, 150, 158)), sheets=((146, 150, 154), (124, 138, 150)),
    ),
    # Hot steppe: ochre; flat roofs of earth and concrete.
    "BSh": _look(
        grass=((126, 140, 78),), dry=((184, 160, 106), (174, 152, 100)), trees=((86, 102, 60), (98, 108, 68)),
        soil=((208, 160, 106), (198, 148, 96), (214, 172, 122)), roofs=((192, 172, 142), (178, 158, 130), (166, 112, 84)),
        flat=((194, 180, 158), (174, 164, 148), (206, 194, 176)), sheets=((176, 170, 160), *_RUST),
    ),
    # Cold steppe: buff and grey straw; red-brown tiles, grey shingles.
    "BSk": _look(
        grass=((124, 134, 86), (132, 140, 92)), dry=((172, 160, 120), (162, 150, 112)), trees=((78, 92, 62), (70, 84, 60)),
        soil=((184, 158, 124), (170, 146, 114)), roofs=((148, 88, 72), (136, 80, 68), (128, 124, 120), (146, 140, 134)),
        flat=((188, 180, 168), (160, 154, 146)), sheets=((168, 164, 158), (152, 98, 80)),
    ),
    # Mediterranean, hot: limestone and gold; bright terracotta, white terraces.
    "Csa": _look(
        grass=((114, 130, 74), (122, 134, 80)), dry=((194, 172, 112), (184, 164, 106)), trees=((94, 106, 74), (80, 96, 64)),
        soil=((210, 184, 142), (200, 168, 124), (220, 200, 166)), roofs=((198, 116, 82), (208, 132, 96), (186, 104, 74)),
        flat=((236, 232, 222), (194, 142, 116), (222, 208, 186)), sheets=((204, 200, 190), (176, 116, 88)),
    ),
    # Mediterranean, warm: darker, with more green; brown tiles, shingles.
    "Csb": _look(
        grass=((100, 130, 66), (108, 136, 72)), dry=((176, 156, 104), (166, 148, 100)), trees=((58, 86, 52), (70, 92, 58)),
        soil=((180, 148, 108), (166, 134, 100)), roofs=((172, 98, 74), (152, 88, 70), (132, 112, 98), (182, 122, 92)),
        flat=((182, 178, 170), (208, 202, 192), (152, 146, 138)), sheets=((182, 178, 172), (154, 102, 82)),
    ),
    # Humid subtropical: brown clay, dense leaves; grey and brown shingles, white membranes.
    "Cfa": _look(
        grass=((92, 132, 58), (100, 138, 64)), dry=((160, 150, 102),), trees=((48, 80, 40), (56, 88, 46)),
        soil=((172, 124, 88), (186, 138, 100)), roofs=((98, 96, 96), (116, 110, 106), (122, 100, 84), (98, 114, 134)),
        flat=((226, 226, 224), (174, 172, 168), (140, 138, 136)), sheets=((180, 184, 186), (128, 142, 152)),
    ),
    # Subtropical monsoon: yellow-brown earth; stained concrete, blue sheds, faded brick.
    "Cwa": _look(
        grass=((104, 132, 64),), dry=((168, 154, 100), (158, 148, 96)), trees=((58, 88, 46), (68, 94, 52)),
        soil=((192, 164, 116), (178, 150, 106)), roofs=((170, 98, 82), (152, 88, 76), (80, 114, 158), (150, 146, 138)),
        flat=(*_CONCRETE, (84, 118, 160)), sheets=((96, 126, 162), (166, 166, 162), (160, 96, 78)),
    ),
    # Highland: red-brown earth; painted iron, grey slabs.
    "Cwb": _look(
        grass=((118, 140, 72), (126, 146, 78)), dry=((172, 152, 98),), trees=((62, 86, 60), (52, 78, 50)),
        soil=((156, 92, 64), (142, 82, 60), (168, 104, 74)),
        roofs=((166, 72, 58), (150, 64, 56), (172, 168, 160), (98, 120, 104)),
        flat=((164, 158, 148), (178, 172, 160)), sheets=(*_ZINC, (160, 82, 62)),
    ),
    # Oceanic: fresh green, dark earth; slate, dark tiles, gravel.
    "Cfb": _look(
        grass=((90, 136, 56), (102, 148, 62)), dry=((142, 144, 88),), trees=((46, 78, 40), (60, 94, 46)),
        soil=((122, 98, 74), (136, 110, 84)), roofs=((78, 80, 90), (92, 94, 102), (138, 76, 58), (120, 68, 56)),
        flat=((124, 122, 120), (104, 104, 106), (148, 144, 138)), sheets=((140, 144, 146), (112, 116, 118)),
    ),
    # Continental, hot summers: black earth; brown and grey shingles, tar and gravel.
    "Dfa": _look(
        grass=((100, 130, 62), (108, 136, 68)), dry=((170, 158, 114),), trees=((58, 84, 46), (66, 92, 50)),
        soil=((94, 78, 64), (108, 90, 74)), roofs=((110, 102, 96), (134, 120, 106), (88, 84, 84)),
        flat=((192, 188, 180), (72, 72, 74), (154, 148, 142)), sheets=((178, 180, 182), (140, 100, 84)),
    ),
    # Continental, warm summers: grey-brown earth, firs among birches; green, red and plain metal.
    "Dfb": _look(
        grass=((104, 132, 72), (112, 138, 78)), dry=((156, 148, 108),), trees=((38, 62, 44), (48, 72, 46), (60, 82, 50)),
        soil=((112, 98, 84), (100, 88, 78)), roofs=((94, 126, 106), (138, 70, 60), (162, 166, 170), (118, 110, 104)),
        flat=((106, 106, 108), (88, 88, 92), (146, 148, 150)), sheets=((156, 158, 160), (126, 72, 62), (100, 120, 108)),
    ),
    # Continental monsoon, hot summers: pale loess; blue, red and green metal.
    "Dwa": _look(
        grass=((112, 128, 74),), dry=((172, 154, 112), (162, 148, 108)), trees=((66, 90, 56), (74, 94, 60)),
        soil=((188, 168, 134), (174, 154, 122)), roofs=((72, 114, 168), (88, 132, 182), (166, 74, 62), (88, 134, 112)),
        flat=((166, 162, 156), (184, 178, 168), (78, 120, 172)), sheets=((84, 124, 170), (150, 150, 148)),
    ),
    # Continental monsoon, warm summers: brown earth; green and blue metal, grey slates of asbestos.
    "Dwb": _look(
        grass=((100, 130, 70),), dry=((164, 150, 106),), trees=((50, 78, 46), (60, 86, 50)),
        soil=((138, 112, 88), (124, 102, 82)), roofs=((82, 130, 110), (78, 110, 152), (160, 160, 158), (146, 152, 148)),
        flat=((142, 142, 140), (120, 120, 120)), sheets=((158, 158, 154), (92, 128, 112)),
    ),
    # Subarctic: grey podzol, yellowish grass, dark spruce; red and black paint.
    "Dfc": _look(
        grass=((122, 128, 78), (130, 132, 84)), dry=((160, 150, 112),), trees=((30, 50, 40), (38, 58, 46)),
        soil=((136, 126, 116), (118, 108, 100)), roofs=((150, 54, 46), (64, 64, 68), (190, 150, 86), (132, 50, 44)),
        flat=((92, 92, 96), (128, 128, 130)), sheets=((148, 152, 156), (136, 56, 48)),
    ),
}  # fmt: skip
"""The look of every zone in which there are places, by its code."""
