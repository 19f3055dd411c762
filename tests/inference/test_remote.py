"""Images elsewhere: read in windows where that is allowed, refused without a request where it is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch
from rasterio.shutil import copy as copy_raster

from ovrs.errors import InputError
from ovrs.inference.addresses import Remote, locate
from ovrs.inference.opening import open_scene
from ovrs.inference.reading import ReadOptions
from ovrs.inference.segmenter import Segmenter
from ovrs.inference.sources import list_sources
from ovrs.inference.tiles import Tiling

Writer = Callable[..., Path]
ALLOWED = ReadOptions(allow_remote=True)


class Brightness:
    """A model that costs nothing: two classes by how bright a cell is."""

    tiling = Tiling(tile=64, overlap=0.25, patch=16, per_patch=4)
    batch = 1

    def score(self, tiles: torch.Tensor, vocabulary: Any) -> torch.Tensor:
        bright = torch.nn.functional.avg_pool2d(tiles.float().mean(dim=1, keepdim=True) / 255, 4)
        return torch.cat([bright, 1 - bright], dim=1)


class Server:
    """Serves a folder with byte ranges, and remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.requests: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                server.requests.append(f"{self.command} {self.path} {self.headers.get('Range', '')}")
                file = folder / self.path.partition("?")[0].lstrip("/")
                if not file.is_file():
                    self.send_error(404)
                    return
                body = file.read_bytes()
                found = re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                self.send_response(206 if found else 200)
                if found:
                    first, last = int(found[1]), min(int(found[2]), len(body) - 1)
                    self.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
                    body = body[first : last + 1]
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    server = Server(folder)
    thread = Thread(target=server.http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()
        thread.join()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with serving(tmp_path) as server:
        yield server


def scene_file(write_tiff: Writer, name: str = "scene.tif") -> Path:
    draw = np.random.default_rng(0).integers(1, 256, (3, 100, 120), dtype=np.uint8)
    draw = np.kron(draw, np.ones((1, 8, 8), dtype=np.uint8))
    draw[:, :160, :200] = 0
    plain = write_tiff(draw, "plain.tif", nodata=0)
    copy_raster(plain, plain.with_name(name), driver="COG", blocksize=256, compress="deflate")
    return plain.with_name(name)


@pytest.mark.parametrize("gsd", [None, 1.0], ids=["own grid", "another grid"])
def test_an_address_gives_what_the_file_gives(write_tiff: Writer, server: Server, gsd: float | None, tmp_path: Path) -> None:
    path = scene_file(write_tiff)
    segmenter = Segmenter(Brightness())
    local = segmenter.segment(path, "bright, dark", options=ReadOptions(gsd=gsd))
    options = ReadOptions(gsd=gsd, allow_remote=True)
    remote = segmenter.segment(
        f"{server.address}/scene.tif?signed=secret", "bright, dark", options=options, output=tmp_path / "out.tif"
    )
    assert np.array_equal(remote.labels, local.labels) and np.array_equal(remote.confidence, local.confidence, equal_nan=True)
    assert remote.place.transform == local.place.transform and remote.areas() == local.areas()
    assert remote.place.path is not None and remote.place.path.name == "scene.tif" and "secret" not in str(remote.place.path)
    # Ranges of the file, and nothing beside it.
    assert server.requests and {request.split()[1] for request in server.requests} == {"/scene.tif?signed=secret"}
    assert all("bytes=" in request for request in server.requests if request.startswith("GET"))


def test_batches_take_addresses_and_name_their_results_by_them(write_tiff: Writer, server: Server, tmp_path: Path) -> None:
    scene_file(write_tiff)
    address = f"{server.address}/scene.tif?a=[1]*"
    sources = list_sources([address, address, str(tmp_path / "pl*.tif")], ALLOWED)
    assert [(source.stem, source.has_crs) for source in sources] == [("scene", True), ("plain", True)]
    assert sources[0].path == Remote(address) and sources[0].results[0] == "scene.classes.tif"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:{port}/scene.tif",
        "HTTP://127.0.0.1:{port}/scene.tif",
        Path("http://127.0.0.1:{port}/scene.tif"),
        "/vsicurl/http://127.0.0.1:{port}/scene.tif",
        "/vsizip/vsicurl/http://127.0.0.1:{port}/scene.zip",
        "s3://bucket/scene.tif",
        "zip://scene.zip!scene.tif",
        "ftp://127.0.0.1/scene.tif",
        Remote("http://127.0.0.1:{port}/scene.tif"),
    ],
    ids=str,
)
def test_without_leave_nothing_is_asked_for(write_tiff: Writer, server: Server, address: Any) -> None:
    scene_file(write_tiff)
    port = server.http.server_port
    if isinstance(address, Remote):
        address = Remote(address.address.format(port=port))
    else:
        address = type(address)(str(address).format(port=port))
    for refused in (lambda: open_scene(address), lambda: list_sources([str(address)])):
        with pytest.raises(InputError, match="--allow-remote|are not read"):
            refused()
    assert server.requests == []


def test_what_lies_beside_a_file_makes_no_requests(write_tiff: Writer, server: Server, tmp_path: Path) -> None:
    path = scene_file(write_tiff)
    plain = tmp_path / "plain.tif"
    plain.with_suffix(".tif.aux.xml").write_text(
        f'<PAMDataset><Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">/vsicurl/{server.address}/scene.tif</MDI>'
        "</Metadata></PAMDataset>"
    )
    with open_scene(plain) as scene, open_scene(path) as same:
        assert np.array_equal(scene.reduced((40, 60)).shape, same.reduced((40, 60)).shape)
    assert server.requests == []


def test_what_cannot_be_reached_or_is_no_geotiff_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "page.tif").write_text("<html>not found</html>")
    (tmp_path / "list.vrt").write_text("<VRTDataset rasterXSize='5' rasterYSize='5'></VRTDataset>")
    for name in ("absent.tif", "page.tif", "list.vrt"):
        address = f"{server.address}/{name}?key=secret"
        with pytest.raises(InputError, match=rf"{name}: cannot be reached, or is no whole GeoTIFF") as caught:
            open_scene(address, ALLOWED)
        assert "secret" not in str(caught.value)


def test_addresses_are_taken_apart() -> None:
    assert locate("s3://bucket/a/b.tif", True).virtual_path == "/vsis3/bucket/a/b.tif"
    assert locate("gs://bucket/b.tif", True).virtual_path == "/vsigs/bucket/b.tif"
    assert locate(Path("https://host/a/b.tif"), True) == Remote("https://host/a/b.tif")
    remote = locate("https://user:word@host/a/b.v2.tif?x=1", True)
    assert (remote.name, remote.stem, str(remote)) == ("b.v2.tif", "b.v2", "https://host/a/b.v2.tif")
    assert remote.virtual_path == "/vsicurl/https://user:word@host/a/b.v2.tif?x=1"
    assert Remote("https://host").name == "remote" and Remote("https://host/..").stem != ".."
    for plain in ("a.tif", "C:\\a.tif", "./http/a.tif", "/data/vsicurl/a.tif", "<VRTDataset/>"):
        assert locate(plain) == Path(plain)
