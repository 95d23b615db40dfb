"""Common Voice: the embedded corpus, releases as they are found, and the dataset made of them."""

import csv
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter, namedtuple
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from course_utils.corpora import CorpusError, cache, clips, common_voice, embedded, selection
from course_utils.corpora import tables as releases
from course_utils.corpora.embedded import build as builder
from course_utils.corpora.embedded import script
from course_utils.corpora.embedded.sentences import words
from course_utils.corpora.embedded.speakers import make_speaker

SMALL = {"speakers": 20, "sentences": 2}  # 40 clips
TABLES = ("train.tsv", "dev.tsv", "test.tsv")
Usage = namedtuple("Usage", "total used free")
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """An embedded corpus of twenty speakers; nobody writes to it."""
    return embedded.common_voice("fr", tmp_path_factory.mktemp("voices") / "small", **SMALL)


@pytest.fixture
def copy(small, tmp_path):
    """The folder of its language, to be spoilt."""
    return Path(shutil.copytree(small, tmp_path / "release")) / "fr"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")


def load(folder, **options):
    return common_voice.load("fr", folder, **{"verbose": False, **options})


def refused(folder, **options):
    """What a student is told who names this folder."""
    with pytest.raises(CorpusError) as error:
        load(folder, **options)
    return str(error.value)


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def rewrite(path, rows, columns=None):
    columns = columns or list(rows[0])
    lines = ["\t".join(columns)] + ["\t".join(row.get(c, "") for c in columns) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def files(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def remains(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


# --- the embedded corpus ------------------------------------------------------------------------


def test_the_layout_is_that_of_a_release(small):
    assert sorted(path.name for path in small.iterdir()) == [
        "README.md", "corpus.json", "fr", "speakers.json",
    ]  # fmt: skip
    assert sorted(path.name for path in (small / "fr").iterdir()) == [
        "clip_durations.tsv", "clips", "dev.tsv", "test.tsv", "train.tsv", "validated.tsv",
    ]  # fmt: skip
    header = (small / "fr" / "train.tsv").read_text("utf-8").split("\n")[0].split("\t")
    assert header == [
        "client_id", "path", "sentence_id", "sentence", "sentence_domain", "up_votes",
        "down_votes", "age", "gender", "accents", "variant", "locale", "segment",
    ]  # fmt: skip
    for row in table(small / "fr" / "validated.tsv"):
        assert len(row["client_id"]) == 128
        assert len(row["sentence_id"]) == 64
        assert row["locale"] == "fr"
        assert row["accents"].startswith("Français de ")
        assert (row["age"], row["gender"]) == ("", "")


def test_the_tables_and_the_clips_belong_together(small):
    clips = {path.name for path in (small / "fr" / "clips").iterdir()}
    parts = [{row["path"] for row in table(small / "fr" / name)} for name in TABLES]
    assert [len(part) for part in parts] == [32, 4, 4]
    assert set.union(*parts) == clips
    assert {row["path"] for row in table(small / "fr" / "validated.tsv")} == clips
    assert {row["clip"] for row in table(small / "fr" / "clip_durations.tsv")} == clips


def test_durations_are_those_of_the_clips(small):
    for row in table(small / "fr" / "clip_durations.tsv"):
        info = soundfile.info(small / "fr" / "clips" / row["clip"])
        assert (info.samplerate, info.channels, info.format) == (32_000, 1, "MP3")
        assert abs(info.duration - int(row["duration[ms]"]) / 1000) < 0.001
        assert 0.6 < info.duration < 7


def test_no_two_splits_share_a_speaker_or_a_sentence(small):
    for column in ("client_id", "sentence"):
        parts = [{row[column] for row in table(small / "fr" / name)} for name in TABLES]
        assert sum(map(len, parts)) == len(set.union(*parts))
    sentences = [row["sentence"] for row in table(small / "fr" / "validated.tsv")]
    assert len({tuple(words(sentence)) for sentence in sentences}) == 40


def test_the_splits_have_the_same_shares_of_voices():
    recipe = {"language": "fr", "seed": 0, "speakers": 160, "sentences": 1}
    shares = {}
    for clip in script.lines_of(recipe):
        voice = make_speaker(clip.speaker, 0).voice
        shares.setdefault(clip.split, Counter())[voice] += 1
    assert {split: sum(count.values()) for split, count in shares.items()} == {
        "train": 128, "dev": 16, "test": 16,
    }  # fmt: skip
    for voice in ("low", "high", "child"):
        assert abs(shares["dev"][voice] - shares["test"][voice]) <= 1
        assert abs(shares["train"][voice] - 8 * shares["test"][voice]) <= 8


def test_the_corpus_of_the_notebook_is_large_enough():
    recipe = {"language": "fr", "seed": 0, "speakers": 160, "sentences": 8}
    clips = script.lines_of(recipe)
    assert Counter(clip.split for clip in clips) == {"train": 1024, "dev": 128, "test": 128}
    known = {word for clip in clips if clip.split == "train" for word in words(clip.sentence)}
    rest = {word for clip in clips if clip.split != "train" for word in words(clip.sentence)}
    assert rest <= known  # nobody is tested on a word that nobody taught


def test_it_says_that_nobody_spoke(small):
    text = " ".join((small / "README.md").read_text("utf-8").split())
    for part in ("Nobody said these sentences", "espeak-ng 1.", "Language: fr. 40 clips", "human"):
        assert part in text
    record = json.loads((small / "corpus.json").read_text("utf-8"))
    assert record["synthetic"] is True
    assert record["recipe"] == {"version": 1, "language": "fr", "seed": 0, **SMALL}
    people = json.loads((small / "speakers.json").read_text("utf-8"))
    assert {person["client_id"] for person in people} == {
        row["client_id"] for row in table(small / "fr" / "validated.tsv")
    }
    assert {person["accent"] for person in people} <= {"fr", "fr-be", "fr-ch"}


def test_the_number_of_processes_changes_no_byte(small, tmp_path):
    again = embedded.common_voice("fr", tmp_path / "again", processes=1, **SMALL)
    assert files(again) == files(small)


@pytest.mark.parametrize(
    "language, digest", [("fr", "d3db101deb61bbcc"), ("en", "95e213bbecb0bb59")]
)
def test_who_reads_what_stays_as_it_was(language, digest):
    lines = script.lines_of({"language": language, "seed": 0, "speakers": 160, "sentences": 8})
    text = "\n".join(f"{line.path} {line.speaker} {line.split} {line.sentence}" for line in lines)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == digest


@pytest.mark.parametrize("part, sizes", [("new_words", [32, 4, 4]), ("more", [40, 4, 4])])
def test_a_part_changes_the_test_or_the_training_alone(small, tmp_path, monkeypatch, part, sizes):
    monkeypatch.setattr(script, "MORE", 4)
    (tmp_path / "common_voice_fr-v1").symlink_to(small)
    folder = embedded.common_voice("fr", tmp_path / "part", part=part, **SMALL)
    rows = [[row["path"] for row in table(folder / "fr" / name)] for name in TABLES]
    assert [len(part) for part in rows] == sizes
    changed = {"new_words": "test.tsv", "more": "train.tsv"}[part]
    for name in set(TABLES) - {changed}:
        assert (folder / "fr" / name).read_bytes() == (small / "fr" / name).read_bytes()
    before, after = files(small / "fr" / "clips"), files(folder / "fr" / "clips")
    shared = before.keys() & after.keys()
    assert len(shared) == (36 if part == "new_words" else 40)
    assert {name: before[name] for name in shared} == {name: after[name] for name in shared}
    old, new = table(small / "fr" / "test.tsv"), table(folder / "fr" / "test.tsv")
    assert {row["client_id"] for row in old} == {row["client_id"] for row in new}
    heard = [words(row["sentence"]) for row in table(folder / "fr" / "train.tsv")]
    if part == "new_words":
        assert all(set(words(row["sentence"])) - set().union(*heard) for row in new)


@pytest.mark.parametrize("language, accents", [("de", {"de"}), ("es", {"es", "es-419"})])
def test_german_and_spanish_are_spoken(tmp_path, language, accents):
    folder = embedded.common_voice(language, tmp_path / "corpus", speakers=10, sentences=1)
    people = json.loads((folder / "speakers.json").read_text("utf-8"))
    assert {person["accent"] for person in people} <= accents
    assert len(table(folder / language / "validated.tsv")) == 10


def test_english_by_one_argument(tmp_path):
    folder = embedded.common_voice("en", tmp_path / "english", speakers=10, sentences=1)
    rows = table(folder / "en" / "validated.tsv")
    assert len(rows) == 10
    assert {row["locale"] for row in rows} == {"en"}
    corpus = common_voice.load("en", folder, verbose=False)
    assert corpus.language == "en"
    assert corpus.notes == [
        "only one speaker in validation and test: scores say little about other people",
        "resampled to 16000 Hz: 10 clips",
    ]
    assert corpus.caveats == ["one speaker in validation and test"]


def test_a_killed_build_is_never_trusted_and_removed_by_the_next(small, tmp_path):
    folder = tmp_path / "corpus"
    code = (
        "from pathlib import Path\nfrom course_utils.corpora import embedded\n"
        f"embedded.common_voice('fr', Path({str(folder)!r}), **{SMALL!r})"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while len(list(tmp_path.glob(".corpus.building-*/fr/clips/*.mp3"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not folder.exists()
    embedded.common_voice("fr", folder, **SMALL)
    assert files(folder) == files(small)
    assert remains(tmp_path) == ["corpus"]


def test_it_is_built_once_and_other_settings_need_another_folder(small, capsys):
    assert embedded.common_voice("fr", small, **SMALL) == small
    assert capsys.readouterr().out == ""
    for changes in ({"seed": 1}, {"speakers": 10}, {"sentences": 3}):
        with pytest.raises(CorpusError, match="made with other settings"):
            embedded.common_voice("fr", small, **{**SMALL, **changes})
    with pytest.raises(CorpusError, match="made with other settings"):
        embedded.common_voice("en", small, **SMALL)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"language": "it"}, "language is 'it'; the embedded corpus speaks fr and en"),
        ({"part": "less"}, "part is 'less'; use one of new_words, more, or none"),
        ({"language": "de", "part": "new_words"}, "there are new words for 'fr', 'en'"),
        ({"speakers": 9}, "speakers is 9; a split by speaker needs at least 10"),
        ({"sentences": 0}, "sentences is 0; everybody reads at least 1"),
        ({"processes": 0}, "processes is 0; it takes at least 1 to speak"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        embedded.common_voice(**{"folder": tmp_path / "corpus", **SMALL, **changes})


def test_a_full_disk_names_this_corpus_size(tmp_path, monkeypatch):
    def speak(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(builder, "speak", speak)
    with pytest.raises(CorpusError, match=r"the whole takes about 25 MB") as error:
        embedded.common_voice("fr", tmp_path / "corpus", **SMALL)
    assert "is full" in str(error.value)
    assert remains(tmp_path) == []


def test_without_espeak_the_other_sources_are_named(tmp_path, monkeypatch):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "espeakng_loader.py").write_text("raise ImportError('no wheel')")
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    with pytest.raises(CorpusError, match="needs espeak-ng") as error:
        embedded.common_voice("fr", tmp_path / "corpus", **SMALL)
    for other in ("COURSE_COMMON_VOICE", "mini_librispeech (459 MB", "mdc:DATASET_ID", "folder"):
        assert other in str(error.value)


# --- the dataset --------------------------------------------------------------------------------


def test_an_item(small):
    corpus = load(small)
    clip = corpus[3]
    assert clip.waveform.dtype == torch.float32
    assert clip.waveform.shape == (1, round(16_000 * clip.seconds))
    assert 0.01 < clip.waveform.abs().max() <= 1
    row = next(r for r in table(small / "fr" / "validated.tsv") if clip.path.endswith(r["path"]))
    assert (clip.transcript, clip.speaker) == (row["sentence"], row["client_id"])
    waveform, transcript, _, _, seconds = clip
    assert waveform is clip.waveform and transcript == clip.transcript and seconds > 0
    assert corpus[-1].path == corpus.paths[-1]
    with pytest.raises(IndexError, match="clip 40 of 40"):
        corpus[40]


def test_a_waveform_is_what_the_file_holds(small):
    corpus = load(small)
    for item in (0, 17, 39):
        samples, rate = soundfile.read(small / "fr" / corpus.paths[item])
        ours = corpus[item].waveform[0].numpy()
        assert rate == 32_000 and abs(len(ours) - len(samples) / 2) <= 1
        energy = (samples**2).mean()
        assert abs((ours**2).mean() / energy - 1) < 0.05


def test_splits_have_no_speaker_in_common(small):
    corpus = load(small)
    parts = [corpus.split(name) for name in common_voice.SPLITS]
    assert [len(part) for part in parts] == [32, 4, 4]
    speakers = [set(part.speakers) for part in parts]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 20
    assert not any(note for note in corpus.notes if "split" in note)
    with pytest.raises(ValueError, match="split is 'dev'; use one of train, validation, test"):
        corpus.split("dev")


def test_the_parts_of_a_corpus(small):
    corpus = load(small)
    assert len(corpus.sample(2)) == 6
    assert list(corpus.sample(2).paths) == list(corpus.sample(2).paths)
    taken = corpus.take([5, 2])
    assert [clip.path for clip in (taken[0], taken[1])] == [corpus.paths[5], corpus.paths[2]]
    assert len(corpus.take([])) == 0
    assert len({c.fingerprint for c in (corpus, taken, corpus.split("test"))}) == 3
    assert load(small).fingerprint == corpus.fingerprint


def test_durations_come_from_the_table(small):
    corpus = load(small)
    stated = {
        f"clips/{row['clip']}": int(row["duration[ms]"]) / 1000
        for row in table(small / "fr" / "clip_durations.tsv")
    }
    assert list(corpus.durations) == [stated[path] for path in corpus.paths]
    assert np.abs(corpus.durations - corpus.lengths / 16_000).max() < 0.01


def test_the_data_card(small):
    text = load(small).describe()
    for part in (
        "Common Voice (small/fr, fr, synthetic speech): 40 clips",
        "train: 32 clips",
        "16 speakers",
        "accents: Français de",
        "genders: not stated 100%",
        "resampled to 16000 Hz: 40 clips",
    ):
        assert part in text


def test_the_report_is_printed_and_can_be_silenced(small, capsys):
    corpus = common_voice.load("fr", small)
    assert capsys.readouterr().out == f"{corpus}\n  - resampled to 16000 Hz: 40 clips\n"
    load(small)
    assert capsys.readouterr().out == ""


def test_loading_changes_nothing_in_the_folder(copy):
    before = files(copy.parent)
    load(copy, min_seconds=1)
    assert files(copy.parent) == before


def test_it_is_decoded_once(small, monkeypatch):
    first = load(small)
    monkeypatch.setattr(clips, "decode", None)
    assert load(small).fingerprint == first.fingerprint


def test_a_clip_that_changed_is_decoded_again(copy):
    first = load(copy)
    path = copy / first.paths[0]
    os.utime(path, (1, 1))
    assert load(copy).fingerprint != first.fingerprint


@pytest.mark.parametrize("content", [b"", b"{", b'{"paths": []}', b"\xff"])
def test_a_damaged_cache_is_made_anew(small, content, capsys):
    load(small)
    (index,) = cache.folder().glob("common_voice_*/index.json")
    index.write_bytes(content)
    assert len(load(small)) == 40
    assert "is damaged" in capsys.readouterr().out


def test_samples_that_are_missing_from_the_cache(small, capsys):
    load(small)
    (store,) = cache.folder().glob("common_voice_*/waveforms.int16")
    store.write_bytes(store.read_bytes()[:-2])
    assert len(load(small)) == 40
    assert "is damaged" in capsys.readouterr().out


# --- where it comes from ------------------------------------------------------------------------


def test_the_setting_and_the_argument(small, monkeypatch, copy):
    monkeypatch.setenv("COURSE_COMMON_VOICE", str(small))
    assert common_voice.load(verbose=False).name == "small/fr"
    assert load(copy).name == "release/fr"


def test_embedded_is_the_default(small, monkeypatch):
    monkeypatch.setattr(embedded, "common_voice", lambda language: small)
    corpus = common_voice.load(verbose=False)
    assert (corpus.name, corpus.language, corpus.synthetic) == ("embedded fr", "fr", True)


def test_a_source_that_is_none(tmp_path):
    told = refused(tmp_path / "nowhere")
    assert "use embedded, mini_librispeech, mdc:DATASET_ID, or a folder that exists" in told


def test_the_folder_of_the_language_or_one_above_it(copy, tmp_path):
    assert len(load(copy)) == len(load(copy.parent)) == len(load(copy.parent.parent)) == 40


def test_a_folder_with_other_languages(copy):
    shutil.copytree(copy, copy.parent / "de")
    assert load(copy.parent).language == "fr"
    with pytest.raises(CorpusError, match=r"holds 2 corpora \(de, fr\), and 0 of them are in 'it'"):
        common_voice.load("it", copy.parent)


def test_a_single_language_is_used_and_named(copy):
    corpus = common_voice.load("it", copy, verbose=False)
    assert corpus.language == "fr"
    assert "its language is fr; it was asked for" in corpus.notes


def test_a_folder_without_tables(tmp_path):
    (tmp_path / "thesis.txt").write_text("x")
    told = refused(tmp_path)
    assert "is not a release of Common Voice" in told
    assert "It holds thesis.txt" in told


# --- tables -------------------------------------------------------------------------------------


def test_columns_are_found_by_name(copy):
    for name in TABLES:
        rows = table(copy / name)
        for row in rows:
            row["accent"] = row.pop("accents")
        rewrite(copy / name, rows, ["sentence", "accent", "votes", "path", "client_id"])
    corpus = load(copy)
    assert len(corpus) == 40
    assert corpus.accents[0].startswith("Français de")
    assert corpus.language == "fr"  # the name of the folder, where no column says it


@pytest.mark.parametrize("gone", ["client_id", "path", "sentence"])
def test_a_missing_column_is_named(copy, gone):
    rows = table(copy / "dev.tsv")
    rewrite(copy / "dev.tsv", rows, [name for name in rows[0] if name != gone])
    told = refused(copy)
    assert f"dev.tsv lacks the column {gone}: its first line has" in told
    assert "needs client_id, path, sentence" in told


def test_a_table_with_commas_or_with_nothing(copy):
    text = (copy / "dev.tsv").read_text("utf-8")
    (copy / "dev.tsv").write_text(text.replace("\t", ","), encoding="utf-8")
    assert "lacks the columns client_id, path, sentence" in refused(copy)
    (copy / "dev.tsv").write_text("")
    assert "its first line has nothing" in refused(copy)


def test_a_table_that_is_no_text(copy):
    (copy / "dev.tsv").write_text("client_id\tpath\tsentence\nÀ\tb\tc", encoding="latin-1")
    assert "dev.tsv is not UTF-8 text" in refused(copy)


def test_a_byte_order_mark_quotes_and_line_ends_of_windows(copy):
    rows = table(copy / "test.tsv")
    rows[0]["sentence"] = '"Oui", dit-il.'
    rows[1]["sentence"] = 'Un " seul.'
    rewrite(copy / "test.tsv", rows)
    text = (copy / "test.tsv").read_text("utf-8").replace("\n", "\r\n")
    (copy / "test.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert list(load(copy).split("test").transcripts[:2]) == ['"Oui", dit-il.', 'Un " seul.']


def test_an_empty_sentence_is_left_out_counted_and_named(copy):
    rows = table(copy / "train.tsv")
    for row, sentence in zip(rows, ("", "  "), strict=False):
        row["sentence"] = sentence
    rewrite(copy / "train.tsv", rows)
    corpus = load(copy)
    assert len(corpus) == 38
    names = [f"clips/{row['path']}" for row in rows[:2]]
    assert corpus.problems == [(name, "its sentence is empty") for name in names]
    assert (
        "left out: 2 clips, 2 with an empty sentence and 0 that cannot be read; all stand in "
        ".problems" in corpus.notes
    )
    assert any(names[0] in note for note in corpus.notes)


@pytest.mark.parametrize(
    "path, reason",
    [
        ("", "the row names no clip"),
        ("../../secret.mp3", "it points outside of the folder of clips"),
        ("clips/../../secret.mp3", "it points outside of the folder of clips"),
        ("/etc/secret.mp3", "it points outside of the folder of clips"),
        ("C:\\secret.mp3", "it points outside of the folder of clips"),
        ("..", "it points outside of the folder of clips"),
        ("a\0b.mp3", "its name holds a sign that no name of a file has"),
    ],
)
def test_rows_that_name_nothing_or_point_outside(copy, path, reason):
    rows = table(copy / "train.tsv")
    rewrite(copy / "train.tsv", [*rows, rows[0] | {"path": path}])
    corpus = load(copy)
    assert len(corpus) == 40
    assert [why for _, why in corpus.problems] == [reason]


def test_unknown_letters_are_kept_as_they_are(copy):
    rows = table(copy / "train.tsv")
    rows[0]["sentence"] = "Ça coûte 5 € — « ñ » 日本"
    rewrite(copy / "train.tsv", rows)
    assert "Ça coûte 5 € — « ñ » 日本" in load(copy).transcripts


def test_without_tables_for_the_splits_the_speakers_are_shared_out(copy):
    for name in TABLES:
        (copy / name).unlink()
    corpus = load(copy)
    speakers = [set(corpus.split(name).speakers) for name in common_voice.SPLITS]
    assert [len(part) for part in speakers] == [16, 2, 2]
    assert len(set.union(*speakers)) == 20
    note = "no rows in train.tsv, dev.tsv, test.tsv: split by a hash of the speaker"
    assert corpus.notes[0] == note


def test_a_split_that_is_empty_is_made_from_the_others(copy):
    (copy / "validated.tsv").unlink()
    rewrite(copy / "dev.tsv", [], list(script.COLUMNS))
    corpus = load(copy)
    assert len(corpus) == 36
    assert all(len(corpus.split(name)) for name in common_voice.SPLITS)
    assert corpus.notes[0] == "no rows in dev.tsv: split by a hash of the speaker"


def test_one_speaker_cannot_be_shared_out(copy):
    for name in TABLES:
        (copy / name).unlink()
    rows = table(copy / "validated.tsv")[:2]
    rewrite(copy / "validated.tsv", rows)
    corpus = load(copy)
    assert len(corpus.split("train")) == 2
    with pytest.raises(CorpusError, match="The test part of release/fr is empty: there are 2 clip"):
        corpus.split("test")


def test_speakers_in_two_splits_are_told(copy):
    rows = table(copy / "test.tsv")
    rows[0]["client_id"] = table(copy / "train.tsv")[0]["client_id"]
    rewrite(copy / "test.tsv", rows)
    assert "1 speakers are in more than one split: scores will be too high" in load(copy).notes


def test_a_clip_in_two_tables_counts_once(copy):
    rewrite(copy / "test.tsv", table(copy / "test.tsv") + table(copy / "train.tsv")[:3])
    corpus = load(copy)
    assert len(corpus) == 40
    assert len(corpus.split("test")) == 4
    assert "3 clips stand in two tables or twice in one: the first row counts" in corpus.notes


def test_no_row_can_be_used(copy):
    for name in (*TABLES, "validated.tsv"):
        rewrite(copy / name, [], list(script.COLUMNS))
    assert "has a row that can be used. Was the release unpacked completely?" in refused(copy)


def test_names_without_a_suffix_are_mp3(copy):
    rows = table(copy / "dev.tsv")
    for row in rows:
        row["path"] = row["path"].removesuffix(".mp3")
    rewrite(copy / "dev.tsv", rows)
    assert len(load(copy).split("validation")) == 4


# --- clips --------------------------------------------------------------------------------------


def first_clip(folder, row=0):
    return folder / "clips" / table(folder / "train.tsv")[row]["path"]


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_bytes(b""), "is empty: 0 bytes"),
        (lambda path: path.write_bytes(b"<html>"), "is not audio"),
        (lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]), "cut off"),
    ],
    ids=["missing", "empty", "a web page", "truncated"],
)
def test_a_clip_that_cannot_be_read_is_named_counted_and_left_out(copy, spoil, reason):
    path = first_clip(copy)
    spoil(path)
    corpus = load(copy)
    assert len(corpus) == 39
    ((name, why),) = corpus.problems
    assert name == f"clips/{path.name}"
    assert reason in why
    assert corpus.notes[-2].startswith("left out: 1 clips, 0 with an empty sentence and 1 that")
    assert path.name in corpus.notes[-1]
    # What comes behind it stands where the index says.
    assert corpus[5].waveform.abs().max() > 0.01
    assert len(load(copy, min_seconds=0.1)) == 39


def frames(content):
    """The frames of an MP3 file at 32 kHz, the first of which counts the others."""
    rates = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    found, place = [], 0
    while place < len(content):
        size = 144_000 * rates[content[place + 2] >> 4] // 32_000 + (content[place + 2] >> 1 & 1)
        found.append(content[place : place + size])
        place += size
    return found


def test_a_cut_mp3_without_a_header_is_found_by_the_table(copy):
    path = first_clip(copy)
    found = frames(path.read_bytes())
    path.write_bytes(b"".join(found[1 : len(found) // 2]))  # between two frames
    ((_, reason),) = load(copy).problems
    assert "is cut off:" in reason and "s are there" in reason


def test_not_one_clip_can_be_read(copy):
    shutil.rmtree(copy / "clips")
    told = refused(copy)
    assert told.startswith("Not one of the 40 clips of release/fr can be read. The first: clips/")
    assert "does not exist" in told


@pytest.mark.parametrize("seconds", [0.1, 60.0])
@pytest.mark.parametrize("rate, channels", [(16_000, 1), (44_100, 2)])
def test_short_long_and_stereo_clips(copy, seconds, rate, channels):
    path = first_clip(copy)
    time_ = np.arange(round(seconds * rate)) / rate
    tone = 0.5 * np.sin(2 * np.pi * 440 * time_)
    soundfile.write(path, np.stack([tone, 0 * tone][:channels], 1), rate, format="MP3")
    text = (copy / "clip_durations.tsv").read_text("utf-8")
    kept = [line for line in text.splitlines() if not line.startswith(path.name)]
    (copy / "clip_durations.tsv").write_text("\n".join(kept))
    corpus = load(copy)
    item = list(corpus.paths).index(f"clips/{path.name}")
    clip = corpus[item]
    assert clip.waveform.shape == (1, round(16_000 * seconds))
    assert abs(corpus.durations[item] - seconds) < 0.001
    middle = clip.waveform[0, 400:1200]
    assert abs(middle.abs().max() - 0.5 / channels) < 0.05
    assert ("with several channels, averaged to one: 1 clips" in corpus.notes) == (channels > 1)


def test_silence_is_kept_and_told(copy):
    soundfile.write(first_clip(copy), np.zeros(96_000), 32_000, format="MP3")
    corpus = load(copy)
    assert len(corpus) == 40
    assert "silent for their whole length: 1 clips" in corpus.notes


def test_a_full_disk_leaves_nothing(small, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - 10**6, 10**6))
    told = refused(small)
    assert told.startswith("Decoding small/fr needs ")
    assert "set COURSE_DATA" in told
    assert remains(cache.folder()) == []


@needs_dev_full
def test_a_disk_that_fills_up_leaves_nothing(small, monkeypatch):
    require_space = cache.require_space

    def put_a_full_disk_in_the_way(target, needed, name):
        require_space(target, needed, name)
        (target / "waveforms.int16").symlink_to("/dev/full")

    monkeypatch.setattr(cache, "require_space", put_a_full_disk_in_the_way)
    assert "is full. The half-decoded corpus was removed" in refused(small)
    assert remains(cache.folder()) == []


# --- limits -------------------------------------------------------------------------------------


def test_a_filter_by_duration(small):
    everything = load(small)
    low, high = np.quantile(everything.durations, [0.25, 0.75])
    corpus = load(small, min_seconds=low, max_seconds=high)
    inside = (everything.durations >= low) & (everything.durations <= high)
    assert list(corpus.paths) == list(everything.paths[inside])
    assert f"10 clips are shorter than {low:g} s and not used" in corpus.notes
    assert f"10 clips are longer than {high:g} s and not used" in corpus.notes


def test_the_choice_is_kept_as_json_under_a_hash_of_the_tables(copy, monkeypatch):
    asked = []
    headers = selection._headers
    monkeypatch.setattr(
        selection, "_headers", lambda folder, rows: asked.append(len(rows)) or headers(folder, rows)
    )
    first = load(copy, max_seconds=1.8)
    (path,) = cache.folder().glob("common_voice_index_*/index.json")
    index = json.loads(path.read_text("utf-8"))
    assert len(index["kept"]) == len(first)
    assert (index["min_seconds"], index["max_seconds"]) == (0, 1.8)
    assert releases.read(copy).hash == index["tables"]
    assert load(copy, max_seconds=1.8).fingerprint == first.fingerprint
    assert asked == [0]  # the table knew all lengths, and the second time nobody asked
    (copy / "clip_durations.tsv").unlink()
    again = load(copy, max_seconds=1.8)
    assert asked == [0, 40]  # other tables, another hash: the headers are read
    assert abs(len(again) - len(first)) <= 1
    load(copy, max_seconds=1.8)
    assert asked == [0, 40]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"kept": [1000]}'])
def test_a_damaged_choice_is_made_anew(small, content):
    first = load(small, max_seconds=1.8)
    (path,) = cache.folder().glob("common_voice_index_*/index.json")
    path.write_bytes(content)
    assert load(small, max_seconds=1.8).fingerprint == first.fingerprint


def test_a_filter_without_a_table_decodes_nothing(copy, monkeypatch):
    (copy / "clip_durations.tsv").unlink()
    monkeypatch.setattr(clips.audio, "read_samples", None)
    chosen = selection.select(releases.read(copy), 0.1, 60)
    assert len(chosen.rows) == 40
    assert all(seconds > 0.5 for seconds in chosen.seconds)


def test_at_most_so_many_clips_of_each_split(small):
    corpus = load(small, max_clips=3)
    assert [len(corpus.split(name)) for name in common_voice.SPLITS] == [3, 3, 3]
    assert "31 clips more are there and not used" in corpus.notes
    assert list(load(small, max_clips=3).paths) == list(corpus.paths)
    assert set(corpus.paths) <= set(load(small, max_clips=4).paths)


def test_limits_that_leave_nothing_or_make_no_sense(small):
    assert "None of the 40 clips lasts 30 to inf s. Choose other limits." in refused(
        small, min_seconds=30
    )
    with pytest.raises(ValueError, match="min_seconds is 3, max_seconds 1"):
        load(small, min_seconds=3, max_seconds=1)


def test_a_release_of_one_language_does_not_push_out_another_choice(small):
    load(small)
    load(small, max_clips=3)
    kept = sorted(path.name for path in cache.folder().glob("common_voice_*"))
    load(small)
    load(small, max_clips=3)
    assert sorted(path.name for path in cache.folder().glob("common_voice_*")) == kept
