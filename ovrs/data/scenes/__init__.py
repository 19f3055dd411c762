"""Procedural aerial scenes: deterministic images with labels, drawn from a seed. Synthetic, wherever they are shown."""

from ovrs.data.scenes.classes import SCENE_CLASSES, Label
from ovrs.data.scenes.scene import Scene, draw_scene

__all__ = ["SCENE_CLASSES", "Label", "Scene", "draw_scene"]
