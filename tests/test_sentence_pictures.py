import numpy as np
import pytest

from ovrs.pictures import load_font
from ovrs.sentence_pictures import sentence_picture, wrapped

TRUTH, ANSWER = (255, 196, 0), (0, 190, 255)


@pytest.mark.parametrize("width", [60, 150, 400])
def test_lines_fit_and_lose_nothing(width):
    font = load_font(16)
    text = "the ship  at the\nnorthern pier, extraordinarilylongwordthatfitsnowhereatall by itself"
    lines = wrapped(text, font, width)
    assert all(font.getlength(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    assert len(wrapped(text, font, 10_000)) == 1 and wrapped("", font, 100) == []


def picture_of(sentence, side=256):
    truth, answer = np.zeros((2, side, side), bool)
    truth[: side // 2], answer[:, : side // 2] = True, True
    image = np.full((side, side, 3), 100, np.uint8)
    return np.asarray(sentence_picture(image, {"truth": truth, "answer": answer}, sentence, "tile.png")), side


def colors(panel):
    return set(map(tuple, panel.reshape(-1, 3).tolist()))


def test_the_panels_are_the_image_the_truth_and_the_answer():
    picture, side = picture_of("the ship")
    assert picture.shape[1] == 3 * side + 2 * 8
    panels = [picture[-side:, left : left + side] for left in (0, side + 8, 2 * (side + 8))]
    assert colors(panels[0]) == {(100, 100, 100)}
    mixed = {color: tuple(round((100 + value) / 2) for value in color) for color in (TRUTH, ANSWER)}
    assert colors(panels[1]) == {(100, 100, 100), TRUTH, mixed[TRUTH]}
    assert tuple(panels[1][side // 4, side // 2]) == mixed[TRUTH] and tuple(panels[1][-20, side // 2]) == (100, 100, 100)
    # The answer carries the truth's outline.
    assert colors(panels[2]) == {(100, 100, 100), TRUTH, ANSWER, mixed[ANSWER]}


def test_a_long_sentence_makes_the_picture_higher_up_to_a_bound():
    heights = [picture_of("word " * count)[0].shape[0] for count in (1, 60, 300, 900)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_small_images_are_enlarged_and_large_ones_reduced():
    assert picture_of("the ship", 32)[0].shape[1] == 3 * 256 + 16
    assert picture_of("the ship", 2000)[0].shape[1] == 3 * 512 + 16
