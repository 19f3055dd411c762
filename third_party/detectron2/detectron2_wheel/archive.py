"""The source archive: where it is kept, how it is fetched, checked and unpacked.

Nothing in the archive is run or unpacked before its SHA-256 is checked, and its own build script is never run at all.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .recipe import SOURCE, RecipeError, SourceRelease

# A source archive that the user has at hand, instead of a download.
ARCHIVE_VARIABLE = "DETECTRON2_SDIST"
# A folder to keep the download in, instead of the user's cache.
CACHE_VARIABLE = "OVRS_CACHE"

# pip cannot download a source release without asking its build backend for metadata. This one, found before the real
# setuptools, answers with the least that pip accepts, so that the release's own setup.py (which wants torch) is not run.
METADATA_ONLY_BACKEND = f'''
import pathlib


class __legacy__:
    @staticmethod
    def get_requires_for_build_wheel(config_settings=None):
        return []

    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        folder = pathlib.Path(metadata_directory, "{SOURCE.name.replace("-", "_")}-{SOURCE.version}.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {SOURCE.name}\\nVersion: {SOURCE.version}\\n")
        return folder.name
'''


def kept_archive() -> Path:
    """Return where the archive is, or will be kept after the first download."""
    if given := os.environ.get(ARCHIVE_VARIABLE):
        return Path(given).expanduser()
    if not (cache := os.environ.get(CACHE_VARIABLE)):
        cache = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache"), "ovrs")
    return Path(cache).expanduser() / SOURCE.filename


def verify(path: Path, sha256: str = SOURCE.sha256) -> None:
    """Check the archive's hash.

    Raises:
        RecipeError: the file's SHA-256 is another one.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise RecipeError(
            f"{path}: its SHA-256 is {digest}, not {sha256}; nothing was unpacked. "
            f"Delete the file, or name the right one in {ARCHIVE_VARIABLE}"
        )


def locate(scratch: Path) -> Path:
    """Return the verified source archive: the one the user names, the kept one, or a fresh download, which is then kept.

    Args:
        scratch: an empty folder to download into.

    Raises:
        RecipeError: the archive cannot be had, or is not the pinned one.
    """
    archive = kept_archive()
    if archive.is_file():
        verify(archive)
        return archive
    if os.environ.get(ARCHIVE_VARIABLE):
        raise RecipeError(f"{ARCHIVE_VARIABLE} names {archive}, which is not a file")
    downloaded = download(scratch)
    verify(downloaded)
    return keep(downloaded, archive)


def download(scratch: Path, source: SourceRelease = SOURCE) -> Path:
    """Download the source release with pip, from the index that the user's pip is set up for, and return its path."""
    backend = scratch / "backend" / "setuptools" / "build_meta.py"
    backend.parent.mkdir(parents=True)
    backend.write_text(METADATA_ONLY_BACKEND)
    backend.with_name("__init__.py").touch()
    requirement = scratch / "requirement.txt"
    requirement.write_text(f"{source.name}=={source.version} --hash=sha256:{source.sha256}\n")
    target = scratch / "download"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(target), "--requirement", str(requirement)]
    # What an outer pip tells the hooks of its own build is not meant for this inner one.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("_PYPROJECT_HOOKS_", "PEP517_"))}
    environment["PYTHONPATH"] = os.pathsep.join([str(backend.parent.parent), *(entry for entry in sys.path if entry)])
    environment["PIP_USE_PEP517"] = "1"  # pip before 25.3 would otherwise run setup.py directly
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    archives = sorted(target.glob("*.tar.gz")) if target.is_dir() else []
    if run.returncode != 0 or len(archives) != 1:
        raise RecipeError(
            f"the sources of Detectron2 ({source.name} {source.version}) could not be downloaded; with the archive at hand, "
            f"name it in {ARCHIVE_VARIABLE}. pip said:\n{run.stdout.strip()}"
        )
    return archives[0]


def keep(downloaded: Path, archive: Path) -> Path:
    """Move the verified download to where it is kept and return that path; without a writable place, return the download."""
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        # Written under a name of its own and renamed: two builds at once cannot leave half a file behind.
        with tempfile.NamedTemporaryFile(dir=archive.parent, prefix=archive.name, delete=False) as partial:
            partial.write(downloaded.read_bytes())
        os.replace(partial.name, archive)
    except OSError as error:
        print(f"the source archive is not kept for the next build: {error}", file=sys.stderr)
        return downloaded
    return archive


def unpack(archive: Path, target: Path) -> Path:
    """Unpack a verified archive below `target` and return its single top folder.

    Raises:
        RecipeError: a member would land outside `target`, or is no plain file or folder, or there is more than one top folder.
    """
    with tarfile.open(archive) as tar:
        try:
            tar.extractall(target, filter="data")
        except tarfile.FilterError as error:
            raise RecipeError(f"{archive}: refused to unpack it: {error}") from error
    tops = list(target.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise RecipeError(f"{archive}: holds {len(tops)} top entries instead of the one folder of a source release")
    return tops[0]
