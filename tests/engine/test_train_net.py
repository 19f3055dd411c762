import importlib.util
import json
from pathlib import Path

import pytest
from detectron2.engine import default_argument_parser

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("train_net", ROOT / "train_net.py")
train_net = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train_net)


def test_train_resume_and_evaluate_from_the_command_line(config_file, tmp_path):
    command = ["--config-file", str(config_file)]
    output = tmp_path / "output"
    assert train_net.run([*command, "SOLVER.MAX_ITER", "3"]) == 0
    assert train_net.run([*command, "--resume"]) == 0
    assert "MAX_ITER: 5" in (output / "config.yaml").read_text()
    trained = json.loads((output / "inference/toy_val/report.json").read_text())

    elsewhere = tmp_path / "evaluation"
    weights = ["MODEL.WEIGHTS", str(output / "model_final.pth"), "OUTPUT_DIR", str(elsewhere)]
    assert train_net.run([*command, "--eval-only", *weights]) == 0
    assert json.loads((elsewhere / "inference/toy_val/report.json").read_text()) == trained
    (output / "inference/toy_val/report.json").unlink()
    assert train_net.run([*command, "--eval-only", "--resume"]) == 0
    assert json.loads((output / "inference/toy_val/report.json").read_text()) == trained


def test_an_evaluation_in_the_folder_of_a_training_leaves_what_is_said_of_the_training(config_file, tmp_path):
    output = tmp_path / "output"
    command = ["--config-file", str(config_file), "DATASETS.TEST", "()", "SOLVER.MAX_ITER", "1"]
    assert train_net.run(command) == 0
    (output / "environment.txt").write_text("the training's")
    trained = (output / "config.yaml").read_text()
    evaluation = ["--config-file", str(config_file), "--eval-only", "MODEL.WEIGHTS", str(output / "model_final.pth")]
    for overlap in ("0.1", "0.2"):
        assert train_net.run([*evaluation, "TEST.OVERLAP", overlap]) == 0
        assert f"OVERLAP: {overlap}" in (output / "inference/config.yaml").read_text()
    assert (output / "config.yaml").read_text() == trained and "OVERLAP: 0.2" not in trained
    assert (output / "environment.txt").read_text() == "the training's"
    # In a folder of its own an evaluation's is where a training's would be.
    elsewhere = tmp_path / "evaluation"
    for overlap in ("0.1", "0.2"):
        assert train_net.run([*evaluation, "OUTPUT_DIR", str(elsewhere), "TEST.OVERLAP", overlap]) == 0
        assert f"OVERLAP: {overlap}" in (elsewhere / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--eval-only"], "--eval-only needs weights"),
        (["--eval-only", "MODEL.WEIGHTS", "absent.pth"], "absent.pth"),
        (["SOLVER.NO_SUCH_KEY", "3"], "SOLVER.NO_SUCH_KEY"),
        (["DATASETS.TRAIN", "('nowhere_train',)"], "nowhere_train"),
        (["OUTPUT_DIR", "/dev/null/output"], "OUTPUT_DIR /dev/null/output"),
        (["--num-gpus", "99"], "--num-gpus is 99"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_code_2(config_file, options, message, capfd):
    assert train_net.run(["--config-file", str(config_file), *options]) == 2
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("train_net.py: error:")]
    assert len(errors) == 1 and message in errors[0]


def test_no_configuration_says_how_to_give_one(capfd):
    assert train_net.run([]) == 2
    assert "--config-file mini" in capfd.readouterr().err


def test_the_options_are_those_of_detectron2():
    theirs = {action.dest: action for action in default_argument_parser()._actions}
    ours = {action.dest: action for action in train_net.parser()._actions}
    assert set(ours) == {*theirs, "check_data", "num_processes"}
    for name, action in theirs.items():
        same = ["option_strings", "nargs", "const", "type", *(["default"] if name != "dist_url" else [])]
        assert all(getattr(ours[name], what) == getattr(action, what) for what in same), name


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as ended:
        train_net.run(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "--eval-only MODEL.WEIGHTS" in text and "DETECTRON2_DATASETS" in text and "--resume" in text
