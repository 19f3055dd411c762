"""What the wheel is made of: one pinned source release, and every change made to it.

The release on the package index holds exactly the Python files of the official Detectron2 v0.6 and none of its C++ ones, so
its own build fails. ovrs needs none of the compiled operators; it needs v0.6 to run on the NumPy and Pillow of today.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class RecipeError(Exception):
    """The sources are not the ones that this recipe was written for."""


@dataclass(frozen=True)
class SourceRelease:
    """A source archive on the package index, pinned by the SHA-256 of its bytes."""

    name: str
    version: str
    sha256: str
    filename: str


@dataclass(frozen=True)
class Patch:
    """A regular expression, what replaces it, and how often it must match over all Python files."""

    reason: str
    pattern: str
    replacement: str
    places: int


SOURCE = SourceRelease(
    name="pb1-detectron2",
    version="0.6",
    sha256="5d2e9e51e523ec72f6a31cca04b0a515492e9514b773a3d134cedc0677170b29",
    filename="pb1-detectron2-0.6.tar.gz",
)

# Folders of the archive and where they go in the wheel. Upstream's setup.py installs the three projects the same way.
PACKAGES = {
    "detectron2": "detectron2",
    "projects/PointRend/point_rend": "detectron2/projects/point_rend",
    "projects/DeepLab/deeplab": "detectron2/projects/deeplab",
    "projects/Panoptic-DeepLab/panoptic_deeplab": "detectron2/projects/panoptic_deeplab",
}

PATCHES = (
    Patch("NumPy 1.24 removed its aliases of Python's own types", r"\bnp\.(int|float|bool|object|str)\b", r"\1", 19),
    Patch("Pillow 10 removed LINEAR, the old name of BILINEAR", r"\bImage\.LINEAR\b", "Image.BILINEAR", 1),
    Patch("setuptools 82 removed pkg_resources", r"import pkg_resources\n", "", 1),
    Patch(
        "setuptools 82 removed pkg_resources",
        r"pkg_resources\.resource_filename\(\s*\"detectron2\.model_zoo\", ",
        "os.path.join(os.path.dirname(__file__), ",
        1,
    ),
)

STAND_IN = Path(__file__).with_name("stand_in.py")


def apply_patches(files: Mapping[str, bytes], patches: tuple[Patch, ...] = PATCHES) -> dict[str, bytes]:
    """Return `files` (path -> content) with every patch applied to the Python files among them.

    Raises:
        RecipeError: a patch matched more or fewer places than it states, that is: these are other sources.
    """
    patched = dict(files)
    for patch in patches:
        pattern, replacement, found = re.compile(patch.pattern.encode()), patch.replacement.encode(), 0
        for path in (path for path in patched if path.endswith(".py")):
            patched[path], count = pattern.subn(replacement, patched[path])
            found += count
        if found != patch.places:
            raise RecipeError(
                f"the patch for {patch.pattern!r} ({patch.reason}) matched {found} places, not {patch.places}: "
                "the sources are not those of Detectron2 v0.6"
            )
    return patched


def wheel_files(root: Path) -> dict[str, bytes]:
    """Return the wheel's package files, path -> content, sorted, from the unpacked sources at `root`.

    Raises:
        RecipeError: a folder of the recipe is not there, or a patch does not fit.
    """
    files: dict[str, bytes] = {}
    for source, target in PACKAGES.items():
        if not (root / source).is_dir():
            raise RecipeError(f"the sources have no folder {source!r}: they are not those of Detectron2 v0.6")
        for path in (root / source).rglob("*"):
            if path.is_file():
                files[f"{target}/{path.relative_to(root / source).as_posix()}"] = path.read_bytes()
    files = apply_patches(files)
    files["detectron2/_C.py"] = STAND_IN.read_bytes()
    return dict(sorted(files.items()))
