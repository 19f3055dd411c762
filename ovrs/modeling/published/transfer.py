"""One file over HTTPS: resumed where it broke off, never more than was announced, secrets only to the host they are for."""

from __future__ import annotations

import errno
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from tqdm import tqdm

from ovrs.errors import OutputError, WeightsError
from ovrs.files import written_whole

BLOCK = 1 << 20


class _BrokenOffError(Exception):
    """The connection ended before the file did."""


@dataclass(frozen=True)
class _Kept:
    """What is noted of an unfinished file."""

    address: str = ""
    validator: str = ""  # what the server calls this version of the file
    total: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Client:
    """How files are asked for.

    Attributes:
        schemes: of addresses, and of those that they lead to.
        token_hosts: which see ``HF_TOKEN``, and are believed when they lead to a file and state its sha256.
        timeout: seconds without an answer.
        tries: how often a connection that breaks off is taken up again.
        pause: seconds before that.
    """

    schemes: tuple[str, ...] = ("https",)
    token_hosts: tuple[str, ...] = ("huggingface.co",)
    timeout: float = 60.0
    tries: int = 4
    pause: float = 2.0

    def receive(self, address: str, part: Path, *, limit: int, progress: bool = False) -> str:
        """Write what lies at an address to ``part``, going on with what is there of the same version.

        Args:
            address: of the file.
            part: where to write; it stays when the transfer breaks off.
            limit: bytes; a larger file is refused.
            progress: show a bar.

        Returns:
            the sha256 that the host states of the file; "" where it states none.

        Raises:
            WeightsError: no network, a refusal, an address that is not allowed, or a file that is too large.
            OutputError: ``part`` cannot be written, or the disk is too small.
        """
        broken = ""
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause)
            try:
                return self._receive(address, part, limit, progress)
            except _BrokenOffError as error:
                broken = str(error)
        raise WeightsError(f"{address}: {broken}; run it again to go on from there")

    def allow(self, address: str) -> None:
        """Refuse addresses of other schemes."""
        scheme = urlsplit(address).scheme
        if scheme not in self.schemes:
            raise WeightsError(f"{address}: {scheme}:// is not allowed here, only {' or '.join(self.schemes)}")

    def trusts(self, address: str) -> bool:
        """Whether a host sees the token."""
        parts = urlsplit(address)
        return parts.hostname in self.token_hosts and parts.scheme in self.schemes

    def _receive(self, address: str, part: Path, limit: int, progress: bool) -> str:
        kept = _read_note(part)
        have = part.stat().st_size if part.is_file() else 0
        if kept.address != address or not kept.validator:
            have = 0
        if have and have == kept.total:
            return kept.sha256
        request = urllib.request.Request(address, headers={"User-Agent": "ovrs", "Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
            request.add_header("If-Range", kept.validator)
        redirects = _Redirects(self)
        with self._open(request, redirects, have, part) as response:
            start, total = _extent(response.status, response.headers, have)
            _refuse_pages(address, response.headers)
            if start and _validator(response.headers) not in ("", kept.validator):  # some hosts do not heed If-Range
                part.unlink()
                raise _BrokenOffError("the file at the address has changed")
            if total > limit:
                raise WeightsError(
                    f"{address}: {total:,} bytes announced, at most {limit:,} expected; the file has been changed"
                )
            if not start:
                part.unlink(missing_ok=True)  # or the note would be of another version than what is here
            noted = _Kept(address, _validator(response.headers), total, redirects.sha256)
            _write_note(part, noted)
            _make_room(part, total - start)
            self._copy(response, part, start, total, limit, progress)
        return noted.sha256

    def _open(self, request: urllib.request.Request, redirects: _Redirects, have: int, part: Path) -> Any:
        address = request.full_url
        self.allow(address)
        redirects.authorize(request)
        try:
            return urllib.request.build_opener(redirects).open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416 and have:  # what is here is no beginning of what is there
                part.unlink(missing_ok=True)
                raise _BrokenOffError("the file at the address has changed") from error
            if error.code >= 500 or error.code == 429:
                raise _BrokenOffError(f"the server answers {error.code}") from error
            raise WeightsError(f"{address}: {_refusal(error.code, address)}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            if have:
                raise _BrokenOffError(f"{reason}, after {have / 1e6:,.0f} MB") from error
            raise WeightsError(f"{address}: not reached ({reason})") from error

    def _copy(self, response: IO[bytes], part: Path, start: int, total: int, limit: int, progress: bool) -> None:
        got = start
        with (
            _written(part, "ab" if start else "wb") as file,
            tqdm(
                total=total or None,
                initial=start,
                desc=part.name.removesuffix(".part"),
                unit="B",
                unit_scale=True,
                disable=None if progress else True,
            ) as bar,
        ):
            while True:
                try:
                    block = response.read(BLOCK)
                except (OSError, http.client.HTTPException) as error:
                    raise _BrokenOffError(f"broken off after {got / 1e6:,.1f} MB ({error})") from error
                if not block:
                    break
                got += len(block)
                if got > (total or limit):
                    raise WeightsError(f"{part}: more than the {total or limit:,} bytes that were expected")
                _put(file, block, part)
                bar.update(len(block))
        if got < total:
            raise _BrokenOffError(f"broken off after {got / 1e6:,.1f} of {total / 1e6:,.1f} MB")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to allowed schemes, gives the token to its own hosts alone, and reads the sha256 that they state."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sha256 = ""

    def authorize(self, request: urllib.request.Request) -> None:
        """Add the token for a host that it is for; urllib never takes such headers along to another address."""
        token = os.environ.get("HF_TOKEN", "").strip()
        if token and self.client.trusts(request.full_url):
            request.add_unredirected_header("Authorization", f"Bearer {token}")

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request for the next address."""
        self.client.allow(newurl)
        stated = headers.get("X-Linked-ETag", "").strip('"')
        if self.client.trusts(req.full_url) and re.fullmatch("[0-9a-f]{64}", stated):
            self.sha256 = stated
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            self.authorize(following)
        return following


def _refusal(code: int, address: str) -> str:
    hub = re.match(r"https://huggingface\.co/(.+?)/resolve/", address)
    if code in (401, 403) and hub:
        return (
            f"refused ({code}); its owner may want a licence accepted: do so at https://huggingface.co/{hub[1]}, make a token "
            "that reads (https://huggingface.co/settings/tokens) and set HF_TOKEN to it"
        )
    if code in (401, 403):
        return f"refused ({code})"
    return f"not there ({code}); it may have been moved" if code in (404, 410) else f"the server answers {code}"


def _extent(status: int, headers: Mapping[str, str], have: int) -> tuple[int, int]:
    """At which byte the answer begins, and how many the whole file has (0 = not said)."""
    if status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
        if not found or int(found[1]) != have:
            raise WeightsError(f"the server sends another part than was asked for ({headers.get('Content-Range')})")
        return have, int(found[2])
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else 0


def _refuse_pages(address: str, headers: Mapping[str, str]) -> None:
    if headers.get("Content-Type", "").startswith("text/html"):
        raise WeightsError(f"{address}: answers with a web page and not with a file; does this network want a login?")


def _validator(headers: Mapping[str, str]) -> str:
    tag = headers.get("ETag", "")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified", "")


def _make_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        raise OutputError(
            f"{part.parent}: {needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free; make room, or set OVRS_CACHE"
        )


def _written(part: Path, mode: str) -> IO[bytes]:
    try:
        return open(part, mode)
    except OSError as error:
        raise OutputError(f"{part}: cannot be written: {error.strerror or error}") from error


def _put(file: IO[bytes], block: bytes, part: Path) -> None:
    try:
        file.write(block)
        file.flush()
    except OSError as error:
        way_out = "; make room, or set OVRS_CACHE to another folder, and run it again" if error.errno == errno.ENOSPC else ""
        raise OutputError(f"{part}: cannot be written: {error.strerror or error}{way_out}") from error


def note_of(part: Path) -> Path:
    """Where it is noted what an unfinished file is a part of."""
    return part.with_name(f"{part.name}.json")


def _write_note(part: Path, kept: _Kept) -> None:
    with written_whole(note_of(part)) as temporary:
        temporary.write_text(json.dumps(kept.__dict__), encoding="utf-8")


def _read_note(part: Path) -> _Kept:
    try:
        return _Kept(**json.loads(note_of(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return _Kept()
