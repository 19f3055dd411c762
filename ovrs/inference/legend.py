"""The names and colours of a class map's values, as GDAL and QGIS read them from the file beside it."""

from __future__ import annotations

from xml.etree import ElementTree

from ovrs.vocabulary import Vocabulary

# Columns of GDAL's raster attribute table: name, type (0 whole number, 2 text) and usage, as gdal.h numbers them.
_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8))


def legend_xml(vocabulary: Vocabulary) -> bytes:
    """The contents of ``NAME.classes.tif.aux.xml``: a raster attribute table in GDAL's PAM format."""
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (column, kind, usage) in enumerate(_COLUMNS):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", column), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(field, tag).text = str(value)
    for index, (name, color) in enumerate(zip(vocabulary.names, vocabulary.palette, strict=True)):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        for cell in (index, name, *map(int, color)):
            ElementTree.SubElement(row, "F").text = str(cell)
    ElementTree.indent(root)
    # Without a declaration: with one GDAL 3.10 reads nothing.
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=False).encode()
