"""SigLIP's text tower and its tokenizer, which is a folder of files beside the weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ovrs.errors import ConfigError, WeightsError
from ovrs.modeling.encoders.attention import residual_block, split_attentions

if TYPE_CHECKING:
    from open_clip.transformer import TextTransformer

NEEDED = ("tokenizer.json", "tokenizer_config.json")


class SiglipText(nn.Module):
    """SigLIP's text transformer, taken out of an open_clip model; names are those under ``text.`` in its published files.

    Every text is filled up to the context length and every token sees all others, the filling too: nothing may be cut short.

    Raises:
        ConfigError: a text tower of another kind.
    """

    def __init__(self, text: TextTransformer, tokenizer: Any, *, batch_size: int = 256) -> None:
        super().__init__()
        fits = text.attn_mask is None and text.cls_emb is None and not text.use_pad_mask and text.pool_type == "last"
        if not fits or not isinstance(text.text_projection, nn.Linear):
            raise ConfigError("the text tower beside this image tower is not SigLIP's, which reads its last token unmasked")
        self.positional_embedding = text.positional_embedding
        self.token_embedding = text.token_embedding
        self.transformer: Any = text.transformer
        self.ln_final = text.ln_final
        self.text_projection = text.text_projection
        self.tokenizer = tokenizer
        self.batch_size = batch_size
        split_attentions(self.transformer.resblocks)

    @property
    def dim(self) -> int:
        """Width of the embeddings."""
        return self.text_projection.out_features

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed ``texts`` -> [len(texts), C], not normalised."""
        tokens = self.tokenizer(list(texts)).to(self.positional_embedding.device)
        return torch.cat([self._encode(part) for part in tokens.split(self.batch_size)])

    def _encode(self, tokens: Tensor) -> Tensor:
        x = self.token_embedding(tokens) + self.positional_embedding
        for block in self.transformer.resblocks:
            x = residual_block(block, x)
        return self.text_projection(self.ln_final(x[:, -1]))


class FolderTokenizer:
    """A tokenizer of Hugging Face's kind from a folder; read at first use, and neither fetched nor allowed to bring code.

    Args:
        folder: what holds ``tokenizer.json`` and ``tokenizer_config.json``, or one of these files; "" where none is known.
        published: where the files are published, for the error: a repository of huggingface.co.
        vocabulary: how many tokens the text tower knows.
        context_length: tokens a text, cut or filled up to.
        clean: open_clip's name of what is done to a text first; SigLIP's ``canonicalize`` writes it in lower case and without
            punctuation.
    """

    def __init__(
        self, folder: str, *, published: str, vocabulary: int, context_length: int, clean: str = "canonicalize"
    ) -> None:
        self.folder = Path(folder).parent if Path(folder).name in NEEDED else Path(folder)
        self.known = bool(folder)
        self.published = published
        self.vocabulary = vocabulary
        self.context_length = context_length
        self.clean = clean
        self._tokenizer: Any = None

    def __str__(self) -> str:
        return str(self.folder) if self.known else "MODEL.VISION_LANGUAGE.TOKENIZER names no folder"

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Token numbers [len(texts), context_length].

        Raises:
            WeightsError: the files are missing, not a tokenizer's, or of another model's.
        """
        if self._tokenizer is None:
            self._tokenizer = self._read()
            # Some tokenizers know a few more than the model, which no text gives; none knows far fewer.
            if len(self._tokenizer.tokenizer) < 0.9 * self.vocabulary:
                raise self._of_another_model(f"knows {len(self._tokenizer.tokenizer)} tokens")
        tokens: Tensor = self._tokenizer(list(texts))
        if int(tokens.max()) >= self.vocabulary:
            raise self._of_another_model(f"gives token {int(tokens.max())}")
        return tokens

    def _of_another_model(self, finding: str) -> WeightsError:
        self._tokenizer = None
        return WeightsError(
            f"{self}: {finding}, and the text tower knows tokens 0 to {self.vocabulary - 1}: it is the tokenizer of another "
            f"model; the right one is published at https://huggingface.co/{self.published}"
        )

    def _read(self) -> Any:
        missing = [name for name in NEEDED if not (self.folder / name).is_file()]
        if missing or not self.known:
            raise WeightsError(
                f"{self}: no {' and '.join(missing or NEEDED)}; SigLIP reads words with a tokenizer that is not in its weights "
                "file. Put tokenizer.json, tokenizer_config.json and special_tokens_map.json from "
                f"https://huggingface.co/{self.published} beside the weights, or name their folder in "
                "MODEL.VISION_LANGUAGE.TOKENIZER"
            )
        from open_clip.tokenizer import HFTokenizer

        try:
            return HFTokenizer(
                str(self.folder),
                context_length=self.context_length,
                clean=self.clean,
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:  # transformers and tokenizers raise many kinds; all mean that these are no tokenizer's files
            raise WeightsError(f"{self.folder}: not readable as a tokenizer: {str(error).strip().splitlines()[0]}") from error
