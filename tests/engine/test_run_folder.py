import json
import subprocess

import pytest
import torch
from test_train_net import train_net

import ovrs
from ovrs.config import load_config
from ovrs.engine.run_folder import git_state, recorded
from ovrs.engine.setup import settle_seed
from ovrs.errors import DataError


def account(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_training_says_all_that_is_needed_to_repeat_it(config_file, tmp_path):
    output = tmp_path / "output"
    command = ["--config-file", str(config_file), "SOLVER.MAX_ITER", "2"]
    assert train_net.run(command) == 0
    told = account(output)
    assert told["status"] == "finished" and told["job"] == "training" and told["start"] <= told["end"]
    assert told["seed"] == 7 and told["world_size"] == 1 and told["device"].startswith("cpu")
    assert told["ovrs"] == ovrs.__version__ and told["versions"]["torch"] == torch.__version__.partition("+")[0]
    counts = {"images": 4, "classes": 3, "seen": 2}
    assert told["data_sets"] == {"toy_train": counts, "toy_val": counts}
    assert set(told["git"]) == {"revision", "dirty"} and told["command"]
    for name in ("config.yaml", "environment.txt"):
        assert (output / name).stat().st_size > 100


def test_a_drawn_seed_is_written_down_repeats_the_run_and_is_kept_on_resume(config_file, tmp_path):
    def run(folder, *overrides, resume=()):
        assert train_net.run(["--config-file", str(config_file), *resume, "OUTPUT_DIR", str(folder), *overrides]) == 0
        return account(folder)["seed"], torch.load(folder / "model_final.pth", weights_only=True)["model"]["head.weight"]

    short = ["SOLVER.MAX_ITER", "2"]
    seed, weights = run(tmp_path / "drawn", "SEED", "-1", *short)
    assert seed >= 0 and f"SEED: {seed}" in (tmp_path / "drawn/config.yaml").read_text()
    same_seed, same = run(tmp_path / "repeated", "SEED", str(seed), *short)
    assert same_seed == seed and torch.equal(same, weights)
    assert run(tmp_path / "drawn", "SEED", "-1", "SOLVER.MAX_ITER", "3", resume=["--resume"])[0] == seed
    with recorded(load_config(str(config_file), ["SEED", str(seed + 1), "OUTPUT_DIR", str(tmp_path / "drawn")]), "evaluation"):
        pass  # an evaluation in between has a seed of its own
    assert run(tmp_path / "drawn", "SEED", "-1", "SOLVER.MAX_ITER", "4", resume=["--resume"])[0] == seed
    other, different = run(tmp_path / "again", "SEED", "-1", *short)
    assert other != seed and not torch.equal(different, weights)


def test_earlier_jobs_of_a_folder_stay_on_record(config_file, tmp_path):
    cfg = load_config(str(config_file))
    for job in ("training", "training", "evaluation"):
        with recorded(cfg, job, ["train_net.py", job]):
            assert account(tmp_path / "output")["status"] == "running"
    told = account(tmp_path / "output")
    assert told["command"] == ["train_net.py", "evaluation"] and set(told["data_sets"]) == {"toy_val"}
    assert [entry["job"] for entry in told["earlier"]] == ["training", "training"]
    assert all("earlier" not in entry for entry in told["earlier"])


@pytest.mark.parametrize(
    ("error", "status"), [(DataError("no such file"), "failed: no such file"), (KeyboardInterrupt(), "interrupted")]
)
def test_how_a_job_ended_is_told(config_file, tmp_path, error, status):
    with pytest.raises(type(error)), recorded(load_config(str(config_file)), "training"):
        raise error
    told = account(tmp_path / "output")
    assert told["status"] == status and told["end"]


def test_a_damaged_account_is_replaced(config_file, tmp_path):
    (tmp_path / "output").mkdir()
    (tmp_path / "output/run.json").write_text('{"status": "runn')
    with recorded(load_config(str(config_file)), "training"):
        pass
    assert account(tmp_path / "output")["status"] == "finished"


def test_the_revision_is_that_of_the_checkout_and_says_whether_it_was_changed(tmp_path):
    package = tmp_path / "ovrs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert git_state(package) == {"revision": "unknown", "dirty": "unknown"}

    def git(*arguments):
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
        return subprocess.run(("git", "-C", tmp_path, *identity, *arguments), capture_output=True, text=True, check=True).stdout

    git("init")
    assert git_state(package)["revision"] == "unknown", "no commit, or an installed package in another's checkout"
    git("add", "ovrs")
    git("commit", "-m", "first")
    assert git_state(package) == {"revision": git("rev-parse", "HEAD").strip(), "dirty": False}
    (package / "__init__.py").write_text("changed = True\n")
    assert git_state(package)["dirty"] is True


def test_a_seed_that_is_given_is_the_one_used(config_file):
    cfg = load_config(str(config_file))
    assert settle_seed(cfg, resume=True) is cfg
