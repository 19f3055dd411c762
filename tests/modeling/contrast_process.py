"""One process of several that contrast scenes with their descriptions; imports little, so that it starts quickly."""

from datetime import timedelta

import torch
import torch.distributed as dist

from ovrs.modeling.blocks.contrastive import SceneContrast


def batch():
    """The block, and four images of which one has no description: the same in every process."""
    torch.manual_seed(1)
    maps = [torch.randn(4, 4, 4, 6), torch.randn(4, 6, 2, 3)]
    return SceneContrast(dims=[4, 6], text_dim=5, dim=8), maps, torch.randn(4, 5), torch.tensor([True, False, True, True])


def take_part(rank, meeting):
    """As one of two processes, with two of the four images: the loss, and the gradients as training averages them."""
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=timedelta(seconds=200))
    try:
        block, maps, text, described = batch()
        mine = slice(2 * rank, 2 * rank + 2)
        loss = block([level[mine] for level in maps], text[mine], described[mine])
        loss.backward()
        for parameter in block.parameters():
            dist.all_reduce(parameter.grad)
        return loss.detach(), {name: parameter.grad / 2 for name, parameter in block.named_parameters()}
    finally:
        dist.destroy_process_group()
