"""What the description of a data set says of its SAR partners; docs/own_data.md explains every key."""

from __future__ import annotations

from typing import Any

from ovrs.data.refused import RefusedError, refuse_unknown
from ovrs.data.sar.encoding import SCALES, SarEncoding
from ovrs.data.sar.speckle import Speckle, SpeckleError

_KEYS = {"scale", "bands", "polarisations", "filter", "window", "looks", "nodata", "resample"}
# Where the settings of a speckle filter stand.
_SPECKLE = {"name": "sar.filter", "window": "sar.window", "looks": "sar.looks"}
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
    try:
        speckle = Speckle(entry.get("filter", "none"), entry.get("window", 5), entry.get("looks", 1.0))
        speckle.require_known_scale(scale)
    except SpeckleError as error:
        raise RefusedError(_SPECKLE[error.setting], error.value, error.wanted) from error
    return speckle


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
