"""Small rasters for the tests of SAR."""

import warnings

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

UTM33 = "EPSG:32633"
PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)


def write_raster(path, bands, crs=None, transform=None, nodata=None, driver="GTiff"):
    """Bands [S, H, W] as a file; returns its path."""
    bands = np.asarray(bands)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        shape = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
        where = {key: value for key, value in (("crs", crs), ("transform", transform), ("nodata", nodata)) if value is not None}
        with rasterio.open(path, "w", driver=driver, dtype=bands.dtype, **shape, **where) as file:
            file.write(bands)
    return str(path)
