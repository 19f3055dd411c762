"""A user's own data set, described by a YAML file: its classes, its folders and how its masks name classes.

docs/own_data.md shows one and explains every key.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

import ovrs
from ovrs.climate.zones import zone_named
from ovrs.data.masks import KINDS, Kind, MaskEncoding, pack_color
from ovrs.data.refused import RefusedError, naming_file, refuse_unknown
from ovrs.data.root import resolved
from ovrs.data.sar.described import check_channels, described_sar
from ovrs.data.table import DATA_SETS, IGNORE_LABEL, SPLITS, DataSet, HoldOut, Layout, Split
from ovrs.errors import ConfigError, InputError
from ovrs.vocabulary import Vocabulary, VocabularyClass
from ovrs.vocabulary_files import class_from_entry, read_color, read_vocabulary

_KEYS = {"task", "name", "title", "classes", "values", "masks", "ignore", "train", "val", "hold_out", "sar", "climate"}
_KEYS |= {"source", "licence", "citation"}
_SPLIT_KEYS = {"images", "masks", "image_suffix", "mask_suffix"}
# Of what may stand beside images: SAR of the same places, and what is said of them.
_PARTNER_KEYS = {"sar", "sar_suffix", "descriptions"}

# What a data set is for, the first unless its description says so: a class for every pixel, or sentences with masks (see
# :mod:`ovrs.data.referring.description`).
TASKS = ("segmentation", "referring")

# ``ignore`` in place of a list: whatever no class has.
IGNORE_OTHERS = "others"
# ``climate`` in place of a zone: files begin with the name of a city or region, as OpenEarthMap's do.
BY_NAME = "by name"

# Labels are bytes, and 255 is ignored.
MAX_CLASSES = IGNORE_LABEL
# What a mask of 16 bits can hold; colours are checked on their own.
_MAX_INDEX = 2**16 - 1


@dataclass(frozen=True)
class Description:
    """A described data set: its row, with folders made absolute, and the encoding of its masks."""

    row: DataSet
    encoding: MaskEncoding


def find_description(path: str | os.PathLike[str]) -> Path:
    """The file of that name; a relative one is also looked for beside the folder of configurations."""
    path, beside = Path(path), Path(ovrs.__file__).parent.parent / path
    return path if path.is_file() or not beside.is_file() else beside


def read_description(path: str | os.PathLike[str]) -> Description:
    """Read a YAML description; its folders are relative to the file, and may name environment variables.

    Raises:
        ConfigError: the file is missing or no YAML, or a value in it cannot work; file, key and value are named.
    """
    path = Path(path)
    document = read_document(path)
    with naming_file(path):
        return _description(document, path)


def read_document(path: Path) -> dict[str, Any]:
    """What a YAML description says, unchecked but for ``task``.

    Raises:
        ConfigError: the file is missing or no YAML, describes nothing, or is for a task that there is not.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"DATASETS.FILES: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: describes no data set; it needs the keys name, classes, and train or val")
    if document.get("task", TASKS[0]) not in TASKS:
        raise ConfigError(f"{path}: task is {document['task']!r}; choose {' or '.join(TASKS)}")
    return document


def _description(document: dict[str, Any], path: Path) -> Description:
    refuse_unknown(document, _KEYS)
    name = name_of(document, path)
    kind = document.get("masks", "index")
    if kind not in KINDS:
        raise RefusedError("masks", kind, f"choose {', '.join(KINDS)}")
    classes, own = _classes(document.get("classes"), path)
    codes = _codes(classes, own, document.get("values"), kind)
    splits: dict[Split, Layout] = {split: _layout(document[split], split, path.parent) for split in SPLITS if split in document}
    if not splits:
        raise RefusedError("train", None, "say where the images and masks are, under train, val or both")
    sar = described_sar(document["sar"]) if "sar" in document else None
    for split, layout in splits.items():
        if layout.sar and sar is None:
            raise RefusedError(
                f"{split}.sar", layout.sar, "say what its values are, as in sar: {scale: db} beside train and val"
            )
        if sar is not None:
            check_channels(sar, max(len(layout.sar_suffixes), 1))
    if "hold_out" in document:
        splits = _parted(splits, document["hold_out"])
    row = DataSet(
        name=name,
        title=text_of(document, "title", name),
        classes=classes,
        splits=splits,
        ignored=f"what {path} lists under ignore",
        source=text_of(document, "source", str(path)),
        licence=text_of(document, "licence", "not stated"),
        citation=text_of(document, "citation", "not stated"),
        sar=sar,
        **_climate(document.get("climate")),
    )
    return Description(row, MaskEncoding(kind, codes, _ignored(document.get("ignore"), kind, codes)))


def _climate(entry: object) -> dict[str, Any]:
    """What a row says of the climate: the zone of all images, or that their names tell the region; nothing of None."""
    if entry is None or entry == BY_NAME:
        return {"tiles_name_regions": entry == BY_NAME}
    try:
        return {"climate": zone_named(str(entry)).code}
    except InputError as error:
        raise RefusedError("climate", entry, f"{error}; or give {BY_NAME!r}, where files begin with a region's name") from error


def _classes(entry: object, path: Path) -> tuple[tuple[VocabularyClass, ...], list[object]]:
    """The classes, and for each what its own entry says of its values in masks (None: nothing)."""
    if isinstance(entry, str):
        classes = DATA_SETS[entry].classes if entry in DATA_SETS else _classes_of_file(entry, path)
        own: list[object] = [None] * len(classes)
    elif isinstance(entry, list) and entry:
        own = [cls.get("value") if isinstance(cls, dict) else None for cls in entry]
        classes = tuple(class_from_entry(_without_value(cls)) for cls in entry)
    else:
        raise RefusedError("classes", entry, "give a list of classes, a vocabulary file, or a data set of the table")
    if len(classes) > MAX_CLASSES:
        raise RefusedError("classes", f"a list of {len(classes)}", f"there may be {MAX_CLASSES} at most")
    return Vocabulary(classes).classes, own


def _classes_of_file(entry: str, path: Path) -> tuple[VocabularyClass, ...]:
    if not Path(entry).suffix:
        raise RefusedError("classes", entry, f"give a vocabulary file, or one of {', '.join(DATA_SETS)}")
    return read_vocabulary(path.parent / entry).classes


def _without_value(entry: object) -> object:
    return {key: value for key, value in entry.items() if key != "value"} if isinstance(entry, dict) else entry


def _codes(classes: tuple[VocabularyClass, ...], own: list[object], values: object, kind: Kind) -> tuple[tuple[int, ...], ...]:
    """The codes of each class: its ``value`` or the entry of ``values``, else its place, or its colour."""
    if values is not None:
        if any(value is not None for value in own):
            raise RefusedError("values", values, "either give this list or a value in each class, not both")
        if not isinstance(values, list) or len(values) != len(classes):
            raise RefusedError("values", values, f"give an entry for each of the {len(classes)} classes, in their order")
        own = values
    codes = []
    owners: dict[int, str] = {}
    for place, (cls, value) in enumerate(zip(classes, own, strict=True)):
        key = f"value of class {cls.name!r}"
        if value is None and kind != "index" and cls.color is None:
            raise RefusedError(key, None, f"masks are {kind}, so the class needs a color or a value")
        standard = place if kind == "index" else list(cls.color or ())
        group = _group(standard if value is None else value, kind, key)
        for code in group:
            if code in owners:
                raise RefusedError(key, value, f"class {owners[code]!r} has it already")
            owners[code] = cls.name
        codes.append(group)
    return tuple(codes)


def _ignored(entry: object, kind: Kind, codes: tuple[tuple[int, ...], ...]) -> tuple[int, ...] | None:
    """Codes that are ignored: those listed, and 255 in masks of numbers where no class has it."""
    if entry == IGNORE_OTHERS:
        return None
    taken = {code for group in codes for code in group}
    listed = () if entry is None else _group(entry, kind, "ignore")
    for code in listed:
        if code in taken:
            raise RefusedError("ignore", entry, "it is also the value of a class")
    return tuple(dict.fromkeys((*listed, *([IGNORE_LABEL] if kind == "index" and IGNORE_LABEL not in taken else []))))


def _group(entry: object, kind: Kind, key: str) -> tuple[int, ...]:
    """One code or a list of them."""
    if not isinstance(entry, list) or (kind != "index" and entry and all(type(part) is int for part in entry)):
        return (_code(entry, kind, key),)
    if not entry:
        raise RefusedError(key, entry, "the list is empty")
    return tuple(_code(part, kind, key) for part in entry)


def _code(entry: object, kind: Kind, key: str) -> int:
    if kind == "index":
        if type(entry) is not int or not 0 <= entry <= _MAX_INDEX:
            raise RefusedError(key, entry, f"masks are {kind}, so give a number of 0..{_MAX_INDEX} or a list of such")
        return entry
    color = None if entry is None else read_color(entry, key)
    if color is None or not all(0 <= part <= 255 for part in color):
        raise RefusedError(key, entry, f'masks are {kind}, so give a colour, [red, green, blue] of 0..255 or "#rrggbb"')
    return pack_color(color)


def _layout(entry: object, split: str, folder: Path) -> Layout:
    if not isinstance(entry, dict):
        raise RefusedError(split, entry, "give the folders as images: FOLDER and masks: FOLDER")
    refuse_unknown(entry, _SPLIT_KEYS | _PARTNER_KEYS, f"{split}.")
    texts = {}
    for key in _SPLIT_KEYS:
        value = entry.get(key, ".png" if key.endswith("suffix") else None)
        if not isinstance(value, str) or not value:
            raise RefusedError(f"{split}.{key}", value, "give a text" if key.endswith("suffix") else "give a folder")
        texts[key] = value
    for key in ("images", "masks"):
        texts[key] = resolved(texts[key], folder)
    for key in ("sar", "descriptions"):
        texts[key] = _partner_place(entry[key], f"{split}.{key}", folder) if key in entry else ""
    return Layout(
        images=texts["images"],
        masks=texts["masks"],
        image_suffix=texts["image_suffix"],
        mask_suffix=texts["mask_suffix"],
        sar=texts["sar"],
        sar_suffixes=_sar_suffixes(entry, split, texts["image_suffix"]),
        descriptions=texts["descriptions"],
    )


def _partner_place(value: object, key: str, folder: Path) -> str:
    if not isinstance(value, str) or not value:
        files = " of .txt files, or a file of JSON lines" if key.endswith("descriptions") else ""
        raise RefusedError(key, value, f"give a folder{files}")
    return resolved(value, folder)


def _sar_suffixes(entry: dict[str, Any], split: str, standard: str) -> tuple[str, ...]:
    """How SAR files end, one ending a file of each image; the images' own where the description does not say."""
    key, value = f"{split}.sar_suffix", entry.get("sar_suffix", standard)
    if "sar" not in entry:
        if "sar_suffix" in entry:
            raise RefusedError(key, value, f"it needs the folder, under {split}.sar")
        return ()
    suffixes = tuple(value) if isinstance(value, list) else (value,)
    if not suffixes or not all(isinstance(suffix, str) and suffix for suffix in suffixes) or len(set(suffixes)) < len(suffixes):
        raise RefusedError(key, value, "give a text, or a list of different ones, as [_VV.tif, _VH.tif]")
    return suffixes


def _parted(splits: dict[Split, Layout], entry: object) -> dict[Split, Layout]:
    """The folder under ``train`` as two splits: what ``hold_out`` names is ``val``."""
    if "val" in splits or "train" not in splits:
        raise RefusedError("hold_out", entry, "it parts the folder under train, so give train and no val")
    if not isinstance(entry, dict) or len(entry) != 1 or not set(entry) <= {"every", "names"}:
        raise RefusedError("hold_out", entry, "give every: N (each N-th image by name) or names: PATTERN, as in tile8_*")
    every, names = entry.get("every", 0), entry.get("names", "")
    if not isinstance(every, int) or isinstance(every, bool) or ("every" in entry and every < 2):
        raise RefusedError("hold_out.every", every, "give a whole number, 2 or more")
    if not isinstance(names, str) or ("names" in entry and not names):
        raise RefusedError("hold_out.names", names, "give a pattern of file names, as tile8_*")
    rule = HoldOut(every, names)
    return {split: replace(splits["train"], hold_out=rule, held=split == "val") for split in SPLITS}


def name_of(document: dict[str, Any], path: Path) -> str:
    """What the data set is registered by: its ``name``, or that of the file."""
    name = document.get("name", path.stem)
    if not isinstance(name, str) or not re.fullmatch(r"[\w-]+", name):
        raise RefusedError("name", name, "give letters, digits, underscores and hyphens, such as my_fields")
    return name


def text_of(document: dict[str, Any], key: str, standard: str) -> str:
    """The text under a key; ``standard`` where there is none."""
    value = document.get(key, standard)
    if not isinstance(value, str):
        raise RefusedError(key, value, "give a text")
    return value
