"""Errors in the page's own words: they are written for the command line, and a guest has other controls."""

from __future__ import annotations

import re
from pathlib import Path

# What an error advises, and what a guest can do about it. Regular expressions.
_ADVICE = (
    (r"^--bands '", "Bands '"),
    (r"name them, as in --bands 3,2,1", "name them in Bands, under More, as 3,2,1"),
    (r" \(--bands\)", "; correct Bands, under More"),
    (r"make it a GeoTIFF, whose bands can be chosen and stretched \(--bands, --stretch\)", "make it a GeoTIFF"),
    (r"raise --max-pixels, or cut the scene", "cut it, or use the command line"),
    (r"make it a GeoTIFF, which is read window by window", "cut it, or use the command line"),
    (r"read the files themselves, or trust it with --allow-remote", "choose the file itself"),
    (r" and give --grounding windows", ""),
    (
        r"warp it onto that grid \(gdalwarp\), or have that done as it is read \(--sar-resample\)",
        "tick Lay SAR onto the image's grid",
    ),
    (r"say which they are: --sar-scale .*", "choose which under SAR values"),
    (r" \(--sar-bands\)", ""),
    (r"; (name it by --location, --region or --zone|one can be named by --zone)", "; name one under Where"),
    (r" \(--location\)", " (as typed)"),
    (r"; what is finished stays in .*, --resume goes on from there", "; try again later, or use a smaller image"),
)


def plain_words(error: Exception | str, root: Path) -> str:
    """An error in one line: without the server's folders, and with the page's controls for the command line's options."""
    text = " ".join(str(error).split())
    for advice, instead in _ADVICE:
        text = re.sub(advice, instead, text)
    return re.sub(rf"{re.escape(str(root.resolve()))}(/[^\s/:]+)*/", "", text)
