"""The files that a map is written to: all of them, or none."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ovrs.errors import OutputError
from ovrs.inference.legend import legend_xml
from ovrs.inference.maps import UnitMaps, picture_writers, raster_writers, tags_of
from ovrs.inference.outputs import OutputFolder
from ovrs.inference.segmentation import Segmentation
from ovrs.inference.segmented import Place
from ovrs.inference.vectors import VectorOptions, check_packages, located, write_vectors


@dataclass(frozen=True)
class Target:
    """Where the maps of one image go.

    Attributes:
        folder: of all files.
        names: file name by kind of map: labels, confidence, perhaps probabilities.
        is_picture: PNGs rather than GeoTIFFs.
        overlay: file name of the picture of the map over the image, if one is to be written.
        polygons: file name of the polygons, and which of them, if they are to be written.
    """

    folder: Path
    names: dict[str, str]
    is_picture: bool
    overlay: str | None = None
    polygons: tuple[str, VectorOptions] | None = None

    @classmethod
    def of(
        cls,
        output: str | os.PathLike[str],
        *,
        probabilities: bool = False,
        overlay: bool = False,
        polygons: tuple[str, VectorOptions] | None = None,
    ) -> Target:
        """The files beside a class map ``DIR/NAME.tif``, ``DIR/NAME.classes.tif`` or the same with ``.png``.

        Args:
            polygons: ending of their file, and which of them.

        Raises:
            OutputError: another suffix, or what a PNG cannot hold.
        """
        path = Path(output)
        suffix = path.suffix.lower()
        if suffix not in (".tif", ".tiff", ".png"):
            raise OutputError(f"{path}: a class map is written as .tif or .png")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder, so no file of that name can be written")
        stem = path.name[: -len(suffix)].removesuffix(".classes")
        names = {"labels": path.name, "confidence": f"{stem}.confidence{path.suffix}"}
        if probabilities:
            if suffix == ".png":
                raise OutputError(f"{path}: the scores of all classes need a GeoTIFF; end the name in .tif")
            names["probabilities"] = f"{stem}.probabilities{path.suffix}"
        picture = f"{stem}.overlay.png" if overlay else None
        vectors = None if polygons is None else (f"{stem}.{polygons[0]}", polygons[1])
        return cls(path.parent, names, suffix == ".png", picture, vectors)

    @property
    def work(self) -> Path:
        """The folder of what is finished while the image is being segmented."""
        return self.folder / f".{self.names['labels']}.work"

    def check(self, place: Place, sar: object = None) -> None:
        """Refuse, before anything is computed, what could not be written for an image of this place and its SAR partner.

        Raises:
            InputError: it has no place for polygons, or the packages for them are missing.
            OutputError: a file would overwrite the image or its partner.
        """
        if self.polygons is not None:
            check_packages()
            located(place)
        names = [*self.names.values(), *([self.overlay] if self.overlay is not None else [])]
        inputs = [] if place.path is None else [place.path]
        inputs += [Path(sar)] if isinstance(sar, (str, os.PathLike)) else []
        OutputFolder(self.folder).check_targets(names, inputs)

    def write(self, result: Segmentation, maps: UnitMaps, *, cog: bool = False) -> dict[str, Path]:
        """Write all files and return their paths, the maps' by kind.

        Raises:
            OutputError: one of them cannot be written; then none is.
        """
        tags = tags_of(result.vocabulary, result.place, result.provenance)
        if self.is_picture:
            writers = picture_writers(maps, self.names, result.vocabulary, tags)
        else:
            writers = raster_writers(maps, self.names, result.place, result.vocabulary, tags, cog=cog)
        names = dict(self.names)
        if not self.is_picture:
            names["legend"] = f"{self.names['labels']}.aux.xml"
            writers[names["legend"]] = lambda path: _write_bytes(path, legend_xml(result.vocabulary))
        if self.overlay is not None:
            names["overlay"] = self.overlay
            writers[self.overlay] = lambda path: result.plot().save(path, "PNG")
        if self.polygons is not None:
            names["polygons"], options = self.polygons
            writers[names["polygons"]] = lambda path: _write_polygons(result, path, options)
        with OutputFolder(self.folder) as folder:
            folder.publish(writers, maps.work.staging)
        return {kind: self.folder / name for kind, name in names.items()}


def _write_polygons(result: Segmentation, path: Path, options: VectorOptions) -> None:
    write_vectors(result, path, options)


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)
