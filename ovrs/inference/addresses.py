"""What names an image: a file on this computer, or an address elsewhere, which is read only where that is allowed."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from ovrs.errors import InputError

# Where GDAL reads each kind of address.
_SCHEMES = {"http": "/vsicurl/http://", "https": "/vsicurl/https://", "s3": "/vsis3/", "gs": "/vsigs/"}
# Two letters at least, for a drive has one. A Path makes one slash of two.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/{1,2}")
_VIRTUAL = re.compile(r"/vsi[a-z0-9_]*/")


@dataclass(frozen=True)
class Remote:
    """An image that is not a plain file here.

    Attributes:
        address: ``https://``, ``http://``, ``s3://``, ``gs://``, or one of GDAL's virtual paths, as ``/vsicurl/...``.
    """

    address: str

    @property
    def virtual_path(self) -> str:
        """What GDAL opens."""
        scheme, _, rest = self.address.partition("://")
        return _SCHEMES[scheme] + rest if rest else self.address

    @property
    def is_virtual(self) -> bool:
        """Whether it was given as one of GDAL's virtual paths."""
        return self.address.startswith("/")

    @property
    def name(self) -> str:
        """The last part, without a query."""
        name = PurePosixPath(urlsplit(self.address).path).name
        return "remote" if name in ("", "..") else name

    @property
    def stem(self) -> str:
        """The same without its suffix."""
        return PurePosixPath(self.name).stem

    def __str__(self) -> str:
        """The address without what may be secret: a query, which signs some addresses, and a name with its password."""
        return re.sub(r"//[^/@]*@", "//", self.address.partition("?")[0])


# What names an image.
Location = Path | Remote


def locate(image: str | os.PathLike[str] | Remote, allow_remote: bool = False) -> Location:
    """What a text or path names. Nothing is opened.

    Raises:
        InputError: an address or virtual path where that is not allowed, or an address of another kind.
    """
    text = image.address if isinstance(image, Remote) else os.fspath(image)
    if _VIRTUAL.match(text):
        remote = Remote(text)
    elif (found := _ADDRESS.match(text)) is not None:
        scheme = found[1].lower()
        if scheme not in _SCHEMES:
            raise InputError(f"{text}: addresses of {scheme}:// are not read; there are {', '.join(_SCHEMES)}, and plain files")
        remote = Remote(f"{scheme}://{text[found.end() :]}")
    else:
        return Path(text)
    if not allow_remote:
        raise InputError(f"{remote}: is no file here; what lies elsewhere is read only with --allow-remote (allow_remote=True)")
    return remote


def version_of(location: Location | None) -> str:
    """What tells one state of an image from another: its place, size and time of change; of a remote one the address alone."""
    if location is None or isinstance(location, Remote):
        return str(location)
    try:
        stat = location.stat()
    except OSError:
        return str(location.absolute())
    return f"{location.resolve()}, {stat.st_size} bytes of {stat.st_mtime_ns}"
