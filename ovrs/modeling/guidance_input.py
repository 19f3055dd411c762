"""What a guidance encoder is given of an image: its own pixel statistics, size and patch."""

from __future__ import annotations

from torch import Tensor

from ovrs.modeling.encoders.guidance_contract import GuidanceEncoder
from ovrs.modeling.segmentation_model import PixelNormalization
from ovrs.modeling.windows import resize


def read_guidance(encoder: GuidanceEncoder, normalization: PixelNormalization, images: Tensor, size: int) -> list[Tensor]:
    """The encoder's features of ``images`` [B, 3, H, W] in 0..255, layer by layer, each [B, C, h, w].

    Args:
        size: side to which the images are resized first; 0 keeps theirs.
    """
    if size:
        images = resize(images, (size, size))
    # Where the two encoders' patches differ (L/14 beside SAM's 16), a little stretch keeps both maps on one frame.
    height, width = (side + -side % encoder.stride for side in images.shape[-2:])
    features = encoder(normalization(resize(images, (height, width))))
    return [features[layer] for layer in encoder.layers]
