"""The text as a prior of channels: image-text fusion (MetaSegNet section II-C-2)."""

from __future__ import annotations

from torch import Tensor, nn

from ovrs.modeling.blocks.token_mean import token_mean


class ChannelPrior(nn.Module):
    """F = F_img * p + F_img, p the mean over tokens of a linear map of the text.

    Args:
        text_dim: channels of the tokens.
        dim: channels of the image's features.
    """

    def __init__(self, *, text_dim: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(text_dim, dim)

    def forward(self, image: Tensor, text: Tensor, mask: Tensor) -> Tensor:
        """``image`` [B, C, H, W] and ``text`` [B, L, T], whose ``mask`` [B, L] is true where it has a token -> [B, C, H, W]."""
        prior = token_mean(self.proj(text), mask)
        return image * prior[:, :, None, None].to(image.dtype) + image
