"""What the panels of the page say, as HTML. Whatever a guest typed or named is escaped."""

from __future__ import annotations

import base64
import io
from html import escape

import numpy as np
from PIL import Image

from ovrs.inference.screen import Screen, heat_colors
from ovrs.inference.segmented import Place
from ovrs.pictures import Picture

# Screens with fewer pixels show them as squares.
_COARSE_SIDE = 700
_SQUARE_KILOMETRE = 1e6


def empty_map(text: str) -> str:
    """The sheet before there is anything to see."""
    return f'<div class="ovrs-box"><p class="ovrs-empty">{escape(text)}</p></div>'


def note(text: str) -> str:
    """A remark."""
    return f'<p class="ovrs-note">{escape(text)}</p>'


def image_map(image: Picture, place: Place) -> str:
    """The image alone."""
    return _sheet(image, None, place, "")


def layered_map(screen: Screen, layer: Picture, run: str, *, smooth: bool) -> str:
    """The image under a layer.

    Args:
        layer: uint8 [h, w, 3].
        run: tells this map from another, so that the page knows when a mark on it is out of date.
        smooth: whether the layer may be compressed with loss.
    """
    return _sheet(screen.image, picture_uri(layer, "JPEG" if smooth else "PNG"), screen.place, run)


def _sheet(image: Picture, layer: str | None, place: Place, run: str) -> str:
    height, width = image.shape[:2]
    coarse = " ovrs-coarse" if max(height, width) < _COARSE_SIDE else ""
    cover = "" if layer is None else f'<img class="ovrs-cover" src="{layer}" alt="the map over the image" draggable="false">'
    zoom = "".join(
        f'<button type="button" data-zoom="{step}" aria-label="{label}" title="{label}">{sign}</button>'
        for step, sign, label in (("in", "+", "zoom in"), ("out", "−", "zoom out"), ("fit", "fit", "show the whole image"))
    )
    return (
        f'<div class="ovrs-box"><div class="ovrs-scroll">'
        f'<div class="ovrs-sheet{coarse}" data-run="{escape(run)}" style="--ratio:{width / height:.5f}">'
        f'<img src="{picture_uri(image, "JPEG")}" alt="the image" draggable="false">{cover}<i class="ovrs-pin"></i></div></div>'
        f'<div class="ovrs-zoom">{zoom}</div></div>{facts_line(place)}'
    )


def facts_line(place: Place) -> str:
    """Name, size and grid of an image."""
    facts = [escape(place.path.name)] if place.path is not None else []
    if place.synthetic:
        facts.append("<b>synthetic, drawn by ovrs</b>")
    facts.append(f"{place.width:,} × {place.height:,} pixels")
    if place.crs is None:
        facts.append("no coordinate reference system")
    else:
        facts.append(escape(place.crs.to_string() if place.crs.to_epsg() else "a coordinate reference system of its own"))
    if place.pixel_area is not None:
        facts.append(f"{place.pixel_area**0.5:.3g} m a pixel")
    return f'<p class="ovrs-facts">{" · ".join(facts)}</p>'


def legend(screen: Screen) -> str:
    """Colours, names, shares and areas, the largest first."""
    colors = dict(zip(screen.vocabulary.names, screen.vocabulary.palette.tolist(), strict=True))
    areas = screen.areas
    rows = []
    for name, share in sorted(screen.shares.items(), key=lambda item: -item[1]):
        area = "" if areas is None else f"<td>{area_text(areas[name])}</td>"
        color = "rgb({},{},{})".format(*colors[name])
        rows.append(
            f'<tr><th scope="row"><i class="ovrs-swatch" style="background:{color}"></i>{escape(name)}</th>'
            f'<td class="ovrs-share"><span style="--share:{share:.4f}">{share:.1%}</span></td>{area}</tr>'
        )
    if screen.valid_share < 1:
        rows.append(
            f'<tr class="ovrs-nodata"><th scope="row"><i class="ovrs-swatch"></i>nodata</th>'
            f'<td colspan="2">{1 - screen.valid_share:.1%} of the image</td></tr>'
        )
    head = "<th>class</th><th>share</th>" + ("" if areas is None else "<th>area</th>")
    remark = "" if areas is not None else '<p class="ovrs-note">Areas need an image with a coordinate reference system.</p>'
    return f'<table class="ovrs-legend"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>{remark}'


def heat_scale(name: str, top: float) -> str:
    """What the colours of a heat map mean."""
    stops = ",".join("rgb({},{},{})".format(*color) for color in heat_colors()[np.linspace(0, 255, 9).astype(int)].tolist())
    return (
        f'<p class="ovrs-note">Scores of <b>{escape(name)}</b></p><div class="ovrs-ramp" '
        f'style="background:linear-gradient(90deg,{stops})"></div><p class="ovrs-ends"><span>0</span><span>{top:.2f}</span></p>'
    )


def pixel(screen: Screen, row: int, column: int) -> str:
    """The scores of all names at a pixel."""
    scores, chosen = screen.scores_at(row, column), screen.chosen_at(row, column)
    where = f"row {row:,}, column {column:,}"
    if screen.place.transform is not None and screen.place.crs is not None:
        x, y = screen.place.transform @ (column + 0.5, row + 0.5)
        digits = 6 if screen.place.crs.is_geographic else 1
        where += f"<br>x {x:,.{digits}f}, y {y:,.{digits}f}"
    if scores is None:
        return f'<p class="ovrs-note">{where}</p><p>There is no image here (nodata).</p>'
    colors = dict(zip(screen.vocabulary.names, screen.vocabulary.palette.tolist(), strict=True))
    bars = "".join(
        f'<tr{" class=ovrs-chosen" if name == chosen else ""}><th scope="row">{escape(name)}</th>'
        f'<td><span class="ovrs-bar" style="--share:{score:.4f};--color:rgb({",".join(map(str, colors[name]))})"></span></td>'
        f"<td>{score:.2f}</td></tr>"
        for name, score in scores.items()
    )
    return (
        f'<p class="ovrs-picked">{escape(chosen or "")}</p><p class="ovrs-note">{where}</p>'
        f'<table class="ovrs-scores"><tbody>{bars}</tbody></table>'
    )


def area_text(area: float) -> str:
    """Square metres in words: ``8,250 m²``, ``1.24 km²``."""
    return f"{area:,.0f} m²" if area < _SQUARE_KILOMETRE / 10 else f"{area / _SQUARE_KILOMETRE:,.2f} km²"


def picture_uri(picture: Picture, kind: str) -> str:
    """A picture inside of the page: ``data:image/png;base64,...``."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **({"quality": 88} if kind == "JPEG" else {"compress_level": 4}))
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"
