"""What is known of synthetic speakers, and the bias that is planted for a student to find."""

import json

import numpy as np
import pytest

from course_utils.corpora import embedded, traits
from course_utils.corpora.speech_commands import load
from course_utils.tests.test_speech_commands import corpus_in


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


@pytest.fixture
def corpus(tmp_path):
    place = embedded.speech_commands(
        tmp_path / "corpus", speakers=10, digit_takes=1, command_takes=1, other_takes=0
    )
    return load(place, verbose=False)


def test_each_clip_has_the_traits_of_its_speaker(corpus):
    people = json.loads((corpus.folder / "speakers.json").read_text(encoding="utf-8"))
    found = traits.of_speakers(corpus)
    assert tuple(found) == traits.TRAITS
    for person in people:
        rows = corpus.speakers == person["name"]
        assert set(found["voice"][rows]) == {person["voice"]}
        assert set(found["accent"][rows]) == {traits.ACCENTS[person["accent"]]}
    slowest = min(people, key=lambda person: person["words_per_minute"])["name"]
    loudest = min(people, key=lambda person: person["snr"])["name"]
    assert set(found["rate"][corpus.speakers == slowest]) == {"slow"}
    assert set(found["noise"][corpus.speakers == loudest]) == {"loud"}


def test_of_people_nothing_is_known(tmp_path):
    assert traits.of_speakers(load(corpus_in(tmp_path / "people"), verbose=False)) == {}


@pytest.mark.parametrize("seed", range(4))
def test_the_bad_line_is_that_of_one_group_alone(corpus, seed):
    x = corpus.tensors()[0]
    spoilt, (trait, group) = traits.with_a_bad_line(corpus, x, seed)
    changed = (spoilt != x).any(dim=2)[:, 0].numpy()
    assert np.array_equal(changed, traits.of_speakers(corpus)[trait] == group)
    if changed.any():
        hiss = (spoilt - x)[changed]
        ratio = hiss.square().mean(dim=2) / x[changed].square().mean(dim=2)
        assert ratio.min() > 0.9 and ratio.max() < 1.1  # as loud as the speech
    assert traits.with_a_bad_line(corpus, x, seed)[0].equal(spoilt)
