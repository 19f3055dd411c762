"""Procedural aerial scenes: deterministic images with labels, drawn from a seed. Synthetic, wherever they are shown."""

from ovrs.data.scenes.classes import SCENE_CLASSES, Label
from ovrs.data.scenes.climate import Setting
from ovrs.data.scenes.expressions import Expression
from ovrs.data.scenes.instances import Instance
from ovrs.data.scenes.scene import Scene, draw_scene
from ovrs.data.scenes.shards import scene_shard, write_scenes

__all__ = [
    "SCENE_CLASSES",
    "Expression",
    "Instance",
    "Label",
    "Scene",
    "Setting",
    "draw_scene",
    "scene_shard",
    "write_scenes",
]
