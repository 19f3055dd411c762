"""A GeoTIFF as a scene, read window by window."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import MaskFlags, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from ovrs.inference.collar import Collar
from ovrs.inference.nodata import nodata_in
from ovrs.inference.rasters import ImageHeader, place_of_file
from ovrs.inference.reading import ReadOptions
from ovrs.inference.scene import Scene, model_grid
from ovrs.inference.stretch import Stretch, StretchRule, as_eight_bits
from ovrs.inference.tiff import choose_bands, open_tiff, reading

# Side of the thumbnail that a stretch is fitted to [pixels].
_SAMPLE_SIDE = 2048


class TiffScene(Scene):
    """A GeoTIFF, read window by window from any thread.

    Raises:
        InputError: its bands or ground sample distance cannot be used, or it is too large.
    """

    def __init__(self, header: ImageHeader, options: ReadOptions) -> None:
        self.location = header.location
        self._lock = threading.Lock()
        self._resampled: WarpedVRT | None = None
        self._file = open_tiff(self.location, is_vrt=header.kind == "VRT")
        try:
            with reading(self.location):
                self._prepare(options)
        except BaseException:
            self.close()
            raise

    def _prepare(self, options: ReadOptions) -> None:
        file = self._file
        self.place = place_of_file(file, self.location)
        self._bands = list(choose_bands(self.location, file, options.bands))
        self._type = np.result_type(*(file.dtypes[band - 1] for band in self._bands))
        self._nodata = nodata_in(options.nodata, self._type, self.location)
        self._collar: Collar | None = None
        self.model_size = model_grid(self.place, options.gsd)
        if self.model_size != (self.height, self.width):
            self._resampled = self._on_model_grid()
        self._stretch = self._fit(options.stretch)
        if options.nodata == "auto" and not self._declares():
            self._collar = self._find_collar()
        self.facts = (
            ("BANDS", ",".join(map(str, self._bands))),
            *((("STRETCH", str(self._stretch)),) if self._stretch is not None else ()),
            *((("NODATA", str(options.nodata)),) if options.nodata != "auto" else ()),
            *((("GSD", f"{options.gsd:g} m"),) if self._resampled is not None else ()),
        )

    def read(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
        """See the base class."""
        file = self._file if self._resampled is None else self._resampled
        bands = self._bands_of(file, Window(left, top, right - left, bottom - top))
        return self._eight_bits(bands)

    def valid(self, top: int, bottom: int, left: int, right: int) -> NDArray[np.bool_]:
        """See the base class."""
        window = Window(left, top, right - left, bottom - top)
        with self._reading():
            valid = self._file.dataset_mask(window=window) > 0
        if self._type.kind == "f" or self._nodata is not None:
            valid &= self._holds(self._bands_of(self._file, window))
        if self._collar is not None:
            valid &= ~self._collar.rows(top, bottom)[:, left:right]
        return np.asarray(valid)

    def reduced(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """See the base class."""
        whole = Window(0, 0, self.width, self.height)
        bands = self._bands_of(self._file, whole, out_shape=(3, *size), resampling=Resampling.average)
        return self._eight_bits(bands).transpose(1, 2, 0)

    def close(self) -> None:
        """Close the file."""
        if self._resampled is not None:
            self._resampled.close()
        self._file.close()

    def _eight_bits(self, bands: NDArray[Any]) -> NDArray[np.uint8]:
        return as_eight_bits(bands) if self._stretch is None else self._stretch(bands)

    def _bands_of(self, file: Any, window: Window, **options: Any) -> NDArray[Any]:
        with self._reading():
            return np.asarray(file.read(self._bands, window=window, **options))

    def _holds(self, bands: NDArray[Any]) -> NDArray[np.bool_]:
        """Where values [3, h, w] are finite and not the nodata value that was asked for."""
        held = np.isfinite(bands).all(axis=0)
        if self._nodata is not None:
            held &= (bands != self._nodata).any(axis=0)
        return np.asarray(held)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        with self._lock, reading(self.location):
            yield

    def _on_model_grid(self) -> WarpedVRT:
        """The file on the model's grid; mean values where it is coarser, bilinear where it is finer."""
        rows, columns = self.model_size
        own = self._file.transform
        # A value that stands for no image must not be mixed with its neighbours.
        missing = {} if self._nodata is None else {"src_nodata": self._nodata.item(), "nodata": self._nodata.item()}
        crs = self.place.crs or CRS.from_epsg(3857)  # both sides the same: nothing is projected
        return WarpedVRT(
            self._file,
            src_crs=crs,
            crs=crs,
            transform=own @ Affine.scale(self.width / columns, self.height / rows),
            width=columns,
            height=rows,
            resampling=Resampling.average if rows < self.height else Resampling.bilinear,
            tolerance=0.01,  # pixels; at 0 GDAL makes no transformer
            **missing,
        )

    def _fit(self, rule: StretchRule) -> Stretch | None:
        if not rule.looks_at(self._type):
            return rule.fit(np.empty((3, 0, 0), dtype=self._type), np.empty((0, 0), dtype=bool))
        shrink = max(self.height, self.width) / _SAMPLE_SIDE
        size = (max(round(self.height / max(shrink, 1)), 1), max(round(self.width / max(shrink, 1)), 1))
        whole = Window(0, 0, self.width, self.height)
        sample = self._bands_of(self._file, whole, out_shape=(3, *size))
        with self._reading():
            valid = self._file.dataset_mask(out_shape=size) > 0
        # Zero in every band is what undeclared nodata looks like.
        return rule.fit(sample, valid & self._holds(sample) & (sample != 0).any(axis=0))

    def _declares(self) -> bool:
        """Whether the file itself leaves any pixel out."""
        if all(MaskFlags.all_valid in flags for flags in self._file.mask_flag_enums):
            return False
        step = 1024
        return not all(
            self.valid(top, min(top + step, self.height), 0, self.width).all() for top in range(0, self.height, step)
        )

    def _find_collar(self) -> Collar | None:
        def brightest(top: int, bottom: int) -> NDArray[np.uint8]:
            bands = self._bands_of(self._file, Window(0, top, self.width, bottom - top))
            # The least whole number has no positive one of its type.
            return np.asarray(np.abs(bands.astype(np.int64) if bands.dtype.kind == "i" else bands).max(axis=0))

        height, width = self.height, self.width
        edges = ((0, 0, width, 1), (0, height - 1, width, 1), (0, 0, 1, height), (width - 1, 0, 1, height))
        if not any((self._bands_of(self._file, Window(*edge)) == 0).all(axis=0).any() for edge in edges):
            return None
        collar = Collar(brightest, self.height, self.width)
        return None if collar.empty else collar
