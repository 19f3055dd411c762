"""The errors ovrs raises on bad input: each names the thing, its value and the way out.

Commands turn any of them into one line on standard error and exit code 2; a library caller catches :class:`OvrsError`.
"""


class OvrsError(Exception):
    """Base of every error that a user can cause and mend."""


class InputError(OvrsError):
    """An image that is missing, empty, truncated, too large, or of a kind that cannot be segmented."""


class VocabularyError(OvrsError):
    """An empty vocabulary, a name given twice, or a vocabulary file that cannot be read."""


class ConfigError(OvrsError):
    """A configuration key that does not exist, or a value that cannot work."""


class WeightsError(OvrsError):
    """A weights file that is missing, unsafe to read, or does not fit the model."""


class OutputError(OvrsError):
    """An output folder or file that cannot be written."""


class DataError(OvrsError):
    """A data set that is unknown, absent, or whose labels and classes disagree."""
