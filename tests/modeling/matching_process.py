"""One process of several that match images with their texts; imports little, so that it starts quickly."""

from datetime import timedelta

import torch
import torch.distributed as dist

from ovrs.modeling.blocks.image_text_matching import ImageTextMatching
from ovrs.modeling.blocks.pair_queue import PairQueue


def batches():
    """The block, and two batches of four pairs, the same in every process; a prompt of each batch is one of the other's too.

    The first process has one prompt alone in the second: its negatives are the other's, and those of the queue.
    """
    torch.manual_seed(1)
    block = ImageTextMatching(dim=8, queue=PairQueue(size=5, length=6, dim=8), heads=2)
    found = []
    for prompts in ([1, 2, 1, 3], [4, 4, 2, 1]):
        lengths = torch.tensor([6, 3, 4, 2])
        mask = torch.arange(6) < lengths[:, None]
        found.append((torch.randn(4, 5, 8), torch.randn(4, 6, 8), mask, torch.tensor(prompts)))
    return block, found


def take_part(rank, meeting):
    """As one of two processes, with two of the four pairs: losses of the second batch, averaged gradients, and the queue."""
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=timedelta(seconds=200))
    try:
        block, found = batches()
        mine = slice(2 * rank, 2 * rank + 2)
        for batch in found:
            block.zero_grad()
            matching = block(*(part[mine] for part in batch))
            matching.loss.backward()
        matched = matching.matched.detach().clone()
        dist.all_reduce(matched)
        for parameter in block.parameters():
            dist.all_reduce(parameter.grad)
        gradients = {name: parameter.grad / 2 for name, parameter in block.named_parameters()}
        return matching.contrast.detach(), matched / 2, gradients, dict(block.queue.named_buffers())
    finally:
        dist.destroy_process_group()
