"""Rivers, lakes and the sea: depth tint, ripples, glint and the shore."""

from dataclasses import dataclass

import cv2
import numpy as np

from ovrs.data.scenes.classes import Label
from ovrs.data.scenes.site import Site


@dataclass(frozen=True)
class Shore:
    """How land meets water: the strip's width in metres, its colour and its label (sand, mud, quay)."""

    width: float
    colour: np.ndarray
    label: Label


def bank(site: Site, quay: float) -> Shore | None:
    """The edge of inland water: a quay with this chance, else a beach, or none."""
    if site.chance(quay):
        return Shore(site.between(3.0, 9.0), site.palette.paving * site.between(0.85, 1.05), Label.PAVEMENT)
    if site.chance(0.6):
        return Shore(site.between(1.5, 6.0), site.palette.sand if site.chance(0.5) else site.palette.soil, Label.BARE_SOIL)
    return None


def flood(site: Site, cover: np.ndarray, shore: Shore | None = None, shelf: float = 12.0, surf: bool = False) -> None:
    """Put water where ``cover`` (uint8 [H, W]) is above a half, tinted over ``shelf`` metres from the shore."""
    canvas, gsd = site.canvas, site.canvas.gsd
    wet = (cover > 127).astype(np.uint8)
    if not wet.any():
        return
    texture = canvas.texture
    if shore is not None:
        away = cv2.distanceTransform(1 - wet, cv2.DIST_L2, 3) * gsd
        edge = shore.width * (1.0 + 0.25 * texture.middle * (shore.label == Label.BARE_SOIL))
        strip = np.clip((edge - away) / gsd * 255.0 + 128.0, 0, 255).astype(np.uint8)
        if shore.label == Label.BARE_SOIL:
            damp = np.clip(0.72 + away / (0.5 * shore.width + 0.1), 0, 1)[..., None]
            colours = texture.blotches((slice(None), slice(None)), shore.colour, shore.colour * 0.9, 0.05) * damp
        else:
            colours = shore.colour * (1.0 + 0.015 * texture.small + 0.02 * texture.wide)[..., None]
        canvas.overlay(strip, colours, shore.label)
    # Without a shore the distance transform says the largest float.
    depth = np.minimum(cv2.distanceTransform(wet, cv2.DIST_L2, 3), np.float32(1e5)) * np.float32(gsd)
    canvas.overlay(cover, _surface(site, depth, shelf), Label.WATER)
    if surf:
        _surf(site, depth, wet)


def _surface(site: Site, depth: np.ndarray, shelf: float) -> np.ndarray:
    """The water's colour ``float32 [H, W, 3]`` from its distance to the shore in metres."""
    palette, texture = site.palette, site.canvas.texture
    shallow = np.exp(-np.maximum(depth + 0.25 * shelf * texture.middle, 0.0) / np.float32(shelf))[..., None]
    colour = palette.deep + (palette.shallow - palette.deep) * shallow * np.float32(site.between(0.5, 1.0))
    heading = site.between(0.0, np.pi)
    swell = texture.field(site.between(1.2, 3.0), site.between(2.0, 5.0), heading)
    chop = texture.field(site.between(6.0, 14.0), 3.0, heading + site.between(-0.3, 0.3))
    calm = 0.25 if site.chance(0.45) else 1.0
    light = 1.0 + calm * (site.between(0.015, 0.07) * swell + site.between(0.01, 0.05) * chop) + 0.04 * texture.wide
    colour = colour * light[..., None]
    if site.chance(0.15):
        glint = np.clip(swell - site.between(1.2, 2.0), 0, 2)[..., None]
        colour = colour + glint * np.float32(site.between(20, 70))
    return np.asarray(colour, np.float32)


def _surf(site: Site, depth: np.ndarray, wet: np.ndarray) -> None:
    """Broken white lines along a beach."""
    texture = site.canvas.texture
    foam = np.zeros(depth.shape, np.float32)
    for line in range(int(site.rng.integers(1, 4))):
        away = 1.2 + line * site.between(3.0, 6.0) + 1.5 * texture.middle
        foam = np.maximum(foam, np.exp(-(((depth - away) / max(0.7, site.canvas.gsd)) ** 2)) * (0.6 + 0.5 * texture.small))
    site.canvas.overlay((np.clip(foam, 0, 0.9) * 255 * wet).astype(np.uint8), np.array([238.0, 240, 236]))


def ribbon(line: np.ndarray, widths: np.ndarray | float) -> np.ndarray:
    """The outline of a band along a line ``[n, 2]``, ``widths`` metres across: ``[2n, 2]``."""
    run = np.gradient(line, axis=0)
    normal = np.column_stack([-run[:, 1], run[:, 0]]) / (np.linalg.norm(run, axis=1, keepdims=True) + 1e-9)
    half = 0.5 * np.broadcast_to(np.asarray(widths, np.float64), (len(line),))[:, None]
    return np.concatenate([line + normal * half, (line - normal * half)[::-1]])
