"""The PEP 517 build backend: pip, uv and `python -m build` call these hooks.

A wheel is a zip file of the package and a `.dist-info` folder (PEP 427). This one is byte-identical from every build on the
same Python and zlib: files sorted, one date, one mode.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from .archive import kept_archive, locate, unpack
from .recipe import wheel_files

PROJECT = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text("utf-8"))["project"]
STEM = f"{PROJECT['name']}-{PROJECT['version']}"
DIST_INFO = f"{STEM}.dist-info"
WHEEL_TEXT = "Wheel-Version: 1.0\nGenerator: detectron2_wheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
DATE = (2021, 11, 15, 0, 0, 0)  # the day of the v0.6 release; any fixed one would do

Settings = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Ask for pip when the source archive has yet to be downloaded."""
    return [] if kept_archive().is_file() else ["pip>=23.2"]


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    """Write the wheel's `.dist-info` folder, without RECORD, and return its name: no sources are needed for that."""
    folder = Path(metadata_directory, DIST_INFO)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "METADATA").write_text(metadata_text(), "utf-8")
    (folder / "WHEEL").write_text(WHEEL_TEXT, "utf-8")
    return DIST_INFO


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Write the wheel into `wheel_directory` and return its file name.

    Raises:
        RecipeError: the source archive cannot be had, or is not the one that the recipe was written for.
    """
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        root = unpack(locate(scratch), scratch / "sources")
        files = wheel_files(root)
        files[f"{DIST_INFO}/licenses/LICENSE"] = (root / "LICENSE").read_bytes()
    files[f"{DIST_INFO}/METADATA"] = metadata_text().encode()
    files[f"{DIST_INFO}/WHEEL"] = WHEEL_TEXT.encode()
    files[f"{DIST_INFO}/RECORD"] = record(files)
    wheel = f"{STEM}-py3-none-any.whl"
    write_zip(Path(wheel_directory, wheel), files)
    return wheel


def metadata_text() -> str:
    """Return the METADATA file, from the `[project]` table."""
    fields = [
        ("Metadata-Version", "2.1"),
        ("Name", PROJECT["name"]),
        ("Version", PROJECT["version"]),
        ("Summary", PROJECT["description"]),
        ("License", PROJECT["license"]["text"]),
        ("Requires-Python", PROJECT["requires-python"]),
        *(("Requires-Dist", requirement) for requirement in PROJECT["dependencies"]),
    ]
    return "".join(f"{key}: {value}\n" for key, value in fields)


def record(files: dict[str, bytes]) -> bytes:
    """Return the RECORD file: path, hash and size of every file, and itself with neither."""
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        writer.writerow((path, f"sha256={digest}", len(content)))
    writer.writerow((f"{DIST_INFO}/RECORD", "", ""))
    return rows.getvalue().encode()


def write_zip(path: Path, files: dict[str, bytes]) -> None:
    """Write `files` (path -> content) as a zip whose bytes depend on nothing else."""
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also when built elsewhere
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, content)
