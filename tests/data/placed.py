"""Image files with and without a place on Earth, and data sets of them."""

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin


def write_geotiff(path, crs="EPSG:32640", size=8, metres=0.5):
    """A grey image in Dubai."""
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=3, dtype="uint8", crs=crs,
        transform=from_origin(325000, 2788000, metres, metres),
    ) as file:  # fmt: skip
        file.write(np.full((3, size, size), 90, np.uint8))
    return path


def write_climate_map(path, number, crs="EPSG:4326"):
    """A map of the world that has one zone everywhere, by Beck et al.'s number."""
    with rasterio.open(
        path, "w", driver="GTiff", width=36, height=18, count=1, dtype="uint8", crs=crs,
        transform=from_origin(-180, 90, 10, 10),
    ) as file:  # fmt: skip
        file.write(np.full((1, 18, 36), number, np.uint8))
    return path


def describe(folder, name, climate_line, images=("a.png",)):
    """A data set of tiny images that a file describes; its train split."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    for file in images:
        if file.endswith(".tif"):
            write_geotiff(folder / "images" / file)
        else:
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "images" / file)
        Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "masks" / f"{file[:-4]}.png")
    suffix = images[0][-4:]
    (folder / f"{name}.yaml").write_text(
        f"classes: [tree, water]\n{climate_line}\ntrain: {{images: images, masks: masks, image_suffix: {suffix}}}\n"
    )
    return str(folder / f"{name}.yaml")
