import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from detectron2.evaluation import print_csv_format
from detectron2.utils import comm
from PIL import Image
from referring_oracle import figures, no_target_figures, random_pair

from ovrs.engine.launch import launch
from ovrs.errors import ConfigError, DataError
from ovrs.evaluation.referring import ReferringEvaluator, compared_masks
from ovrs.evaluation.referring_answers import Answer, Answers
from ovrs.evaluation.referring_reports import build_report, measure
from ovrs.evaluation.referring_settings import ReferringSettings


def sample(truth, answer, number=0, expression="the ship", image=None, **more):
    """An input with this truth, and an output whose scores are certain of ``answer``."""
    truth, answer = np.asarray(truth, bool), np.asarray(answer, bool)
    entry = {
        "sample_id": f"s{number:04d}",
        "expression": expression,
        "mask": torch.from_numpy(truth),
        "image": torch.zeros(3, *truth.shape, dtype=torch.uint8) if image is None else image,
        "height": truth.shape[0],
        "width": truth.shape[1],
        "file_name": f"tiles/{number // 2}.png",
        **more,
    }
    return entry, {"sem_seg": torch.from_numpy(answer)[None].float()}


def run(evaluator, *samples):
    evaluator.reset()
    for entry, output in samples:
        evaluator.process([entry], [output])
    return evaluator.evaluate()


def answer(intersection, union, **more):
    fields = {"sample": "a", "file_name": "a.png", "expression": "the ship", "category": None, "attributes": ()} | more
    return Answer(**fields, truth=intersection, answer=union, intersection=intersection)


def test_results_have_detectron2s_form():
    samples = [
        sample([[1, 1, 0, 0]], [[1, 0, 0, 0]], 0, category="ship"),
        sample([[1, 0, 0, 0]], [[1, 1, 1, 1]], 1, category="ship"),
        sample([[1, 1, 1, 0]], [[1, 1, 1, 0]], 2, category="pier"),
    ]
    results = run(ReferringEvaluator("toy_val"), *samples)
    expected = {"oIoU": 100 * 5 / 9, "mIoU": 100 * 1.75 / 3, "Pr@0.5": 200 / 3, "Pr@0.6": 100 / 3, "Pr@0.9": 100 / 3}
    assert results["referring"] | expected == pytest.approx(results["referring"])
    assert results["referring"]["mIoU-ship"] == pytest.approx(37.5) and results["referring"]["mIoU-pier"] == 100
    print_csv_format(results)


@pytest.mark.parametrize("empty_union", [0, 1])
def test_figures_equal_those_of_an_independent_oracle(empty_union):
    rng, everything = np.random.default_rng(2024), []
    for _ in range(1000):
        pairs = [random_pair(rng) for _ in range(rng.integers(1, 6))]
        evaluator = ReferringEvaluator("toy_val", None, ReferringSettings(empty_union=empty_union))
        found = run(evaluator, *(sample(*pair, number) for number, pair in enumerate(pairs)))["referring"]
        assert found == pytest.approx(figures(pairs, empty_union) | no_target_figures(pairs), rel=1e-12, nan_ok=True)
        everything += pairs
    overlaps = [Fraction(int((t & a).sum()), int((t | a).sum())) for t, a in everything if (t | a).any()]
    assert len(everything) - len(overlaps) > 200
    assert all(overlaps.count(Fraction(tenths, 10)) > 30 for tenths in (5, 6, 7, 8, 9))


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
def test_thresholds_are_reached_exactly(tenths):
    huge = 10**17  # beyond what a float tells apart
    for scale in (1, 7, huge):
        assert answer(tenths * scale, 10 * scale).reaches(tenths, 0)
        assert not answer(tenths * scale - 1, 10 * scale).reaches(tenths, 0)


def test_an_empty_union_counts_by_the_chosen_rule_and_apart():
    nothing, something = np.zeros((4, 4)), np.eye(4)
    samples = [sample(nothing, nothing, 0), sample(nothing, something, 1), sample(something, something, 2)]
    samples.append(sample(something, nothing, 3))
    for rule, miou in ((0, 25.0), (1, 50.0)):
        evaluator = ReferringEvaluator("toy_val", None, ReferringSettings(empty_union=rule))
        found = run(evaluator, *samples)["referring"]
        assert found["mIoU"] == found["Pr@0.5"] == found["Pr@0.9"] == miou
        assert found["oIoU"] == pytest.approx(100 * 4 / 12)  # an empty union is no part of it by either rule
        assert found["N-acc"] == 50 and found["T-acc"] == 50
        report = build_report(evaluator.answers, evaluator.settings)
        assert (report.targetless, report.empty_answers) == (2, 1)
        assert {group.name: group.figures["mIoU"] for group in report.of_kind("target")} == {
            "a target": 50,
            "no target": 100 * rule / 2,
        }
    assert "N-acc" not in run(ReferringEvaluator("toy_val"), samples[2])["referring"]


def test_a_pixel_is_in_the_answer_from_one_half_on():
    entry, output = sample([[1, 1, 0, 0]], [[0, 0, 0, 0]])
    for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16):
        output["sem_seg"] = torch.tensor([[[0.5, 0.499, 0.501, 0.0]]], dtype=dtype)
        if dtype == torch.bfloat16:  # 0.499 and 0.501 are 0.5 there
            output["sem_seg"] = torch.tensor([[[0.5, 0.49, 0.51, 0.0]]], dtype=dtype)
        _, mask = compared_masks(entry, output["sem_seg"], ReferringSettings())
        assert mask.tolist() == [[True, False, True, False]]


def test_at_the_original_size_pixels_are_the_truth_s():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    truth = np.random.default_rng(0).random((10, 7)) < 0.5
    entry, output = sample(truth, truth, image=image)
    settings = ReferringSettings(eval_at="original", input_side=4)
    for mask in compared_masks(entry, output["sem_seg"], settings):
        assert np.array_equal(mask, truth)
    with pytest.raises(DataError, match=r"tiles/0\.png \('the ship'\): scores are \(4, 4\) pixels, the truth \(10, 7\)"):
        compared_masks(entry, torch.zeros(1, 4, 4), settings)


@pytest.mark.parametrize(("side", "size"), [(48, (48, 48)), (0, (33, 60))])
def test_at_the_input_size_the_truth_is_resized_as_rmsin_resizes_it(side, size):
    truth = np.random.default_rng(1).random((80, 100)) < 0.5
    entry, output = sample(truth, truth, image=torch.zeros(3, 33, 60, dtype=torch.uint8))
    settings = ReferringSettings(eval_at="input", input_side=side)
    expected = np.array(Image.fromarray(truth.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)) == 1
    resized, _ = compared_masks(entry, output["sem_seg"], settings)
    assert np.array_equal(resized, expected)
    # Scores that have that size are taken as they are; those of the truth's size are resized bilinearly.
    own = torch.rand(1, *size)
    assert np.array_equal(compared_masks(entry, own, settings)[1], own[0].numpy() >= 0.5)
    ramp = torch.linspace(0, 1, 100).expand(1, 80, 100)
    columns = compared_masks(entry, ramp, settings)[1].all(axis=0)
    assert columns.tolist() == [index >= size[1] / 2 for index in range(size[1])]


def test_a_sample_counts_once():
    evaluator = ReferringEvaluator("toy_val")
    first = sample([[1, 1, 0, 0]], [[1, 0, 0, 0]], 0)
    once = run(evaluator, first)
    assert run(evaluator, first, first) == once
    other = sample([[1, 1, 0, 0]], [[1, 0, 0, 0]], 0, expression="the pier")
    with pytest.raises(DataError, match="two samples are called 's0000': 'the ship' on tiles/0.png and 'the pier' on"):
        run(evaluator, first, other)


def test_a_sample_is_shown_once(tmp_path):
    evaluator = ReferringEvaluator("toy_val", tmp_path, ReferringSettings(report_images=2))
    run(evaluator, *(sample([[1, 1, 0, 0]], [[0, 0, 0, number]], number) for number in (0, 0, 1, 1)))
    assert [example.name for example in evaluator.examples.worst] == ["s0000", "s0001"]
    assert len(list(tmp_path.glob("pictures/*"))) == 2


def test_reset_forgets():
    evaluator = ReferringEvaluator("toy_val")
    run(evaluator, sample([[1, 1]], [[0, 0]], 0))
    assert run(evaluator, sample([[1, 1]], [[1, 1]], 1))["referring"]["mIoU"] == 100


def test_scores_that_decide_nothing_are_refused():
    entry, output = sample([[1, 0]], [[1, 0]])
    evaluator = ReferringEvaluator("toy_val")
    with pytest.raises(DataError, match="scores for 2 names, but a sentence is one"):
        evaluator.process([entry], [{"sem_seg": torch.rand(2, 1, 2)}])
    with pytest.raises(DataError, match=r"scores are \(2, 1\) pixels, the truth \(1, 2\)"):
        evaluator.process([entry], [{"sem_seg": torch.rand(1, 2, 1)}])
    output["sem_seg"][0, 0, 0] = torch.nan
    with pytest.raises(DataError, match=r"tiles/0\.png .*NaN.*MODEL\.PRECISION"):
        evaluator.process([entry], [output])
    assert not len(evaluator.answers)


def test_the_mean_does_not_depend_on_the_order_of_answers():
    rng = np.random.default_rng(5)
    found = [answer(int(i), int(u)) for i, u in zip(rng.integers(0, 100, 500), rng.integers(100, 900, 500), strict=True)]
    means = {measure([found[index] for index in rng.permutation(500)], 0)["mIoU"] for _ in range(20)}
    assert means == {100 * math.fsum(a.intersection / a.union for a in found) / 500}


def test_nothing_evaluated_has_no_figure():
    assert all(math.isnan(value) for value in run(ReferringEvaluator("toy_val"))["referring"].values())


def shares(rank, size):
    """What process ``rank`` of ``size`` sees of thirteen samples, by turns; the last of each comes twice, as samplers pad."""
    rng = np.random.default_rng(7)
    every = []
    for number in range(13):
        truth, guess = rng.random((2, 20, 24)) < (0.0 if number == 4 else 0.4)
        image = torch.full((3, 20, 24), 15 * number, dtype=torch.uint8)
        words = ("the ship on the left", "the largest of the ships")[number % 2]
        every.append(sample(truth, guess & truth, number, words, image, category=("ship", None)[number % 3 == 0]))
    own = every[rank::size]
    return [*own, own[-1], every[0]]


def evaluate_share(folder, size):
    settings = ReferringSettings(report_images=2)
    results = run(ReferringEvaluator("toy_val", folder, settings), *shares(comm.get_rank(), size))
    assert (results is not None) == comm.is_main_process()


def test_two_processes_write_the_report_of_one_byte_by_byte(tmp_path):
    evaluate_share(tmp_path / "one", 1)
    launch(evaluate_share, 0, num_processes=2, args=(tmp_path / "two", 2))
    paths = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(paths) == 4 + 4
    assert paths == sorted(path.relative_to(tmp_path / "two") for path in (tmp_path / "two").rglob("*.*"))
    for path in paths:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes(), path


def test_parts_of_several_processes_that_disagree_are_refused():
    known = Answers()
    assert known.add(answer(1, 2)) and not known.add(answer(1, 3))  # another run of the same sample: the first one stands
    with pytest.raises(DataError, match="sample_id"):
        known.add(answer(1, 2, expression="the pier"))


@pytest.mark.parametrize(
    ("settings", "key"),
    [({"eval_at": "480"}, "EVAL_AT"), ({"empty_union": 2}, "EMPTY_UNION"), ({"report_images": -1}, "REPORT_IMAGES")],
)
def test_settings_that_cannot_work_are_refused(settings, key):
    with pytest.raises(ConfigError, match=key):
        ReferringSettings(**settings)
