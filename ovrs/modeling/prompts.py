"""Sentences that place a class name in an image, by the name that ``MODEL.PROMPTS`` gives them."""

from __future__ import annotations

from ovrs.errors import ConfigError

# Several of them are kept apart as channels of the cost volume.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "remote_sensing": (
        "A satellite image of a {}",
        "A land use image of a {}",
        "A remote sensing image of a {}",
        "An aerial image of a {}",
    ),
    "photo": ("A photo of a {} in the scene",),
    "photo_in_a": ("A photo of a {} in a scene",),
    "alone": ("{}",),
}
# The templates of remote_sensing, averaged with what the vocabulary says of each class (Vocabulary.class_descriptions): one
# sentence on how it looks where the image was taken. Of AerOSeg and its baselines, RS-ZeroSeg and DenseAlignment.
CLIMATE = "climate"


def templates(prompts: str) -> tuple[str, ...]:
    """A preset's templates by name, or those written out: ``an aerial image of a {}|a satellite image of a {}``.

    Raises:
        ConfigError: there is no preset of that name.
    """
    if "{}" in prompts:
        return tuple(template.strip() for template in prompts.split("|"))
    if prompts == CLIMATE:
        return TEMPLATES["remote_sensing"]
    if prompts not in TEMPLATES:
        raise ConfigError(
            f"MODEL.PROMPTS is {prompts!r}; choose {', '.join((*TEMPLATES, CLIMATE))}, "
            "or write templates: 'a {}|a photo of a {}'"
        )
    return TEMPLATES[prompts]
