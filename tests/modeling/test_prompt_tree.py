"""Prompts that begin alike, read as a tree: every beginning once, each seeing what leads to it."""

import numpy as np
import pytest

from ovrs.modeling.encoders.prompt_tree import PromptTree

ROWS = [[9, 1, 2, 5], [9, 1, 3, 5], [9, 1, 2, 5], [9, 4], [9, 1, 2]]


def test_every_beginning_stands_once_and_its_nodes_spell_the_rows():
    tree = PromptTree.of(ROWS)
    beginnings = {tuple(row[: end + 1]) for row in ROWS for end in range(len(row))}
    assert len(tree.numbers) == len(beginnings) == 7
    spelled = tree.numbers[tree.paths].tolist()
    assert [row[: len(own)] for row, own in zip(spelled, ROWS, strict=True)] == ROWS
    assert spelled[3] == [9, 4, 4, 4]  # behind its end, its end again
    assert tree.numbers[tree.ends].tolist() == [row[-1] for row in ROWS]
    assert tree.places[tree.ends].tolist() == [len(row) - 1 for row in ROWS]


@pytest.mark.parametrize("seed", range(5))
def test_a_node_sees_its_own_beginning_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    rows = [[7, *rng.integers(0, 3, rng.integers(0, 6)).tolist()] for _ in range(12)]
    tree = PromptTree.of(rows)
    spelled = [
        tuple(tree.numbers[tree.mask[node] == 0].tolist()) for node in range(len(tree.numbers))
    ]  # nodes stand behind those that lead to them, so what one sees is in reading order
    assert sorted(spelled) == sorted({tuple(row[: end + 1]) for row in rows for end in range(len(row))})
    assert [spelled[end] for end in tree.ends.tolist()] == [tuple(row) for row in rows]
    assert tree.mask.masked_fill(tree.mask == 0, 1).unique().tolist() in ([-np.inf, 1], [1])
    assert tree.places.tolist() == [len(beginning) - 1 for beginning in spelled]
