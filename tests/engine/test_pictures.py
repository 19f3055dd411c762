import numpy as np
import pytest
from detectron2.utils.events import EventStorage
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ovrs.config import load_config
from ovrs.engine.pictures import EvaluationPictures
from ovrs.engine.trainer import Trainer
from ovrs.pictures import side_by_side
from ovrs.vocabulary import Vocabulary, VocabularyClass


@pytest.fixture(scope="module")
def events():
    """Reads what TensorBoard would show of a folder."""

    def read(folder):
        shown = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
        shown.Reload()
        return shown

    return read


def test_every_evaluation_draws_the_same_images_and_tensorboard_shows_them(config_file, tmp_path, events):
    options = ["TEST.EVAL_PERIOD", "2", "TEST.PICTURES", "2", "SOLVER.MAX_ITER", "4", "SOLVER.CLIP_GRADIENTS.CLIP_VALUE", "1.0"]
    Trainer(load_config(str(config_file), options)).train()
    output = tmp_path / "output"
    written = sorted(str(path.relative_to(output / "pictures")) for path in output.glob("pictures/*/*"))
    assert written == [f"{iteration}/toy_val-{image}.png" for iteration in ("0000002", "0000004") for image in (1, 3)]

    shown = events(output)
    assert set(shown.Tags()["images"]) == {"pictures/toy_val-1", "pictures/toy_val-3"}
    assert len(shown.Images("pictures/toy_val-1")) == 2
    scalars = set(shown.Tags()["scalars"])
    assert {"total_loss", "grad_norm", "time", "sem_seg/h-mIoU", "lr/head"} <= scalars
    assert "lr/vision_language+guidance_encoder" in scalars
    rates = [shown.Scalars(f"lr/{part}")[-1].value for part in ("head", "vision_language+guidance_encoder")]
    assert rates[1] == pytest.approx(0.01 * rates[0])


def test_no_pictures_are_drawn_where_none_are_wanted(config_file, tmp_path):
    Trainer(load_config(str(config_file), ["TEST.PICTURES", "0", "SOLVER.MAX_ITER", "1"])).train()
    assert not (tmp_path / "output/pictures").exists()


def test_more_than_there_are_draws_all_and_the_model_keeps_training(config_file, tmp_path):
    cfg = load_config(str(config_file), ["TEST.PICTURES", "9"])
    model = Trainer.build_model(cfg).train()
    with EventStorage():
        paths = EvaluationPictures(cfg).draw(model, 1)
    assert [path.name for path in paths] == [f"toy_val-{index}.png" for index in range(4)]
    assert model.training


def test_a_picture_shows_image_truth_and_prediction_in_the_classes_colours():
    vocabulary = Vocabulary(
        (VocabularyClass("lake", color=(1, 2, 3)), VocabularyClass("pier", color=(200, 100, 50), seen=False))
    )
    image = np.full((40, 60, 3), 77, np.uint8)
    truth = np.zeros((40, 60), np.int64)
    truth[:, 30:] = 255
    picture = np.asarray(side_by_side(image, {"truth": truth, "prediction": np.ones_like(truth)}, vocabulary, "a"))
    width = (picture.shape[1] - 2 * 8) // 3
    panels = [picture[:, start : start + width].reshape(-1, 3) for start in (0, width + 8, 2 * (width + 8))]
    found = [{tuple(map(int, color)) for color in np.unique(panel, axis=0)} for panel in panels]
    assert (77, 77, 77) in found[0] and (1, 2, 3) not in found[0] - found[1]
    area = picture.shape[0] * width
    share = [[np.all(panel == color, axis=1).sum() / area for color in ((1, 2, 3), (200, 100, 50))] for panel in panels]
    assert share[1][0] > 0.25 and share[2][1] > 0.5 and share[2][0] < 0.05
    assert (168, 168, 168) in found[1], "what has no class is hatched"


def test_large_images_are_reduced_and_wide_ones_fit():
    vocabulary = Vocabulary.from_names(["a", "b"])
    labels = np.zeros((900, 3000), np.int64)
    picture = side_by_side(np.zeros((900, 3000, 3), np.uint8), {"truth": labels}, vocabulary)
    assert isinstance(picture, Image.Image) and picture.width < 1200
