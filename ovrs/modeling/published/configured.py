"""Published weights in a configuration: they must be of the encoder that it describes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.published.cache import weights_path
from ovrs.modeling.published.entry import Part
from ovrs.modeling.published.table import PUBLISHED

SECTIONS: dict[str, str] = {
    "vision_language": "MODEL.VISION_LANGUAGE",
    "guidance": "MODEL.GUIDANCE",
    "image": "MODEL.IMAGE",
    "text": "MODEL.TEXT",
}


def configured_weights(
    weights: str, *, part: Part, architecture: str, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> Path:
    """The file that ``WEIGHTS`` of an encoder names.

    Weights named by path are taken as they are; of those named as the table does, everything the table knows is compared.

    Args:
        weights: a path, or a name in the table.
        part: whose weights are wanted.
        architecture: the ``NAME`` beside it.
        mean: ``PIXEL_MEAN``, 0..255; none of a text encoder.
        std: ``PIXEL_STD``, likewise.

    Raises:
        ConfigError: weights of another part or architecture, or made for another normalisation.
        WeightsError: see :func:`~ovrs.modeling.published.cache.weights_path`.
    """
    entry = PUBLISHED.get(weights)
    if entry is None or Path(weights).is_file():
        return weights_path(weights)
    section = SECTIONS[part]
    if entry.part == "system":
        raise ConfigError(
            f"{section}.WEIGHTS: {weights} is a whole system; convert it (tools/convert_checkpoint.py) for MODEL.WEIGHTS"
        )
    if entry.part != part:
        raise ConfigError(f"{section}.WEIGHTS: {weights} belongs in {SECTIONS[entry.part]}.WEIGHTS")
    untagged = architecture.split(".")[0] if architecture.startswith("timm:") else architecture
    if entry.architecture not in (architecture, untagged):
        raise ConfigError(f"{section}.WEIGHTS: {weights} needs {section}.NAME {entry.architecture}, not {architecture}")
    for key, wanted, given in zip(("PIXEL_MEAN", "PIXEL_STD"), entry.normalization or ((), ()), (mean, std), strict=True):
        if any(abs(a - b) > 0.01 for a, b in zip(wanted, given, strict=True)):
            numbers = ", ".join(f"{value:g}" for value in wanted)
            raise ConfigError(
                f"{section}.WEIGHTS: {weights} needs {section}.{key} [{numbers}], not {list(given)}; "
                "to use another one all the same, name the file by its path"
            )
    return weights_path(weights)


def refuse_published(weights: str) -> None:
    """Say what to do with a name of the table that is given as a whole model's weights; a path is none.

    Raises:
        WeightsError: they are an encoder's, or a system's in its publisher's layout.
    """
    entry = PUBLISHED.get(weights)
    if entry is None or Path(weights).is_file():
        return
    if entry.part == "system":
        raise WeightsError(
            f"{weights}: in its publisher's layout; once fetched, python tools/convert_checkpoint.py {weights} "
            f"FILE.safetensors --layout {entry.architecture}, then MODEL.WEIGHTS FILE.safetensors"
        )
    raise WeightsError(f"{weights}: weights of an encoder; they belong in {SECTIONS[entry.part]}.WEIGHTS")
