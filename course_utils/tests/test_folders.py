"""Folders of words as people have them: everything is used, or left out with its reason."""

import json
import os
import shutil
import tempfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies

import course_utils.settings
from course_utils import audio
from course_utils.corpora import clips, embedded, folders
from course_utils.corpora.speech_commands import load
from course_utils.tests.test_speech_commands import (
    RATE,
    SPEAKERS,
    TRAIN,
    add,
    corpus_in,
    lists_in,
    noise,
    refused,
)

LINUX = pytest.mark.skipif(os.name == "nt", reason="such names and files are not for Windows")


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))


@pytest.fixture
def folder(tmp_path):
    """Three words, eight speakers, 24 clips."""
    return corpus_in(tmp_path / "my words")


def told(folder, part):
    """The notes of a corpus that hold a text; everything can be printed."""
    corpus = load(folder, verbose=False)
    for note in corpus.notes:
        note.encode("utf-8")
    return [note for note in corpus.notes if part in note]


def opened(folder):
    return load(folder, verbose=False)


# --- one odd file -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("array is too big"), MemoryError(), KeyError("x")])
def test_whatever_one_clip_raises_is_a_named_problem(folder, monkeypatch, error):
    read_samples = audio.read_samples
    odd = add(folder, "yes/odd_nohash_0.wav")

    def fail(file):
        if Path(file) == odd:
            raise error
        return read_samples(file)

    monkeypatch.setattr(audio, "read_samples", fail)
    corpus = opened(folder)
    assert len(corpus) == 24
    ((path, reason),) = corpus.problems
    assert path == "yes/odd_nohash_0.wav"
    assert reason.startswith(f"{odd} cannot be used ({type(error).__name__}: ")
    assert "left out, because they cannot be read: 1 clips" in corpus.notes


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=strategies.sampled_from([b"", b"RIFF", b"fLaC", b"ID3", b"\xff\xfb", b"OggS", b"FORM"]),
    rest=strategies.binary(max_size=200),
    ending=strategies.sampled_from(audio.FORMATS),
)
def test_whatever_bytes_lie_in_one_clip_the_others_load(start, rest, ending):
    place = Path(tempfile.mkdtemp())
    corpus_in(place / "words", words=("no", "yes"), speakers=TRAIN)
    (place / "words" / "yes" / f"odd{ending}").write_bytes(start + rest)
    corpus = opened(place / "words")
    paths = [*corpus.paths, *(path for path, _ in corpus.problems)]
    assert len(paths) == 9
    assert f"yes/odd{ending}" in paths
    shutil.rmtree(place)


@pytest.mark.parametrize(
    "record",
    [
        b'["made by another program"]', b'"x"', b"{", b"\xff\xfe", b"", b"[" * 100_000,
        b'{"synthetic": "no"}', b'{"name": "x"}', b"null",
    ],
    ids=lambda record: str(record[:12]),
)
def test_the_record_of_another_program_says_nothing(folder, record):
    (folder / "corpus.json").write_bytes(record)
    assert opened(folder).synthetic is False


def test_our_own_record_says_that_nobody_spoke(folder):
    assert opened(folder).synthetic is False
    (folder / "corpus.json").write_text(json.dumps({"synthetic": True}))
    assert opened(folder).synthetic is True


def test_a_folder_in_place_of_a_record(folder):
    (folder / "corpus.json").mkdir()
    add(folder, "corpus.json/a.wav")
    assert opened(folder).synthetic is False


@LINUX
def test_names_that_are_no_text_can_be_listed_decoded_and_printed(folder, capsys):
    for name in (b"yes/caf\xe9.wav", b"yes/b\xe9d_nohash_0.wav", b"b\xe9d/a_nohash_0.wav"):
        path = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        shutil.copy(add(folder, "no/x_nohash_0.wav"), path)
    Path(os.fsdecode(os.fsencode(folder) + b"/yes/empt\xff.wav")).touch()
    corpus = load(folder)
    corpus.paths.tolist()
    assert "b\\xe9d" in corpus.words or "b\\udce9d" in corpus.words
    assert len(corpus.problems) == 1
    str((capsys.readouterr().out, corpus.problems, corpus.notes)).encode("utf-8")
    assert len(opened(folder)) == len(corpus)


@LINUX
def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "yes" / "pipe.wav")
    corpus = opened(folder)
    assert corpus.problems == [("yes/pipe.wav", "neither file nor folder")]
    assert told(folder, "pipe.wav") == ["yes: 1 file left out: neither file nor folder (pipe.wav)"]


@LINUX
def test_links_that_lead_in_a_circle(folder):
    (folder / "yes" / "x.wav").symlink_to("x.wav")
    (folder / "loop").symlink_to("loop")
    assert [path for path, _ in opened(folder).problems] == ["yes/x.wav"]


# --- everything is used or counted --------------------------------------------------------------


def test_a_word_in_another_format_is_told(folder):
    for number in range(12):
        path = folder / "hello" / f"{number}_nohash_0.m4a"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\0\0\0\x18ftypM4A ")
    corpus = opened(folder)
    assert corpus.words == ["no", "up", "yes"]
    assert len(corpus.problems) == 12
    (note,) = told(folder, "hello")
    assert note.startswith("hello: 12 files left out: none of .wav, .flac, .mp3")
    assert "convert to WAV" in note
    assert "0_nohash_0.m4a" in note


def test_everything_in_the_folder_of_a_word_is_used_or_counted(folder):
    for name in ("notes.txt", "._a.wav", ".b.wav", ".DS_Store", "Thumbs.db"):
        (folder / "yes" / name).write_text("x")
    add(folder, "yes/anna/deep.wav")
    add(folder, "loose.wav")
    add(folder, "_unknown_/a.wav")
    (folder / "LICENSE").write_text("x")
    (folder / "silent").mkdir()
    corpus = opened(folder)
    assert len(corpus) == 24
    assert dict(corpus.problems).keys() == {
        "yes/notes.txt", "yes/._a.wav", "yes/.b.wav", "yes/anna", "loose.wav", "_unknown_/a.wav",
    }
    assert told(folder, "no file at all in") == ["no file at all in silent"]
    assert len(told(folder, "left out: ")) == 6


def test_many_notes_become_a_sum(folder):
    for number in range(30):
        (folder / f"word{number:02}").mkdir()
        (folder / f"word{number:02}" / "a.m4a").write_text("x")
    assert len(opened(folder).problems) == 30
    assert len(told(folder, "left out")) == 7
    assert told(folder, "more files") == [
        "24 more files left out, in 30 folders in all; .problems names each"
    ]


def test_a_word_whose_clips_are_all_broken_is_named(folder):
    for number in range(3):
        add(folder, f"wow/{number}.wav").write_bytes(b"")
    assert told(folder, "not one clip") == ["not one clip can be read of: wow"]


def test_a_clip_is_judged_by_what_is_stored_of_it(folder):
    late = np.concatenate([np.zeros(RATE), noise(RATE)])
    add(folder, "yes/late.wav", late)
    add(folder, "yes/faint.wav", np.full(900, 1e-6), subtype="FLOAT")
    add(folder, "yes/silent.wav", np.zeros(900))
    add(folder, "yes/tiny.wav", np.array([0.5]), rate=96_000)
    corpus = opened(folder)
    assert "silent for their whole length: 1 clips" in corpus.notes
    assert "silent in what is kept of them, though not in the file: 2 clips" in corpus.notes
    assert (corpus.lengths > 0).all()


def test_noises_are_listed_as_words_are(folder, capsys):
    add(folder, "_background_noise_/white.wav", noise(40_000))
    add(folder, "_background_noise_/white.flac", noise(30_000))
    add(folder, "_background_noise_/pink.WAV", noise(20_000), format="WAV")
    (folder / "_background_noise_" / "._white.wav").write_bytes(b"\0\5\x16\7")
    (folder / "_background_noise_" / "rain.m4a").write_bytes(b"x")
    add(folder, "_background_noise_/mute.wav", np.zeros(900))
    (folder / "_background_noise_" / "cut.wav").write_bytes(b"RIFF")
    corpus = opened(folder)
    assert len(told(folder, "_background_noise_: 1 file left out: ")) == 2
    noises = corpus.background_noise()
    assert sorted(noises) == ["pink", "white", "white.wav"]
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("left out of the noises: ") for line in lines)
    assert {"mute.wav" in line for line in lines} == {True, False}


def test_noises_of_which_none_can_be_used(folder, capsys, monkeypatch, tmp_path):
    (folder / "_background_noise_").mkdir()
    (folder / "_background_noise_" / "._white.wav").write_bytes(b"\0\5\x16\7")
    own = add(tmp_path, "own/hum.wav", noise(20_000)).parent
    monkeypatch.setattr(embedded, "background_noise_folder", lambda: own)
    assert list(opened(folder).background_noise()) == ["hum"]
    assert "has no background noise" in capsys.readouterr().out


def test_noises_in_a_folder_of_another_name(folder):
    add(folder, "Background Noise/a.wav")
    assert told(folder, "is taken for a word") == [
        "Background Noise is taken for a word; noises lie in _background_noise_"
    ]


def test_a_folder_of_recordings_without_words(tmp_path):
    add(tmp_path, "flat/yes_0.wav")
    assert "1 recordings lie in it directly: make a folder for each word" in refused(
        tmp_path / "flat"
    )
    corpus_in(tmp_path / "words")
    assert f"Or is it one of the words of {tmp_path / 'words'}?" in refused(
        tmp_path / "words" / "yes"
    )


def test_a_folder_of_other_formats_alone(tmp_path):
    for word in ("yes", "no"):
        (tmp_path / "corpus" / word).mkdir(parents=True)
        (tmp_path / "corpus" / word / "a.m4a").write_bytes(b"x")
    assert refused(tmp_path / "corpus").endswith("(.m4a 2): convert them to WAV.")


# --- names and lists ----------------------------------------------------------------------------


def apart(name):
    return unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("on_disk, asked", [(apart, str), (str, apart), (apart, apart)])
def test_a_word_is_one_word_however_its_letters_are_composed(tmp_path, on_disk, asked):
    corpus_in(tmp_path / "corpus", words=[on_disk("fünf"), on_disk("zwölf"), "zwei"])
    corpus = load(tmp_path / "corpus", words=[asked("fünf"), asked("zwölf")], verbose=False)
    assert corpus.words == ["fünf", "zwölf"]
    assert corpus.count() == {"fünf": 8, "zwölf": 8}
    assert opened(tmp_path / "corpus").only([asked("zwölf"), "zwei"]).words == ["zwölf", "zwei"]


def test_capital_letters_are_a_hint(tmp_path):
    corpus_in(tmp_path / "corpus", words=["Yes", "NO", "Up"])
    told = refused(tmp_path / "corpus", words=["yes", "nope!"])
    assert "'yes' (did you mean 'Yes'?)" in told
    corpus = load(tmp_path / "corpus", words=["yes", "no"], verbose=False)
    assert any("yes (did you mean Yes?), no (did you mean NO?)" in note for note in corpus.notes)
    (note,) = corpus.only(["NO", "Up", "yes"]).notes[-1:]
    assert note == "no clips of: yes (did you mean Yes?)"


@pytest.mark.skipif(os.name == "nt", reason="one folder there")
def test_words_that_differ_in_capital_letters(folder):
    add(folder, "Yes/a_nohash_0.wav")
    if len(opened(folder).words) == 4:  # macOS has one folder
        assert told(folder, "capital letters only") == [
            "words that differ in capital letters only: Yes, yes"
        ]


def in_lists(folder, encoding, newline="\r\n"):
    for name, split in (("validation_list.txt", 0), ("testing_list.txt", 1)):
        lines = [f"{word}/{TRAIN[split]}_nohash_0.wav" for word in ("yes", "no", "fünf")]
        (folder / name).write_bytes((newline.join(lines) + newline).encode(encoding))


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"],
)
def test_lists_in_any_encoding(tmp_path, encoding):
    corpus_in(tmp_path / "corpus", words=["yes", "no", apart("fünf")])
    in_lists(tmp_path / "corpus", encoding)
    corpus = opened(tmp_path / "corpus")
    assert corpus.split("validation").speakers.tolist() == [TRAIN[0]] * 3
    assert corpus.split("test").speakers.tolist() == [TRAIN[1]] * 3
    assert not [note for note in corpus.notes if "lists" in note]


@pytest.mark.parametrize(
    "line, hint",
    [
        ("{word}/clips/{name}.wav", "they differ in the folder"),
        ("YES/{name}.wav", "they differ in capital letters"),
        ("nonsense", ""),
    ],
)
def test_lists_that_match_no_file_are_named_with_a_line_and_a_file(folder, line, hint):
    line = line.format(word="yes", name=f"{TRAIN[0]}_nohash_0")
    lists_in(folder, line, line.replace(TRAIN[0], TRAIN[1]))
    corpus = opened(folder)
    (note,) = [note for note in corpus.notes if note.startswith("validation_list.txt matches no")]
    assert repr(line) in note
    assert "a file is '" in note
    assert note.endswith(hint)
    assert "the lists match no file: split by a hash of the speaker" in corpus.notes
    assert len(corpus.split("test"))


@pytest.mark.parametrize("ending", [".wav", ".WAV", ".m4a", ""])
def test_lists_hold_for_clips_that_were_converted(tmp_path, ending):
    for word in ("yes", "no"):
        for speaker in SPEAKERS:
            add(tmp_path / "corpus", f"{word}/{speaker}_nohash_0.flac")
    first, second = (f"yes/{speaker}_nohash_0{ending}" for speaker in TRAIN[:2])
    lists_in(tmp_path / "corpus", first, second)
    corpus = opened(tmp_path / "corpus")
    assert corpus.split("validation").paths.tolist() == [f"yes/{TRAIN[0]}_nohash_0.flac"]
    assert corpus.split("test").speakers.tolist() == [TRAIN[1]]


def test_one_list_that_matches_no_file(folder):
    lists_in(folder, f"yes/{TRAIN[0]}_nohash_0.wav", "Yes, a text")
    corpus = opened(folder)
    assert len(corpus.split("validation")) == 1
    assert [note for note in corpus.notes if note.startswith("testing_list.txt matches no file")]
    with pytest.raises(ValueError, match="none of their lines names one that can be used"):
        corpus.split("test")


def test_a_part_of_a_corpus_that_has_no_clips_of_a_split(folder):
    corpus = opened(folder)
    train = corpus.take(np.flatnonzero(corpus.splits == "train"))
    with pytest.raises(ValueError, match="the whole corpus has 6 clips in it, but none of them is"):
        train.split("test")


def test_a_clip_in_both_lists(folder):
    line = f"yes/{TRAIN[0]}_nohash_0.wav"
    lists_in(folder, line, f'"{line}"')
    assert told(folder, "in both lists") == [
        "1 clips stand in both lists: they are in the test part"
    ]


@pytest.mark.parametrize("name", ["Testing_List.txt", "testing_list.txt.txt", "test_list.txt"])
def test_a_list_of_nearly_the_right_name(folder, name):
    lists_in(folder, "", "")
    (folder / "testing_list.txt").rename(folder / name)
    if not (folder / "testing_list.txt").is_file():  # it is, where capital letters do not count
        (note,) = told(folder, "no testing_list.txt")
        assert f"(but {name}: is that one meant?)" in note


def test_a_list_that_may_not_be_read(folder, monkeypatch):
    lists_in(folder, "", "")
    read_bytes = Path.read_bytes

    def refuse(self):
        if self.name == "testing_list.txt":
            raise PermissionError(13, "Permission denied")
        return read_bytes(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert "cannot be read (Permission denied), so nobody knows which clips" in refused(folder)


# --- sources ------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ['"{}"', "'{}'", " {} ", "“{}”", "file://{}", "'file://{}'"])
@pytest.mark.parametrize("by_variable", [True, False])
def test_a_path_as_people_copy_it(folder, monkeypatch, form, by_variable):
    text = form.format(folder.as_uri()[7:] if "file" in form else folder)
    monkeypatch.setenv("COURSE_SPEECH_COMMANDS", text)
    assert len(load(None if by_variable else text, verbose=False)) == 24


@pytest.mark.parametrize("text", ["$WORDS_HERE/my words", "${WORDS_HERE}/my\\ words"])
@LINUX
def test_what_a_shell_would_have_replaced(folder, monkeypatch, text):
    monkeypatch.setenv("WORDS_HERE", str(folder.parent))
    if "\\" in text:
        text = str(folder).replace(" ", "\\ ")
    monkeypatch.setenv("COURSE_SPEECH_COMMANDS", text)
    assert load(verbose=False).name == "my words"


@pytest.mark.parametrize("text", ["Mini", " MINI", '"mini"', "Mini "])
def test_the_case_of_a_name_does_not_matter(monkeypatch, text):
    monkeypatch.setenv("COURSE_SPEECH_COMMANDS", text)
    assert course_utils.settings.speech_commands_source() == "mini"
    monkeypatch.setenv("COURSE_COMMON_VOICE", "'Mini_LibriSpeech'")
    assert course_utils.settings.common_voice_source() == "mini_librispeech"
    monkeypatch.setenv("COURSE_COMMON_VOICE", "MDC: abc")
    assert course_utils.settings.common_voice_source() == "mdc:abc"


@pytest.mark.parametrize(
    "text, meant",
    [
        ("minni", "mini"), ("0.02", "v0.02"), ("v2", "v0.02"), ("v001", "v0.01"),
        ("speech_commands_v0.02", "v0.02"), ("mini_speech_commands.zip", "mini"),
        ("embeded", "embedded"),
    ],
)
def test_the_near_miss_of_a_name(text, meant):
    assert refused(text).endswith(f" Did you mean {meant}?")


def test_the_near_miss_of_a_folder(folder, tmp_path):
    assert refused(tmp_path / "my wrods").endswith(f"Did you mean {folder}?")
    archive = tmp_path / "words.zip"
    archive.touch()
    assert refused(archive).endswith("is an archive: unpack it; name the folder of the words.")


@LINUX
def test_a_path_however_its_letters_are_composed(tmp_path):
    corpus_in(tmp_path / apart("Wörter") / "a")
    assert len(opened(tmp_path / "Wörter" / "a")) == 3 * len(SPEAKERS)


def test_a_name_that_cannot_be_printed():
    assert clips.printable("caf\udce9") == "caf\\udce9"
    assert folders.composed(apart("ü")) == "ü"


# --- folders that are no words, and corpora that lie elsewhere ------------------------------------


@pytest.mark.parametrize("name", ["$RECYCLE.BIN", "@eaDir", "lost+found", "#recycle"])
def test_folders_of_an_operating_system_are_no_words(folder, name):
    (folder / "System Volume Information").mkdir()
    add(folder, f"{name}/$R1.wav")
    corpus = opened(folder)
    assert corpus.words == ["no", "up", "yes"]
    assert corpus.problems == [
        (f"{name}/$R1.wav", "a folder of the operating system is no word")
    ]
    assert not [note for note in corpus.notes if "System Volume" in note]


def test_a_corpus_some_folders_deeper(tmp_path):
    place = corpus_in(tmp_path / "download" / "data" / "v1" / "words")
    (tmp_path / "download" / "readme.txt").write_text("x")
    for above in (place.parent, place.parents[1], place.parents[2]):
        assert refused(above).endswith(f"Did you mean {place}?")


def test_parts_or_people_in_the_folders(tmp_path):
    for part in ("train", "test"):
        corpus_in(tmp_path / "parts" / part, speakers=TRAIN[:2])
    told = refused(tmp_path / "parts")
    assert "in several of these (test, train)" in told
    assert "name the clips <word>/<speaker>_nohash_<number>.wav" in told


@pytest.mark.parametrize("ending", ["", ".txt", ".w64"])
def test_recordings_without_a_known_ending(folder, ending):
    for path in list(folder.glob("*/*.wav")):
        path.rename(path.with_suffix(ending))
    text = refused(folder)
    assert "Its folders hold 24 files, such as no/" in text
    assert text.endswith(f"_nohash_0{ending}: none of .wav, .flac, .mp3.")


@LINUX
def test_words_that_differ_in_spaces(folder):
    add(folder, "yes /a_nohash_0.wav")
    assert told(folder, "in spaces") == ["words that differ in spaces only: 'yes', 'yes '"]


def test_sound_that_is_cut_off_at_full_scale_is_told(folder):
    add(folder, "yes/loud_nohash_0.wav", 4 * noise(), subtype="FLOAT")
    add(folder, "yes/peak_nohash_0.wav", 2 * noise(), subtype="FLOAT")  # just full scale
    assert told(folder, "full scale") == ["louder than full scale, and cut off there: 1 clips"]
