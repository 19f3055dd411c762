"""The correlation fusion module: a stage of the image encoder made aware of the words (MAFN section II-B)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError
from ovrs.modeling.blocks.channel_intensification import ChannelIntensification
from ovrs.modeling.blocks.feature_gate import FeatureGate
from ovrs.modeling.blocks.local_correlation import LocalCorrelation
from ovrs.modeling.blocks.visual_integration import VisualIntegration
from ovrs.modeling.blocks.window_fusion import WindowFusion
from ovrs.modeling.blocks.word_attention import WordAttention

DECODER_INPUTS = ("fused", "lang")


@dataclass(frozen=True)
class FusedStage:
    """What a stage hands on.

    Attributes:
        onward: F_e [B, C, H, W], for the next stage of the encoder; None where there is none and the decoder reads G_l.
        lateral: what the decoder reads of this stage [B, C, H, W], normalised.
    """

    onward: Tensor | None
    lateral: Tensor


class CorrelationAwareFusion(nn.Module):
    """T_e of Fig. 2: both branches beside their local correlation, convolved; refined by windows and by channels.

    Args:
        dim: channels of both branches and of the result.
        radius: largest offset of the correlation.
        windows: sides of the windows.
    """

    def __init__(self, *, dim: int, radius: int = 1, windows: Sequence[int] = (3, 5, 7)) -> None:
        super().__init__()
        self.correlation = LocalCorrelation(radius=radius)
        self.conv = nn.Conv2d(2 * dim + self.correlation.offsets, dim, 3, padding=1)
        self.window_fusion = WindowFusion(dim=dim, windows=windows)
        self.channel_intensification = ChannelIntensification(dim=dim)

    def forward(self, visual: Tensor, language: Tensor) -> Tensor:
        """T_v and T_l [B, C, H, W] -> T_e [B, C, H, W]."""
        correlated = self.correlation(visual, language)  # eq. 10
        x = self.conv(torch.cat([visual, correlated, language], dim=1))
        return x + self.channel_intensification(self.window_fusion(x))


class CorrelationFusion(nn.Module):
    """CFM: F_e = V_e + T_e, after the blocks of a stage and before the patches of the next are merged.

    Eqs. 11 to 13 have the decoder read F_e. The authors' code has it read G_l, and then nothing depends on the fusion of the
    last stage; it is not built there.

    Args:
        dim: C, channels of the stage.
        text_dim: T, channels of the words.
        decoder_input: ``fused`` gives the decoder F_e, ``lang`` gives it G_l.
        last: no stage follows.
        correlation: False leaves the correlation-aware fusion out and adds the branches, T_e = T_v + T_l.
        heads: heads of the word attention.
        radius: largest offset of the correlation.
        windows: sides of the windows.

    Raises:
        ConfigError: ``decoder_input`` is neither of the two, or a part cannot be built.
    """

    def __init__(
        self,
        *,
        dim: int,
        text_dim: int,
        decoder_input: str = "fused",
        last: bool = False,
        correlation: bool = True,
        heads: int = 1,
        radius: int = 1,
        windows: Sequence[int] = (3, 5, 7),
    ) -> None:
        super().__init__()
        if decoder_input not in DECODER_INPUTS:
            raise ConfigError(f"the decoder's input is {decoder_input!r}; choose {' or '.join(DECODER_INPUTS)}")
        self.decoder_input = decoder_input
        self.word_attention = WordAttention(dim=dim, text_dim=text_dim, heads=heads)
        self.fuses = decoder_input == "fused" or not last
        if self.fuses:
            self.visual_integration = VisualIntegration()
            self.visual_gate = FeatureGate(dim=dim)
            self.language_gate = FeatureGate(dim=dim)
            self.fusion = CorrelationAwareFusion(dim=dim, radius=radius, windows=windows) if correlation else None
        self.norm = nn.LayerNorm(dim, bias=False)  # the batch norms of the cross-scale interaction would cancel one

    def forward(self, visual: Tensor, words: Tensor, mask: Tensor) -> FusedStage:
        """V_e [B, C, H, W] (eq. 5) and the tokens [B, L, T] of one sentence each, ``mask`` [B, L] true where there is one."""
        language = self.word_attention(visual, words, mask)  # eq. 8
        onward = visual + self.fuse(visual, language) if self.fuses else None  # eq. 11
        lateral = onward if onward is not None and self.decoder_input == "fused" else language
        return FusedStage(onward, self.norm(lateral.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))

    def fuse(self, visual: Tensor, language: Tensor) -> Tensor:
        """V_e and G_l [B, C, H, W] -> T_e [B, C, H, W]."""
        by_sight = self.visual_gate(self.visual_integration(visual))  # eqs. 6 and 7
        by_words = self.language_gate(language)  # eq. 9
        return by_sight + by_words if self.fusion is None else self.fusion(by_sight, by_words)
