"""The table of docs/weights.md: every row, and what was checked of its family and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ovrs.modeling.published.entry import PublishedWeights
from ovrs.modeling.published.hashes import stated_hash

_CLIP = ("test_vision_language_published", "open_clip", "test_vision_language_agreement")
_SAM = ("test_guidance_agreement", "segment_anything", "test_guidance_agreement")
_SAM2 = ("test_guidance_agreement", "transformers", "test_guidance_agreement")
_VIT = ("test_vit_guidance", "transformers, timm", "test_vit_guidance")
_PERCEPTION = ("test_vit_guidance", "timm, a plain reference", "test_vit_guidance")
_SWIN = ("test_swin", "timm, a plain reference", "test_swin")
_BERT = ("test_bert", "transformers", "test_bert")
_CATSEG = ("test_layouts", "CAT-Seg's own outputs, recorded", "test_golden")


class Checks(NamedTuple):
    """What stands behind a family.

    Attributes:
        title: what it is called.
        layout: whose names its files are written in.
        names: the test, in tests/modeling, that every name and shape of such a file at full size has its place.
        owner: whose outputs ours are compared with, on the same random weights.
        numbers: the test that does.
    """

    title: str
    layout: str
    names: str
    owner: str
    numbers: str


CHECKS: dict[str, Checks] = {
    "openai": Checks("OpenAI CLIP", "TorchScript archive in half precision, or plain", *_CLIP),
    "laion2b": Checks("LAION-2B", "open_clip's", *_CLIP),
    "datacomp": Checks("DataComp-XL", "open_clip's", *_CLIP),
    "siglip": Checks("SigLIP", "open_clip's, with timm's image tower", *_CLIP),
    "siglip2": Checks("SigLIP 2", "open_clip's, with timm's image tower", *_CLIP),
    "remoteclip": Checks("RemoteCLIP", "open_clip's", *_CLIP),
    "georsclip": Checks("GeoRSCLIP", "open_clip's", *_CLIP),
    "skyclip": Checks("SkyCLIP", "of open_clip's training, in a zip archive", *_CLIP),
    "sam": Checks("SAM", "segment_anything's", *_SAM),
    "sam2": Checks("SAM 2", "SAM 2's own", *_SAM2),
    "sam2.1": Checks("SAM 2.1", "SAM 2's own", *_SAM2),
    "dino": Checks("DINO", "timm's, or DINO's own", *_VIT),
    "dinov2": Checks("DINOv2", "timm's, or DINOv2's own", *_VIT),
    "dinov3": Checks("DINOv3", "timm's, or DINOv3's own", *_VIT),
    "pe-spatial": Checks("Perception encoders, spatial", "timm's, or their own", *_PERCEPTION),
    "pe-core": Checks("Perception encoders, core", "timm's, or their own", *_PERCEPTION),
    "swin": Checks("Swin", "timm's, or Microsoft's own", *_SWIN),
    "bert": Checks("BERT", "Google's, under transformers' names", *_BERT),
    "catseg": Checks("CAT-Seg", "CAT-Seg's own", *_CATSEG),
}


def paths_of(checks: Checks) -> tuple[str, str]:
    """Paths of a family's tests from the root of the repository."""
    return f"tests/modeling/{checks.names}.py", f"tests/modeling/{checks.numbers}.py"


def as_markdown(entries: Iterable[PublishedWeights]) -> str:
    """Two tables: the rows, and the checks of their families."""
    entries = list(entries)
    columns = ("name", "`NAME` beside it", "trained at", "patch", "`PIXEL_MEAN` / `PIXEL_STD`", "MB", "hash", "licence")
    lines = [*_head(columns), *(_row(entry) for entry in entries), ""]
    lines += _head(("family", "layout of its files", "names and shapes", "numbers against", "numbers", "published in"))
    sources = {entry.family: entry.source for entry in reversed(entries)}
    for family, checks in CHECKS.items():
        if family in sources:
            names, numbers = (f"[{path.rsplit('/', 1)[1]}](../{path})" for path in paths_of(checks))
            lines.append(f"| {checks.title} | {checks.layout} | {names} | {checks.owner} | {numbers} | {sources[family]} |")
    return "\n".join(lines)


def _head(columns: tuple[str, ...]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]


def _row(entry: PublishedWeights) -> str:
    gsd = f", {entry.gsd:g} m a pixel" if entry.gsd else ""
    normalization = (", ".join(f"{value:g}" for value in values) for values in entry.normalization or ())
    known = stated_hash(entry)
    cells = (
        f"[{entry.name}]({entry.address})",
        f"`{entry.architecture}`" if entry.part != "system" else f"converter's `--layout {entry.architecture}`",
        f"{entry.size} px{gsd}" if entry.size else "sentences",
        str(entry.patch or ""),
        " / ".join(normalization),
        f"{entry.megabytes}" if entry.megabytes else "?",
        f"{known.algorithm} `{known.digits[:8]}`" if known else "hub's" if "//huggingface.co/" in entry.address else "none",
        entry.licence or "not stated",
    )
    return f"| {' | '.join(cells)} |"
