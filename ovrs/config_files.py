"""Files of configurations: which one a name means, and single keys of it. Imports no torch, as Detectron2's reader does."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from ovrs.errors import ConfigError


def find_config(config_file: str) -> str:
    """The path of a configuration named by path or by a bare name (``mini``, ``mini/aeroseg``).

    Raises:
        ConfigError: there is none of that name.
    """
    if os.path.isfile(config_file):
        return config_file
    folder = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")
    name = "mini/aeroseg" if config_file == "mini" else config_file
    for candidate in (os.path.join(folder, name), os.path.join(folder, f"{name}.yaml")):
        if os.path.isfile(candidate):
            return candidate
    raise ConfigError(f"configuration {config_file!r} not found, neither as a file nor under {folder}")


def refuse_aliases(path: str, above: tuple[str, ...] = ()) -> None:
    """Look at a file and those it names as _BASE_: a few aliases of YAML can stand for endless text, and none is needed."""
    if path in above:
        raise ConfigError(f"{path}: names itself as _BASE_, by way of {' and '.join(above)}")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise ConfigError(f"{path}: aliases of YAML (*name) are not read; write out what they stand for")
    for base in _bases(path, yaml.safe_load(text)):
        refuse_aliases(base, (*above, path))


def read_keys(config_file: str, options: Sequence[Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Some keys of a configuration, as :func:`ovrs.config.load_config` would read them; all others go unchecked.

    Args:
        config_file, options: see there.
        defaults: the keys asked for, as ``DATASETS.CLIMATE.BANK``, with the values that they have unless set.

    Raises:
        ConfigError: the file does not exist or is no YAML.
    """
    path = find_config(config_file)
    try:
        refuse_aliases(path)
        document = _merged(path)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as plain YAML: {error}") from error
    given = {str(key): value for key, value in zip(options[::2], options[1::2], strict=False)}
    return {key: _value(given.get(key, _at(document, key, default)), default) for key, default in defaults.items()}


def _bases(path: str, document: object) -> list[str]:
    """The files that one names as ``_BASE_``."""
    bases = document.get("_BASE_", []) if isinstance(document, dict) else []
    folder = os.path.dirname(path)
    return [
        os.path.normpath(os.path.join(folder, os.path.expanduser(str(base))))
        for base in (bases if isinstance(bases, list) else [bases])
    ]


def _merged(path: str) -> dict[str, Any]:
    """A file over those that it names as ``_BASE_``."""
    document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    document = document if isinstance(document, dict) else {}
    below: dict[str, Any] = {}
    for base in _bases(path, document):
        _lay(_merged(base), below)
    _lay(document, below)
    return below


def _lay(upper: Mapping[str, Any], lower: dict[str, Any]) -> None:
    """Lay one document over another, in place."""
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(lower.get(key), dict):
            _lay(value, lower[key])
        else:
            lower[key] = value


def _at(document: Any, key: str, default: Any) -> Any:
    for part in key.split("."):
        if not isinstance(document, dict) or part not in document:
            return default
        document = document[part]
    return document


def _value(value: Any, default: Any) -> Any:
    """A text of YAML or of the command line stands for what it says in Python; of the kind that the default is."""
    if isinstance(value, str):
        with suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value)
    if isinstance(default, tuple) and isinstance(value, list):
        return tuple(value)
    return value
