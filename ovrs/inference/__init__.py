"""From files to maps: images in, tiles, pictures, rasters and tables out."""
