"""Vocabulary files: a class a line (SegEarth's form), a JSON list (CAT-Seg's form), and YAML or JSON with everything."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from ovrs.errors import OutputError, VocabularyError
from ovrs.files import written_whole
from ovrs.vocabulary import Background, Vocabulary, VocabularyClass, class_from_words, cleaned, shortened

_PRESETS = Path(__file__).parent / "presets"
_CLASS_KEYS = {"name", "synonyms", "color", "seen", "threshold"}
# "purpose" is for people: what the list is for.
_FILE_KEYS = {"classes", "background", "synonyms", "description", "purpose"}
_BACKGROUND_KEYS = {"policy", "words", "threshold"}
# No vocabulary is larger; what is larger takes YAML long to read [bytes].
_MAX_SIZE = 2 * 2**20


def read_vocabulary(path: str | os.PathLike[str]) -> Vocabulary:
    """Read ``.txt``, ``.json``, ``.yaml`` or ``.yml``; see :meth:`ovrs.vocabulary.Vocabulary.read`."""
    readers = {".txt": _from_text, ".json": _from_json, ".yaml": _from_yaml, ".yml": _from_yaml}
    path = Path(path)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise VocabularyError(f"{path}: a vocabulary file ends in .txt, .json or .yaml, not {path.suffix!r}")
    try:
        # utf-8-sig: editors on Windows begin a text file with a byte-order mark, which must not become part of a name.
        with open(path, "rb") as file:
            content = file.read(_MAX_SIZE + 1)
        if len(content) > _MAX_SIZE:
            raise VocabularyError(f"is larger than {_MAX_SIZE / 2**20:g} MiB, so it is hardly a vocabulary")
        return reader(content.decode(encoding="utf-8-sig"))
    except OSError as error:
        raise VocabularyError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise VocabularyError(f"{path}: is no UTF-8 text") from error
    except VocabularyError as error:
        raise VocabularyError(f"{path}: {error}") from error
    except RecursionError as error:
        raise VocabularyError(f"{path}: is nested too deeply to be a vocabulary") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: JSON's own, and dates and numbers that are none
        raise VocabularyError(f"{path}: is not valid {path.suffix[1:].upper()}: {' '.join(str(error).split())}") from error


def presets() -> dict[str, str]:
    """The ready vocabularies: what each is for, by name."""
    files = sorted(_PRESETS.glob("*.yaml"))
    return {file.stem: str(yaml.safe_load(file.read_text(encoding="utf-8"))["purpose"]) for file in files}


def read_preset(name: str) -> Vocabulary:
    """A ready vocabulary.

    Raises:
        VocabularyError: there is none of that name.
    """
    if name not in presets():
        raise VocabularyError(f"there is no preset {name!r}; there are {', '.join(presets())}")
    return read_vocabulary(_PRESETS / f"{name}.yaml")


def write_vocabulary(vocabulary: Vocabulary, path: str | os.PathLike[str]) -> None:
    """Write the YAML or JSON form under a temporary name, then rename it into place."""
    path = Path(path)
    if path.suffix.lower() not in (".yaml", ".yml", ".json"):
        raise VocabularyError(f"{path}: a vocabulary is written as .yaml or .json")
    document: dict[str, Any] = {"classes": [_class_to_entry(cls) for cls in vocabulary.classes]}
    if vocabulary.description:
        document["description"] = vocabulary.description
    if vocabulary.synonyms != "max":
        document["synonyms"] = vocabulary.synonyms
    background = vocabulary.background
    if background != Background():
        document["background"] = {"policy": background.policy, "threshold": background.threshold}
        if background.words:
            document["background"]["words"] = list(background.words)
    if path.suffix.lower() == ".json":
        text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    try:
        with written_whole(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OutputError as error:
        raise VocabularyError(str(error)) from error


def _from_text(text: str) -> Vocabulary:
    lines = (line.strip() for line in text.splitlines())
    return Vocabulary(tuple(class_from_words(line, r"[,|]") for line in lines if line and not line.startswith("#")))


def _from_json(text: str) -> Vocabulary:
    return _from_document(json.loads(text))


class _PlainLoader(yaml.SafeLoader):
    """YAML without anchors, aliases and tags: a vocabulary needs none, and a few aliases can stand for endless text."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Called for every node."""
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            problem = "anchors (&), aliases (*) and tags (!) are not read; put words that begin so in quotes"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)


def _from_yaml(text: str) -> Vocabulary:
    return _from_document(yaml.load(text, _PlainLoader))


def _from_document(document: object) -> Vocabulary:
    if isinstance(document, list):
        document = {"classes": document}
    if not isinstance(document, dict) or not isinstance(document.get("classes"), list):
        raise VocabularyError("a vocabulary is a list of classes, or has one under 'classes'")
    _refuse_unknown(document, _FILE_KEYS, "the file")
    classes = tuple(class_from_entry(entry) for entry in document["classes"])
    background = _background_from_entry(document.get("background"))
    description = "" if document.get("description") is None else document["description"]
    return Vocabulary(classes, background, document.get("synonyms", "max"), description)


def class_from_entry(entry: object) -> VocabularyClass:
    """A class as YAML gives it: its words in one text, or a mapping with ``name`` and perhaps the other fields of a class.

    Raises:
        VocabularyError: it is neither, or a value in it cannot be.
    """
    if isinstance(entry, str):
        return class_from_words(entry, r"[,|]")
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise VocabularyError(
            f"{shortened(entry)} is no class: give a name, or a mapping with 'name' (quote it if YAML reads it as no text)"
        )
    name = cleaned(entry["name"], "a class")
    _refuse_unknown(entry, _CLASS_KEYS, f"class {name!r}")
    seen = entry.get("seen", True)
    if not isinstance(seen, bool):
        raise VocabularyError(f"class {name!r}: 'seen' is true or false, not {shortened(seen)}")
    owner = f"class {name!r}"
    threshold = None if entry.get("threshold") is None else _share(entry["threshold"], f"{owner}: the threshold")
    return VocabularyClass(name, _words(entry.get("synonyms"), owner), read_color(entry.get("color"), owner), seen, threshold)


def _background_from_entry(entry: object) -> Background:
    if entry is None:
        return Background()
    if isinstance(entry, str):
        entry = {"policy": entry}
    if not isinstance(entry, dict):
        raise VocabularyError(f"'background' is a policy or a mapping, not {shortened(entry)}")
    _refuse_unknown(entry, _BACKGROUND_KEYS, "the background")
    threshold = _share(entry.get("threshold", Background.threshold), "the background threshold")
    return Background(entry.get("policy", "none"), _words(entry.get("words"), "the background"), threshold)


def _share(value: object, owner: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise VocabularyError(f"{owner} is a number of 0..1, not {shortened(value)}")
    return float(value)


def _words(value: object, owner: str) -> tuple[str, ...]:
    words = [] if value is None else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise VocabularyError(f"{owner}: words are given as a list of texts, not {shortened(value)}")
    return tuple(words)


def read_color(entry: object, owner: str) -> tuple[int, int, int] | None:
    """``[r, g, b]`` or ``"#rrggbb"``; None stays None.

    Raises:
        VocabularyError: it is none of these; ``owner`` says whose colour it is.
    """
    if entry is None:
        return None
    value = entry
    if isinstance(value, str):
        try:
            value = list(bytes.fromhex(value.removeprefix("#")))
        except ValueError:
            value = []
    if not isinstance(value, list) or len(value) != 3 or not all(type(part) is int for part in value):
        raise VocabularyError(f'{owner}: a colour is [red, green, blue] of 0..255 or "#rrggbb", not {shortened(entry)}')
    return value[0], value[1], value[2]


def _class_to_entry(cls: VocabularyClass) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": cls.name}
    if cls.synonyms:
        entry["synonyms"] = list(cls.synonyms)
    if cls.color is not None:
        entry["color"] = list(cls.color)
    if not cls.seen:
        entry["seen"] = False
    if cls.threshold is not None:
        entry["threshold"] = cls.threshold
    return entry


def _refuse_unknown(mapping: dict[Any, Any], known: set[str], owner: str) -> None:
    unknown = sorted(str(key) for key in mapping if key not in known)
    if unknown:
        raise VocabularyError(f"{owner}: unknown key {shortened(', '.join(unknown))}; there are {', '.join(sorted(known))}")
