"""Who speaks, as names tell: taken where the data bear it out, and else a note says what it means.
"""

import itertools
from collections import Counter

import pytest

from course_utils.corpora import speakers
from course_utils.corpora.speech_commands import load
from course_utils.tests.test_speech_commands import TRAIN, add, corpus_in, lists_in

PEOPLE = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
DIGITS = ("zero", "one", "two")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


def corpus(tmp_path, form, people=PEOPLE, takes=range(4), words=DIGITS):
    for (number, word), person, take in itertools.product(enumerate(words), people, takes):
        name = form.format(number=number, word=word, person=person, take=take)
        add(tmp_path / "corpus", f"{word}/{name}.wav")
    return load(tmp_path / "corpus", verbose=False)


@pytest.mark.parametrize(
    "form",
    [
        "{number}_{person}_{take}", "{word}_{person}_{take}", "{person}_{take}",
        "{person}_{word}_{take}", "{person}-{number}-{take:02}", "{person}_{take}_{word}",
        "rec {word} {person} take{take}",
    ],
)
def test_speakers_are_read_from_a_pattern(tmp_path, form):
    found = corpus(tmp_path, form)
    assert {name.removeprefix("rec ") for name in found.speakers} == set(PEOPLE)
    assert Counter(found.utterances.tolist()) == {take: 18 for take in range(4)}
    assert len(found.first_takes()) == 18
    assert found.caveats == []
    assert [note for note in found.notes if note.startswith("no name has _nohash_: speakers are")]
    parts = {split: set(found.split(split).speakers) for split in speakers.SPLITS}
    assert [len(people) for people in parts.values()] == [4, 1, 1]
    assert len(set.union(*parts.values())) == 6
    assert (
        "no validation_list.txt and no testing_list.txt: split by speaker (train 4, validation 1, "
        "test 1)"
    ) in found.notes


def test_takes_that_begin_with_one(tmp_path):
    found = corpus(tmp_path, "{number}_{person}_{take}", takes=range(1, 4))
    assert Counter(found.utterances.tolist()) == {0: 18, 1: 18, 2: 18}


def test_numbers_are_speakers_between_a_label_and_a_take(tmp_path):
    found = corpus(tmp_path, "{number}_{person}_{take}", people=("01", "02", "47"))
    assert set(found.speakers) == {"01", "02", "47"}


@pytest.mark.parametrize("people", [("s1", "s2", "s3"), ("spk_1", "spk_2", "spk_3", "spk_4")])
def test_people_with_numbers(tmp_path, people):
    assert set(corpus(tmp_path, "{word}_{person}_{take}", people=people).speakers) == set(people)


def test_the_same_names_in_most_words_are_people(tmp_path):
    found = corpus(tmp_path, "{person}", takes=[0])
    assert set(found.speakers) == set(PEOPLE)
    assert found.caveats == []


@pytest.mark.parametrize(
    "form, people",
    [
        ("{number}_{person}_{take}", PEOPLE[:2]),  # two speakers are too few to be one
        ("{word}_{take}", ["x"]),
        ("session{take}_{number}_0", ["x"]),
        ("{number}_{person}_{take}", ["20240105", "20240106", "20240107"]),  # days
        ("{take}", ["x"]),
        ("Recording ({take})", ["x"]),
        ("{word}{person}{take}", PEOPLE),
    ],
)
def test_else_a_note_says_that_the_splits_are_not_by_speaker(tmp_path, form, people):
    found = corpus(tmp_path, form, people=people, takes=range(12))
    assert found.caveats == ["splits not by speaker"]
    (note,) = [note for note in found.notes if "NOT by speaker" in note]
    assert note.startswith("no name has _nohash_")
    assert "Name the clips <speaker>_nohash_<number>.wav" in note
    assert all(len(found.split(split)) for split in speakers.SPLITS)
    assert found.split("train").caveats == found.only(["one", "two"]).caveats == found.caveats


def test_speakers_of_few_words_are_not_believed(tmp_path):
    add(tmp_path / "corpus", "zero/0_guest_0.wav")
    found = corpus(tmp_path, "{number}_{person}_{take}")
    assert found.caveats == ["splits not by speaker"]
    assert len(set(found.speakers)) == len(found) == 73


def test_lists_decide_and_nobody_knows_more(tmp_path):
    lists_in(tmp_path, "zero/zero1.wav", "zero/zero2.wav")
    (tmp_path / "corpus").mkdir()
    for name in speakers.LIST_FILES.values():
        (tmp_path / name).rename(tmp_path / "corpus" / name)
    found = corpus(tmp_path, "{word}{take}", people=["x"])
    assert found.caveats == ["speakers not known"]
    assert [note for note in found.notes if note.endswith("whether the lists keep speakers apart")]


def test_lists_that_put_a_speaker_into_two_parts(tmp_path):
    lists_in(tmp_path, "zero/0_theo_0.wav", "zero/0_theo_1.wav")
    (tmp_path / "corpus").mkdir()
    for name in speakers.LIST_FILES.values():
        (tmp_path / name).rename(tmp_path / "corpus" / name)
    assert corpus(tmp_path, "{number}_{person}_{take}").caveats == [
        "1 speakers in more than one split"
    ]


def test_some_names_without_nohash(tmp_path):
    place = corpus_in(tmp_path / "few")
    add(place, "yes/anna.wav")
    found = load(place, verbose=False)
    assert found.caveats == []
    assert [note for note in found.notes if note.startswith("1 of 25 names have no _nohash_")]
    for number in range(10):
        add(place, f"yes/{number}.wav")
    assert load(place, verbose=False).caveats == ["splits not by speaker"]


def test_as_many_speakers_as_clips(tmp_path):
    for number in range(20):
        add(tmp_path / "corpus", f"{'yes' if number % 2 else 'no'}/{number:08x}_nohash_0.wav")
    notes = load(tmp_path / "corpus", verbose=False).notes
    assert [note for note in notes if note.startswith("as many speakers as clips, 20")]


def test_the_first_take_need_not_be_number_0(tmp_path):
    place = corpus_in(tmp_path / "corpus", speakers=TRAIN, takes=2)
    for path in place.glob("*/*_nohash_0.wav"):
        path.unlink()
    assert len(load(place, verbose=False).first_takes()) == 12


@pytest.mark.parametrize("count, parts", [(2, [1, 0, 1]), (3, [1, 1, 1]), (10, [8, 1, 1]),
                                          (95, [75, 10, 10])])
def test_sharing_out(count, parts):
    names = [f"person {number}" for number in range(count)]
    shared = speakers.share_out(names + names[:1] * 500)
    counts = Counter(shared.values())
    assert [counts[split] for split in speakers.SPLITS] == parts
    assert shared["person 0"] == "train"


def test_a_handful_of_speakers_with_nohash_is_shared_out(tmp_path):
    """Their hashes can leave a part empty; people who name their clips as told get all three."""
    found = load(corpus_in(tmp_path / "corpus", speakers=TRAIN), verbose=False)
    assert [len(set(found.split(split).speakers)) for split in speakers.SPLITS] == [2, 1, 1]
    assert (
        "no validation_list.txt and no testing_list.txt: split by speaker (train 2, validation 1, "
        "test 1), for the corpus' own rule, a hash, leaves validation and test empty"
    ) in found.notes
    assert found.caveats == []


def test_nohash_in_capitals(tmp_path):
    place = corpus_in(tmp_path / "corpus")
    for path in list(place.glob("*/*.wav")):
        path.rename(path.with_name(path.name.upper()))
    found = load(place, verbose=False)
    assert len(set(found.speakers)) == 8
    assert not [note for note in found.notes if "_nohash_" in note]


def test_names_that_differ_in_capital_letters(tmp_path):
    found = load(corpus_in(tmp_path / "corpus", speakers=["Anna", "ben", "anna", "eve"]), verbose=0)
    (note,) = [note for note in found.notes if "capital letters" in note]
    assert note.endswith("only: Anna, anna; each counts as a person")


@pytest.mark.parametrize(
    "form", ["{person}/{word}_{take}", "{person}/{word}", "{person}/{number}_{person}_{take}"]
)
def test_folders_of_people_are_no_words(tmp_path, form):
    for (number, word), person in itertools.product(enumerate(("yes", "no", "up")), PEOPLE):
        name = form.format(number=number, word=word, person=person, take=0)
        add(tmp_path / "corpus", f"{name}.wav")
    found = load(tmp_path / "corpus", verbose=False)
    assert found.caveats == ["splits not by speaker"]
    (note,) = [note for note in found.notes if "look like people" in note]
    assert note.startswith("the folders (george, jackson, lucas ...)")


@pytest.mark.parametrize(
    "words, form", [(("null", "eins", "drei"), "{number}_{person}_{take}"),
                    (("oui", "non", "eau"), "{person}_no_{take}"),
                    (("oui", "non", "eau"), "{person}_{take}")],
)
def test_foreign_words_are_words(tmp_path, words, form):
    people = ("marvin", "sheila", "theo") if "no" not in form else PEOPLE
    assert corpus(tmp_path, form, people=people, words=words).caveats == []
