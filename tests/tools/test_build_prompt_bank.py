import importlib.util
import json
import shlex
import sys
from pathlib import Path

import pytest

from ovrs.climate.bank import SHIPPED, PromptBank, Sentence

path = Path(__file__).parents[2] / "tools" / "build_prompt_bank.py"
spec = importlib.util.spec_from_file_location("build_prompt_bank", path)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

# Answers as a language model does, and keeps the questions.
MODEL = """
import sys
question = sys.stdin.read()
with open(sys.argv[1], "a") as log:
    log.write(question + "\\n")
name = question.split("Use the words '")[1].split("'")[0]
print(sys.argv[2].replace("NAME", name))
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)

    def command(answer="A NAME is seen here.", program=None):
        return shlex.join([sys.executable, str(tmp_path / (program or "model.py")), str(tmp_path / "log.txt"), answer])

    return command


def ask(tmp_path, command, *options):
    return tool.main(["ask", "--command", command, "--date", "2026-11-22", "--output", str(tmp_path / "mine.json"), *options])


def questions(tmp_path):
    log = tmp_path / "log.txt"
    return log.read_text().splitlines() if log.exists() else []


def test_build_writes_the_shipped_bank_to_the_byte(tmp_path, capsys):
    assert tool.main(["build", "--output", str(tmp_path / "bank.json")]) == 0
    assert (tmp_path / "bank.json").read_bytes() == SHIPPED.read_bytes()
    assert "x 31 zones" in capsys.readouterr().out


def test_check_passes_the_shipped_bank_and_says_what_it_holds(capsys):
    assert tool.main(["check", "--estimate"]) == 0
    out = capsys.readouterr().out
    assert "no problem found" in out and "openearthmap, 9 classes merged" in out and "of 250" in out


def test_check_finds_what_is_missing_and_what_does_not_fit(tmp_path, capsys):
    bank = PromptBank.load()
    del bank.sentences["Dwd"]["tree"]
    bank.with_sentence("Af", "soccer field", Sentence("Grass.", "x")).save(tmp_path / "bank.json")
    assert tool.main(["check", "--estimate", "--tokens", "200", str(tmp_path / "bank.json")]) == 1
    out = capsys.readouterr().out
    assert "tree in Dwd" in out and "does not mention 'soccer field'" in out and "a merge beyond 200 estimated tokens" in out


def test_check_refuses_what_is_no_bank(tmp_path, capsys):
    (tmp_path / "bank.json").write_text("{}")
    assert tool.main(["check", str(tmp_path / "bank.json")]) == 2
    assert "bank.json: is no prompt bank" in capsys.readouterr().err


def test_diff_shows_what_two_banks_differ_in(tmp_path, capsys):
    old = PromptBank.load()
    new = old.with_sentence("Af", "tree", Sentence("Trees are blue.", "by hand"))
    new = PromptBank("mine", {**new.synonyms, "shed": ()}, new.sentences)
    new.save(tmp_path / "new.json")
    assert tool.main(["diff", str(SHIPPED), str(tmp_path / "new.json")]) == 1
    out = capsys.readouterr().out
    assert "+ Trees are blue.  [by hand]" in out and f"- {old.sentence('Af', 'tree').text}" in out
    assert (
        "v1 -> mine" in out
        and "synonyms of shed: no such class -> none" in out
        and f"1 of {len(old):,} sentences differ" in out
    )
    assert tool.main(["diff", str(SHIPPED), str(SHIPPED)]) == 0


def test_answers_are_stored_with_their_provenance_and_not_asked_for_again(tmp_path, model, capsys):
    command = model()
    assert ask(tmp_path, command, "--zones", "BWh", "af", "--classes", "Trees", "garden gnome") == 0
    bank = PromptBank.load(tmp_path / "mine.json")
    assert bank.version == "mine" and bank.zones == ("Af", "BWh") and set(bank.classes) == {"tree", "garden gnome"}
    note = f"command: {Path(sys.executable).name}; asked 2026-11-22"
    assert bank.sentence("Af", "tree canopy") == Sentence("A tree is seen here.", note)
    assert len(questions(tmp_path)) == 4 and "hot desert climate" in questions(tmp_path)[0]
    assert ask(tmp_path, command, "--zones", "BWh", "Cfb", "--classes", "tree") == 0
    assert len(questions(tmp_path)) == 5 and "1 of 2 were there before" in capsys.readouterr().out
    assert ask(tmp_path, model("A NAME is new."), "--zones", "BWh", "--classes", "tree", "--again") == 0
    assert PromptBank.load(tmp_path / "mine.json").sentence("BWh", "tree").text == "A tree is new."


def test_a_bank_keeps_no_argument_of_the_command(tmp_path, model, capsys):
    command = f"{model()} --key s3cret-0f-mine"
    assert ask(tmp_path, command, "--zones", "BWh", "--classes", "tree", "--model", "llama3") == 0
    (note,) = {said.provenance for _, _, said in PromptBank.load(tmp_path / "mine.json")}
    assert note == f"command: {Path(sys.executable).name} --model llama3; asked 2026-11-22"
    written = (tmp_path / "mine.json").read_text()
    assert not any(part in written for part in ("s3cret", "--key", "log.txt", str(tmp_path), str(Path(sys.executable).parent)))
    assert ask(tmp_path, "no-such-program --key s3cret-0f-mine", "--zones", "Af", "--classes", "tree") == 2
    assert ask(tmp_path, "program --key 's3cret-0f-mine", "--zones", "Af", "--classes", "tree") == 2
    assert "s3cret" not in capsys.readouterr().err


@pytest.mark.parametrize("answer", ["No idea.", "A NAME. Or two.", "A NAME is " + "so " * 30 + "long.", ""])
def test_a_bad_answer_is_named_and_not_stored(tmp_path, model, capsys, answer):
    assert ask(tmp_path, model(answer), "--zones", "BWh", "--classes", "tree") == 1
    assert "'tree' in BWh" in capsys.readouterr().err and not (tmp_path / "mine.json").exists()
    assert len(questions(tmp_path)) == 2


def test_a_program_that_can_not_do_it_is_given_up(tmp_path, model, capsys):
    assert ask(tmp_path, model("No idea."), "--classes", "tree", "--tries", "1") == 2
    assert "the first 5 answers are no good" in capsys.readouterr().err and len(questions(tmp_path)) == 5


def test_what_was_answered_before_a_stop_is_kept(tmp_path, model, monkeypatch, capsys):
    told = tool.Command.__call__

    def stopped(self, zone, name, synonyms=()):
        if zone == "Aw":
            raise KeyboardInterrupt
        return told(self, zone, name, synonyms)

    monkeypatch.setattr(tool.Command, "__call__", stopped)
    assert ask(tmp_path, model(), "--classes", "tree") == 130
    assert PromptBank.load(tmp_path / "mine.json").zones == ("Af", "Am", "As") and "stopped" in capsys.readouterr().err


def test_a_program_that_fails_or_is_slow_or_absent_is_told(tmp_path, capsys):
    options = ("--zones", "BWh", "--classes", "tree", "--tries", "1", "--seconds", "0.5")
    assert ask(tmp_path, shlex.join([sys.executable, "-c", "raise SystemExit('no licence')"]), *options) == 1
    assert "exit code 1: no licence" in capsys.readouterr().err
    assert ask(tmp_path, shlex.join([sys.executable, "-c", "import time; time.sleep(9)"]), *options) == 1
    assert "within 0.5 s" in capsys.readouterr().err
    for command, said in (("no-such-program-here", "cannot be run"), ("'", "No closing quotation"), (" ", "no command")):
        assert ask(tmp_path, command, *options) == 2
        assert said in capsys.readouterr().err


def test_the_question_can_be_read_first(tmp_path, capsys):
    assert ask(tmp_path, "program", "--zones", "ET", "--classes", "water", "--show-question") == 0
    assert "how water looks from above" in (out := capsys.readouterr().out) and "polar tundra climate" in out
    assert not (tmp_path / "mine.json").exists()


def test_an_unknown_zone_and_a_broken_bank_are_refused_before_anything_is_asked(tmp_path, model, capsys):
    assert ask(tmp_path, model(), "--zones", "XYZ") == 2
    (tmp_path / "mine.json").write_text(json.dumps({"format": "else"}))
    assert ask(tmp_path, model(), "--zones", "BWh") == 2
    assert "mine.json" in capsys.readouterr().err and not questions(tmp_path)


def test_the_documentation_shows_the_check_and_sentences_of_the_shipped_bank(capsys):
    page = (path.parents[1] / "docs" / "prompt_bank.md").read_text()
    tool.main(["check", "--estimate"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "tokens" not in line]
    assert len(lines) == 5 and all(line in page for line in lines)
    rows = [row.strip("| ").split(" | ") for row in page.splitlines() if row.count(" | ") == 2 and row.endswith(". |")]
    assert len(rows) == 20
    bank = PromptBank.load()
    assert [text for _, _, text in rows] == [bank.sentence(zone, name).text for name, zone, _ in rows]
