"""The configuration keys of what data hold beside image and labels: of procedural scenes, and of the climate of places."""

from __future__ import annotations

from detectron2.config import CfgNode


def add_data_keys(cfg: CfgNode) -> None:
    """Add the keys to a configuration, in place."""
    _add_scenes(cfg)
    _add_climate(cfg)


def _add_scenes(cfg: CfgNode) -> None:
    keys = cfg.DATASETS.SCENES = CfgNode()
    # How many there are of each split (they are drawn from seed and index), and their side in pixels.
    keys.TRAIN_SIZE = 20000
    keys.VAL_SIZE = 64
    keys.IMAGE_SIZE = 256
    # Memory in GiB that each process which reads images may fill with scenes it has drawn; 0 = every scene is drawn again.
    keys.KEPT_GIB = 1.0
    # Their SAR partners: "" for none, "db", or "8bit" (decibels stretched over 0..255, as stored pictures of SAR have them).
    keys.SAR = ""
    # Some sentences about each scene, as the description of the whole image; they name no side of it, so flips leave them true.
    keys.DESCRIPTIONS = False
    # Share of the scenes whose optical image is under clouds, and the least and the most that these cover of it.
    keys.CLOUDY_SHARE = 0.0
    keys.CLOUD_COVER = (0.3, 0.8)
    # Vegetation, soil and roofs have the look of the scene's climate zone; otherwise roofs are those of anywhere.
    keys.REGIONAL = False
    # Codes of the climate zones in which scenes lie, such as ("Aw", "BWh"); () = all of the table of places.
    keys.ZONES = ()
    # Code of a zone that training never draws, be it among ZONES or not; "" = none.
    keys.HELD_OUT_ZONE = ""
    # Share of the places of every other zone that training never draws (always the same ones, but the last of each); 0 = none.
    keys.HELD_OUT_PLACES = 0.0
    # What scenes_val holds: "" zones and places as in training, "places" those held out of its zones, "zone" the zone held out.
    keys.HELD_OUT = ""


def _add_climate(cfg: CfgNode) -> None:
    keys = cfg.DATASETS.CLIMATE = CfgNode()
    # What is said of an image by the climate zone of its place, in place of a description of its own: "" nothing, "bank" the
    # sentences of a prompt bank, "template" some by rule, "neutral" the same of every image. Without a place: neutral.
    keys.PROMPTS = ""
    # Code of the zone that all images are told, whatever is known of their places (scenes are drawn as their own has it);
    # "" = that of each place.
    keys.ZONE = ""
    # A climate map of your own, any raster with a CRS, in which zones of places are looked up; "" = the one that comes along.
    keys.RASTER = ""
    # File of the prompt bank; "" = the one that comes along.
    keys.BANK = ""
    # Names of the classes whose sentences are merged, in this order; () = all of the data set that are in use. What an image
    # holds plays no part in it.
    keys.CLASSES = ()
    # Most tokens of a prompt, as BERT cuts it; sentences that do not fit are left out as a whole.
    keys.TOKENS = 250
    # Say the season, and metres a pixel of the image as it is stored, where they are known.
    keys.SEASON = False
    keys.GSD = False
    # Give each class of the vocabulary the sentence of its zone (by template with PROMPTS template, else of the bank): what
    # MODEL.PROMPTS climate reads.
    keys.CLASS_SENTENCES = False
