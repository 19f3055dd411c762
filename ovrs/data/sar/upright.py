"""Pictures that are stored turned, and why none of them can be one of a pair."""

from __future__ import annotations

import os
import warnings

from PIL import Image
from PIL.ExifTags import Base

from ovrs.data.sar.grids import PairError

PICTURES = ("PNG", "JPEG", "WEBP")
_UPRIGHT = 1


def require_upright(*paths: str | os.PathLike[str], kinds: tuple[str, ...] | None = PICTURES) -> None:
    """Refuse files of a pair that an EXIF tag has viewers turn or mirror.

    Such a file has two grids, that of its stored pixels and that of what one sees, and nothing says on which of them its
    partner lies; after half a turn not even the sizes tell.

    Args:
        kinds: of files that count, by Pillow's names, None for all: a GeoTIFF is read as it is stored, whatever its tag says.

    Raises:
        PairError: the first file that is stored turned.
    """
    for path in paths:
        orientation = _orientation(path, kinds)
        if orientation != _UPRIGHT:
            raise PairError(
                f"{os.fspath(path)}: its EXIF tag has it turned or mirrored when it is shown (orientation {orientation}), and "
                "nothing says whether its partner lies on the pixels as they are stored or as they are shown; save it without "
                "the tag, turned as its partner is"
            )


def _orientation(path: str | os.PathLike[str], kinds: tuple[str, ...] | None) -> int:
    """1 to 8 as EXIF counts, 1 where nothing is said; a damaged file is refused by whoever reads it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=kinds) as picture:
                orientation = picture.getexif().get(Base.Orientation, _UPRIGHT)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return _UPRIGHT
    return orientation if orientation in range(1, 9) else _UPRIGHT
