"""Settle the versions in requirements/*.txt anew: the newest that pyproject.toml allows, one set for every Python from 3.11.

python tools/pin_requirements.py      (needs uv; download addresses are not written)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DETECTRON2 = ROOT / "third_party" / "detectron2"
HEADER = """# Pinned requirements of ovrs ({name}), one set for Python 3.11 to 3.14.
# Written by `make pins` from pyproject.toml: do not edit by hand.
"""
UV = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--upgrade"]
UNIVERSAL = ["--universal", "--python-version", "3.11", "--fork-strategy", "fewest"]
PLAIN = ["--no-header", "--no-annotate", "--no-emit-find-links", "--no-emit-package", "detectron2"]


def pin(name: str, options: list[str], wheels: Path) -> None:
    """Write requirements/`name`.txt with the versions of the core dependencies and of what `options` adds."""
    sources = [str(DETECTRON2 / "pyproject.toml"), str(ROOT / "pyproject.toml")]
    command = [*UV, *UNIVERSAL, *PLAIN, "--find-links", str(wheels), *sources, *options]
    versions = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    target = ROOT / "requirements" / f"{name}.txt"
    partial = target.with_suffix(".partial")
    partial.write_text(HEADER.format(name=name) + versions, "utf-8")
    os.replace(partial, target)


def main() -> None:
    """Write both files; Detectron2 is not on the index, so its wheel is built into a folder that uv also looks in."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as wheels:
        build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", str(DETECTRON2), "--wheel-dir", wheels]
        subprocess.run(build, check=True)
        pin("core", [], Path(wheels))
        # The extras that people use on their own machines are tested too; a cluster is not.
        extras = ("dev", "demo", "vector", "climate", "export")
        pin("dev", [word for extra in extras for word in ("--extra", extra)], Path(wheels))


if __name__ == "__main__":
    main()
