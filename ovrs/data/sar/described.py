"""What the description of a data set says of its SAR partners; docs/own_data.md explains every key."""

from __future__ import annotations

from typing import Any

from ovrs.data.refused import RefusedError, refuse_unknown
from ovrs.data.sar.encoding import SCALES, SarEncoding
from ovrs.data.sar.speckle import SPECKLE_FILTERS, Speckle

_KEYS = {"scale", "bands", "polarisations", "filter", "window", "looks", "nodata", "resample"}
_MOST_BANDS = 64


def described_sar(entry: object) -> SarEncoding:
    """The encoding that stands under ``sar``.

    Raises:
        RefusedError: a key that there is not, or a value that cannot work.
    """
    if not isinstance(entry, dict):
        raise RefusedError("sar", entry, f"say what its values are, as in sar: {{scale: db}}; there are {', '.join(SCALES)}")
    refuse_unknown(entry, _KEYS, "sar.")
    scale = next((scale for scale in SCALES if scale == entry.get("scale")), None)
    if scale is None:
        raise RefusedError("sar.scale", entry.get("scale"), f"choose {', '.join(SCALES)}")
    polarisations = _texts(entry.get("polarisations", []))
    bands = _bands(entry.get("bands"))
    nodata, resample = entry.get("nodata"), entry.get("resample", False)
    if nodata is not None and not _is_number(nodata):
        raise RefusedError("sar.nodata", nodata, "give the number that stands for no measurement")
    if not isinstance(resample, bool):
        raise RefusedError("sar.resample", resample, "give true or false")
    return SarEncoding(scale, bands, polarisations, _speckle(entry, scale), None if nodata is None else float(nodata), resample)


def check_channels(encoding: SarEncoding, files: int) -> None:
    """Whether the polarisations that are named are those that ``files`` files with these bands hold.

    Raises:
        RefusedError: they are more or fewer.
    """
    held = files * len(encoding.bands)
    if encoding.polarisations and len(encoding.polarisations) != held:
        raise RefusedError(
            "sar.polarisations",
            list(encoding.polarisations),
            f"but {files} file{'s' * (files > 1)} an image with bands {list(encoding.bands)} hold {held}; name as many",
        )


def _speckle(entry: dict[str, Any], scale: str) -> Speckle:
    name, window, looks = entry.get("filter", "none"), entry.get("window", 5), entry.get("looks", 1.0)
    if name not in SPECKLE_FILTERS:
        raise RefusedError("sar.filter", name, f"choose {', '.join(SPECKLE_FILTERS)}")
    if scale == "8bit" and name not in ("none", "boxcar"):
        raise RefusedError("sar.filter", name, "it needs to know what values are, and scale is 8bit; choose none or boxcar")
    if type(window) is not int or window < 3 or window % 2 == 0 or window > 63:
        raise RefusedError("sar.window", window, "give its side in pixels, odd, of 3..63")
    if not _is_number(looks) or looks <= 0:
        raise RefusedError("sar.looks", looks, "give the equivalent number of looks, above 0")
    return Speckle(name, window, float(looks))


def _bands(entry: object) -> tuple[int, ...]:
    bands = (1,) if entry is None else tuple(entry) if isinstance(entry, list) else (entry,)
    found = tuple(band for band in bands if type(band) is int and 1 <= band <= _MOST_BANDS)
    if not found or found != bands or len(set(found)) < len(found):
        raise RefusedError("sar.bands", entry, "give a band, from 1, or a list of different ones")
    return found


def _texts(entry: object) -> tuple[str, ...]:
    if not isinstance(entry, list) or not all(isinstance(text, str) and text for text in entry):
        raise RefusedError("sar.polarisations", entry, "give a list of names, as [VV, VH]")
    return tuple(entry)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
