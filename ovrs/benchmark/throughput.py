"""How many images a second a system segments when nothing waits for anything else: reading, copying and computing overlap."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data.detection_utils import read_image
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ovrs.benchmark.clock import clock
from ovrs.data.scenes import draw_scene
from ovrs.files import written_whole
from ovrs.modeling.segmentation_model import SegmentationModel
from ovrs.vocabulary import Vocabulary

# Images [B, 3, H, W] in 0..255, on the model's device -> maps [B, h, w] of class numbers.
Score = Callable[[Tensor], Tensor]
# Different drawn images; more only take longer to draw.
_DRAWN = 8
# Batches whose maps may still be on their way when the next one is begun.
_AHEAD = 2


class ImageFiles(Dataset[Tensor]):
    """Files read over and over until ``count`` images have been read: uint8 [3, H, W], all of one size."""

    def __init__(self, files: Sequence[Path], count: int) -> None:
        self.files, self.count = list(files), count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        """Decode the file."""
        image = read_image(str(self.files[index % len(self.files)]), "RGB")
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def draw_images(folder: Path, size: int) -> list[Path]:
    """A few drawn images of ``size`` x ``size`` pixels as JPEG files, made unless they are there."""
    files = [folder / f"image_{size}_{seed}.jpg" for seed in range(_DRAWN)]
    for seed, path in enumerate(files):
        if not path.exists():
            with written_whole(path) as temporary:
                Image.fromarray(draw_scene(seed, size=size).image).save(temporary, quality=95)
    return files


def reader(files: Sequence[Path], images: int, batch: int, workers: int, device: torch.device) -> DataLoader[Tensor]:
    """Whole batches of ``batch`` out of ``images`` images, read by processes ahead of time; pinned where there is a GPU."""
    return DataLoader(
        ImageFiles(files, images),
        batch_size=batch,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        drop_last=True,
        prefetch_factor=4 if workers else None,
    )


def on_device(batches: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """The batches on the device; on a GPU the next one is copied, on a stream of its own, while this one is computed."""
    if device.type != "cuda":
        yield from (batch.to(device) for batch in batches)
        return
    copying = torch.cuda.Stream(device)
    waiting: tuple[Tensor, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            coming = (batch.to(device, non_blocking=True), copying.record_event())
        if waiting is not None:
            yield _arrived(*waiting)
        waiting = coming
    if waiting is not None:
        yield _arrived(*waiting)


def _arrived(batch: Tensor, copied: torch.cuda.Event) -> Tensor:
    """The batch, for what is asked of the GPU from now on: the GPU waits for the copy, this process does not."""
    computing = torch.cuda.current_stream(batch.device)
    computing.wait_event(copied)
    batch.record_stream(computing)
    return batch


def score_of(model: SegmentationModel[Any], vocabulary: Vocabulary, *, channels_last: bool = False) -> Score:
    """What is done with a batch; the words are read now."""
    with torch.no_grad(), model.autocast():
        text = model.text_of(vocabulary)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    @torch.no_grad()
    def score(images: Tensor) -> Tensor:
        images = images.to(torch.float32, memory_format=layout)
        return model.scores_of(images, text, vocabulary).argmax(dim=1).to(torch.int16)

    return score


def as_graph(score: Score, images: Tensor) -> Score:
    """``score`` as one CUDA graph, replayed for batches of the shape of ``images``; a map is overwritten by the next batch."""
    given = images.clone()
    aside = torch.cuda.Stream(images.device)
    aside.wait_stream(torch.cuda.current_stream(images.device))
    with torch.cuda.stream(aside):  # what is made once, and kept, must be there before the graph is
        for _ in range(3):
            score(given)
    torch.cuda.current_stream(images.device).wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = score(given)

    def replay(images: Tensor) -> Tensor:
        given.copy_(images, non_blocking=True)
        graph.replay()
        return answer

    return replay


@dataclass(frozen=True)
class Loop:
    """What came of a loop over batches.

    Attributes:
        images: how many were segmented.
        seconds: from the first batch's asking to the last map's arrival.
    """

    images: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Images a second."""
        return self.images / self.seconds


def segment_all(score: Score, batches: Iterable[Tensor], device: torch.device, keep: Callable[[Tensor], object]) -> Loop:
    """Segment the batches and give their maps, on the CPU, to ``keep``.

    On a GPU this process runs ahead of it by a few batches, and waits for nothing but maps that were asked for before that.
    """
    coming: deque[tuple[Tensor, torch.cuda.Event | None]] = deque()

    def receive() -> None:
        maps, copied = coming.popleft()
        if copied is not None:
            copied.synchronize()
        keep(maps)

    images, start = 0, clock()
    for batch in on_device(batches, device):
        coming.append(_sent(score(batch)))
        images += len(batch)
        if len(coming) > _AHEAD:
            receive()
    while coming:
        receive()
    return Loop(images, clock() - start)


def _sent(maps: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Maps on their way to the CPU, and what tells that they have arrived."""
    if maps.device.type != "cuda":
        return maps, None
    target = torch.empty(maps.shape, dtype=maps.dtype, pin_memory=True)
    target.copy_(maps, non_blocking=True)
    return target, torch.cuda.current_stream(maps.device).record_event()


@contextlib.contextmanager
def no_synchronisation() -> Iterator[None]:
    """An operation that makes this process wait for the GPU is an error in this context."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@contextlib.contextmanager
def profiled(folder: Path, device: torch.device) -> Iterator[None]:
    """Write ``trace.json`` (chrome://tracing, Perfetto) and ``profile.txt``, operators by their time, of this context.

    Raises:
        OutputError: a file cannot be written.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    order = "self_cpu_time_total"
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
        order = "self_cuda_time_total"
    with torch.profiler.profile(activities=activities) as profile:
        yield
    with written_whole(folder / "trace.json") as temporary:
        profile.export_chrome_trace(str(temporary))
    with written_whole(folder / "profile.txt") as temporary:
        temporary.write_text(profile.key_averages().table(sort_by=order, row_limit=40))
