"""Tiny archives in the layouts in which data sets are published, and the scripts that prepare them."""

import importlib.util
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SCRIPTS = Path(__file__).parents[2] / "datasets"


class Maker:
    """Makes files and archives below a folder; names ending in ``/`` are of no use to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.rng = np.random.default_rng(0)

    def photo(self, height: int, width: int, bands: int = 3) -> np.ndarray:
        """A noisy image, uint8 [height, width, bands]."""
        return self.rng.integers(0, 256, (height, width, bands), dtype=np.uint8)

    @staticmethod
    def encode(pixels: np.ndarray, kind: str, palette: list[int] | None = None) -> bytes:
        """The bytes of an image or label map as ``png``, ``tif`` or ``jpg``; ``palette`` makes a palette image of it."""
        buffer = io.BytesIO()
        if kind == "tif" and pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4):
            return _many_bands(pixels)
        image = Image.fromarray(pixels)
        if palette is not None:
            image = image.convert("P") if image.mode == "P" else image
            image.putpalette(palette)
        image.save(buffer, {"png": "PNG", "tif": "TIFF", "jpg": "JPEG"}[kind])
        return buffer.getvalue()

    def zip(self, name: str, members: dict[str, bytes]) -> Path:
        """A zip archive below the root."""
        path = self._made(name)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, data in members.items():
                archive.writestr(member, data)
        return path

    def tar(self, name: str, members: dict[str, bytes]) -> Path:
        """A tar archive below the root, compressed as its name says."""
        path = self._made(name)
        with tarfile.open(path, f"w:{path.suffix.lstrip('.').replace('tar', '').replace('tgz', 'gz')}") as archive:
            for member, data in members.items():
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    def files(self, members: dict[str, bytes]) -> None:
        """Loose files below the root."""
        for member, data in members.items():
            self._made(member).write_bytes(data)

    def _made(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class Run:
    """Runs a script on the maker's folder, and reads what it wrote."""

    def __init__(self, source: Path, output: Path) -> None:
        self.source = source
        self.output = output

    def __call__(self, script: str, *options: str) -> int:
        """The exit code of ``datasets/<script>.py`` with the source, the output and further options."""
        return load(script).main(["--source", str(self.source), "--output", str(self.output), "--workers", "2", *options])

    def pixels(self, path: str) -> np.ndarray:
        """A written tile, palette indices not resolved."""
        with Image.open(self.output / path) as image:
            return np.array(image)

    def names(self, folder: str) -> list[str]:
        """The files of a written folder, sorted."""
        return sorted(path.name for path in (self.output / folder).iterdir())

    def record(self, folder: str) -> dict:
        """``preparation.json`` of a data set's folder."""
        return json.loads((self.output / folder / "preparation.json").read_text())

    def written(self) -> dict[str, int]:
        """Every file of the output with the time it was written, in nanoseconds."""
        return {str(path): path.stat().st_mtime_ns for path in sorted(self.output.rglob("*")) if path.is_file()}


def load(script: str):
    """The module of a script in ``datasets/``."""
    spec = importlib.util.spec_from_file_location(script, SCRIPTS / f"{script}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _many_bands(pixels: np.ndarray) -> bytes:
    from rasterio.io import MemoryFile

    height, width, bands = pixels.shape
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", height=height, width=width, count=bands, dtype=pixels.dtype) as raster:
            raster.write(np.moveaxis(pixels, 2, 0))
        return bytes(memory.read())


@pytest.fixture
def make(tmp_path) -> Maker:
    return Maker(tmp_path / "downloads")


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(tmp_path / "downloads", tmp_path / "data")


@pytest.fixture
def script():
    """Loads a script's module by name."""
    return load
