"""The network that opens stage 1: what its file holds, and that it is in step with what made it."""

import json
import subprocess
import sys
import zipfile

import pytest
import torch

from course_utils.corpora import embedded
from course_utils.instructor import first_network
from course_utils.interactive import first_words, opening

AGAIN = "run python -m course_utils.instructor.first_network --real FOLDER again"


@pytest.fixture(scope="module")
def said():
    return {word: embedded.say(word) for word in first_network.WORDS}


def test_the_program_is_in_step_with_code_and_corpus():
    about = opening.about()
    changed = {
        name for name, text in first_network.code().items() if about["code"].get(name) != text
    }
    assert not changed and len(about["code"]) == len(first_network.code()), AGAIN
    assert about["recipe"] == first_network.recipe(), AGAIN
    assert about["weights"] == first_network.weights_of(torch.export.load(opening.PROGRAM)), AGAIN
    assert about["classes"] == list(first_network.CLASSES), AGAIN


def test_the_file_is_small_and_holds_no_pickle():
    assert opening.PROGRAM.stat().st_size <= 400_000
    with zipfile.ZipFile(opening.PROGRAM) as parts:
        contents = {name: parts.read(name) for name in parts.namelist()}
    for name, content in contents.items():
        assert content[:1] != b"\x80" and content[:2] != b"PK", f"{name} can be unpickled"
        if name.endswith("_config.json"):
            assert not any(
                part["use_pickle"] for part in json.loads(content)["config"].values()
            ), name


def test_the_program_needs_no_class_of_the_course():
    script = (
        "import sys, torch; program = torch.export.load(sys.argv[1]).module(); "
        "shares = program(torch.zeros(3, 16_000)); "
        "assert shares.shape == (3, 5) and torch.allclose(shares.sum(1), torch.ones(3)); "
        "assert not any(name.startswith('course') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, opening.PROGRAM], check=True, cwd="/")


def test_each_word_of_a_new_synthetic_voice_is_heard(said):
    heard = {word: opening.in_words(opening.heard(clip)) for word, clip in said.items()}
    assert all(text.startswith(f"It hears: {word} (") for word, text in heard.items()), heard


def test_the_moment_and_the_level_do_not_matter(said):
    for clip in (0.1 * said["yes"], torch.nn.functional.pad(said["yes"], (8_000, 24_000))):
        assert opening.in_words(opening.heard(clip)).startswith("It hears: yes (")


@pytest.mark.parametrize("level", [0.0, 0.001, 0.3])
def test_silence_and_hiss_are_no_word(level):
    noise = level * torch.randn(1, 24_000, generator=torch.Generator().manual_seed(0))
    assert opening.in_words(opening.heard(noise)).startswith("It hears none of its words.")


def test_what_was_measured_stands_beside_the_button(said, capsys, monkeypatch):
    alts = []
    monkeypatch.setattr(opening.plotting, "show", lambda ax, alt: alts.append(alt))
    first_words(said["up"], "up")
    shown = capsys.readouterr().out
    about = opening.about()
    kept = [score for score in about["scores"] if score["seed"] == about["seed"]]
    score = next(score for score in kept if score["tested_on"] != "embedded")
    assert f"{100 * score['right']:.0f} %" in shown and "synthetic voices alone" in shown
    assert alts and alts[0].startswith("It hears: up (") and alts[0] in shown
