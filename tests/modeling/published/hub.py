"""A host of weights on this machine, as unreliable as the test wants it."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ovrs.modeling.published.entry import CLIP, PublishedWeights
from ovrs.modeling.published.transfer import Client

CLIENT = Client(schemes=("http",), token_hosts=("127.0.0.1",), timeout=20.0, tries=1, pause=0.0)

CONTENT = bytes(range(256)) * 12_000  # 3 MB, some blocks of a transfer
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def entry(address, **changes):
    """A row of the table for what lies there."""
    row = PublishedWeights(
        name="family/model",
        part="guidance",
        architecture="sam_vit_b",
        address=address,
        file="model.pth",
        licence="MIT",
        source="a paper",
        normalization=CLIP,
        size=224,
        patch=16,
        megabytes=3,
        sha256=SHA256,
    )
    return replace(row, **changes)


@dataclass
class Hub:
    """What lies at ``/file`` and how it is given.

    Attributes:
        content: the file.
        ranges: whether parts can be asked for.
        heeds: whether a part is given only of the version that was asked for.
        breaks_after: answers end after so many bytes, though the whole file was announced; each answer takes the next number.
        status: of every answer, where it is no file.
        stated: the sha256 that ``/linked`` states before it leads to the file on another host.
        asked: headers and paths of the requests, in their order.
    """

    content: bytes
    ranges: bool = True
    heeds: bool = True
    tag: bool = True
    breaks_after: list[int] = field(default_factory=list)
    status: int = 200
    stated: str = ""
    kind: str = "application/octet-stream"
    others: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hold: threading.Event | None = None

    def __enter__(self) -> Hub:
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return self._server.server_address[1]

    def address(self, path: str = "/file", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        hub = self.hub
        hub.asked.append((self.path, dict(self.headers)))
        if hub.hold:
            hub.hold.wait(20)
        if self.path == "/linked":  # as huggingface.co leads to the storage behind it
            self.answer(302, {"Location": hub.address(host="localhost"), "X-Linked-ETag": f'"{hub.stated}"'})
        elif self.path == "/elsewhere":
            self.answer(302, {"Location": "ftp://127.0.0.1/file"})
        elif hub.status != 200:
            self.answer(hub.status, {})
        elif self.path in hub.others:
            self.give(hub.others[self.path], 0)
        else:
            self.file()

    def file(self) -> None:
        hub, start = self.hub, 0
        wanted = self.headers.get("Range")
        if wanted and hub.ranges and (not hub.heeds or self.headers.get("If-Range") == self.etag()):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.give(hub.content, start)

    def etag(self) -> str:
        return f'"{hashlib.sha1(self.hub.content).hexdigest()}"'

    def give(self, content: bytes, start: int) -> None:
        headers = {"Content-Length": str(len(content) - start), "Content-Type": self.hub.kind}
        if self.hub.tag:
            headers["ETag"] = self.etag()
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        most = self.hub.breaks_after.pop(0) if self.hub.breaks_after else len(content)
        self.answer(206 if start else 200, headers, content[start : start + most])

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever refuses a file does not wait for it
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
