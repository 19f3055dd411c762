"""The table of docs/weights.md: every row, and what was checked of its family and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.hashes import stated_hash

_VISION_LANGUAGE = "tests/modeling/test_vision_language_agreement.py"
_GUIDANCE = "tests/modeling/test_guidance_agreement.py"


class Checks(NamedTuple):
    """What stands behind a family: whose names its files are written in, and who it is compared with."""

    title: str
    layout: str
    owner: str
    test: str


CHECKS: dict[str, Checks] = {
    "openai": Checks("OpenAI CLIP", "TorchScript archive, half precision, and plain state dict", "open_clip", _VISION_LANGUAGE),
    "laion2b": Checks("LAION-2B", "open_clip", "open_clip", _VISION_LANGUAGE),
    "datacomp": Checks("DataComp-XL", "open_clip", "open_clip", _VISION_LANGUAGE),
    "siglip": Checks("SigLIP", "open_clip, image tower of timm", "open_clip", _VISION_LANGUAGE),
    "siglip2": Checks("SigLIP 2", "open_clip, image tower of timm", "open_clip", _VISION_LANGUAGE),
    "remoteclip": Checks("RemoteCLIP", "open_clip", "open_clip", _VISION_LANGUAGE),
    "georsclip": Checks("GeoRSCLIP", "open_clip", "open_clip", _VISION_LANGUAGE),
    "skyclip": Checks("SkyCLIP", "open_clip's training, in a zip archive", "open_clip", _VISION_LANGUAGE),
    "sam": Checks("SAM", "segment_anything", "segment_anything", _GUIDANCE),
    "sam2": Checks("SAM 2", "SAM 2's own", "transformers", _GUIDANCE),
    "sam2.1": Checks("SAM 2.1", "SAM 2's own", "transformers", _GUIDANCE),
    "dino": Checks("DINO", "timm", "timm", _GUIDANCE),
    "dinov2": Checks("DINOv2", "timm", "timm", _GUIDANCE),
    "dinov3": Checks("DINOv3", "timm", "timm", _GUIDANCE),
    "pe-spatial": Checks("Perception encoders, spatial", "timm", "timm", _GUIDANCE),
    "pe-core": Checks("Perception encoders, core", "timm", "timm", _GUIDANCE),
    "catseg": Checks("CAT-Seg", "CAT-Seg's own, by name and shape", "", "tests/modeling/test_layouts.py"),
}


def as_markdown(entries: Iterable[PublishedWeights]) -> str:
    """Two tables: the rows, and the checks of their families."""
    entries = list(entries)
    lines = [
        "| name | `NAME` beside it | trained at | patch | `PIXEL_MEAN` / `PIXEL_STD` | MB | hash | licence |",
        "|---" * 8 + "|",
    ]
    lines += [_row(entry) for entry in entries]
    lines += ["", "| family | layout of its files | compared with | test | after |", "|---" * 5 + "|"]
    families = {entry.family: entry.source for entry in reversed(entries)}
    for family, checks in CHECKS.items():
        if family in families:
            test = f"[{checks.test.rsplit('/', 1)[1]}](../{checks.test})"
            lines.append(f"| {checks.title} | {checks.layout} | {checks.owner or '–'} | {test} | {families[family]} |")
    return "\n".join(lines)


def _row(entry: PublishedWeights) -> str:
    gsd = f", {entry.gsd:g} m a pixel" if entry.gsd else ""
    mean, std = (", ".join(f"{value:g}" for value in values) for values in entry.normalization)
    known = stated_hash(entry)
    cells = (
        f"[{entry.name}]({entry.address})",
        f"`{entry.architecture}`" if entry.part != "system" else f"converter's `--layout {entry.architecture}`",
        f"{entry.size} px{gsd}",
        str(entry.patch),
        f"{mean} / {std}",
        f"{entry.megabytes}" if entry.megabytes else "?",
        f"{known.algorithm} `{known.digits[:8]}`" if known else "hub's" if "//huggingface.co/" in entry.address else "none",
        entry.licence or "not stated",
    )
    return f"| {' | '.join(cells)} |"
