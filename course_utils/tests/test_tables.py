"""Tables of Common Voice as they are found: odd rows, names, languages, shares, other datasets."""

import hashlib
import io
import shutil
from collections import Counter

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_utils.corpora import CorpusError, cache, common_voice, selection, sharing, tables
from course_utils.corpora.rows import as_text
from course_utils.corpora.sharing import Row, split_by_speaker

COLUMNS = ("client_id", "path", "sentence", "age", "locale")
PEOPLE = ("anna", "bert", "cleo", "dora", "emil", "fina")
SPLIT_NOTE = "no rows in train.tsv, dev.tsv, test.tsv: split by a hash of the speaker"


def sound(form="MP3", seconds=0.2):
    file = io.BytesIO()
    noise = 0.1 * np.random.default_rng(0).normal(size=round(16_000 * seconds))
    soundfile.write(file, noise, 16_000, format=form)
    return file.getvalue()


MP3 = sound()


def lines(rows, columns=COLUMNS):
    return ["\t".join(columns), *("\t".join(row) for row in rows), ""]


def rows_of(people=PEOPLE, each=2):
    return [
        [person, f"{person}{i}.mp3", f"Phrase {i} de {person}.", "", "fr"]
        for person in people
        for i in range(each)
    ]


def release(folder, rows, name="validated.tsv", columns=COLUMNS, encoding="utf-8"):
    """A release of one language, with a clip for each row that can have one."""
    (folder / "clips").mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes("\n".join(lines(rows, columns)).encode(encoding))
    for row in rows:
        if len(row) == len(columns):
            (folder / "clips" / row[1]).write_bytes(MP3)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "cache")


@pytest.fixture
def folder(tmp_path):
    return release(tmp_path / "cv" / "fr", rows_of())


def load(folder, language="fr", **options):
    return common_voice.load(language, folder, verbose=False, **options)


def splits(release):
    return Counter(row.split for row in release.rows)


# --- rows ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd, numbers",
    [
        ("anna\tx.mp3\tUne ligne\nbrisée.\t\tfr", [3, 4]),  # the end of a line in a sentence
        ("anna\tx.mp3\tUne\ttabulation.\t\tfr", [3]),
        ("anna", [3]),
        ("anna\tx.mp3\tCoupée.", [3]),
        ("anna\tx.mp3\tDe trop.\t\tfr\t\t", [3]),
        ("anna\tx.mp3\tPropos\udce9.\t\tfr", [3]),  # a byte of Latin-1
        ("\n\nanna", [5]),
    ],
    ids=["line end", "tab", "one", "short", "long", "bytes", "empty lines"],
)
def test_an_odd_row_costs_one_row_and_is_named_by_line(folder, odd, numbers):
    content = lines(rows_of())
    content.insert(2, odd)
    text = "\n".join(content).encode(errors="surrogateescape")
    (folder / "validated.tsv").write_bytes(text)
    corpus = load(folder)
    assert len(corpus) == 12
    assert [place for place, _ in corpus.problems] == [
        f"validated.tsv, line {number}" for number in numbers
    ]
    assert not any("Une" in transcript for transcript in corpus.transcripts)
    (note,) = (note for note in corpus.notes if note.startswith("left out: ") and "clips" in note)
    assert f"{len(numbers)} whose row is damaged and 0 that cannot be read" in note
    assert any(f"left out: validated.tsv, line {numbers[0]}: " in note for note in corpus.notes)


def test_the_reason_says_how_many_columns(folder):
    content = lines(rows_of())
    content.insert(2, "anna\tx.mp3")
    (folder / "validated.tsv").write_text("\n".join(content), encoding="utf-8")
    ((_, reason),) = tables.read(folder).problems
    assert reason.startswith("it has 2 columns and the first line 5: is there a tab or the end of")


def test_a_sentence_may_be_longer_than_any_limit_of_the_module_csv(folder):
    rows = rows_of()
    rows[0][2] = "long " * 50_000
    release(folder, rows)
    assert len(tables.read(folder).rows) == 12


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_and_line_ends(folder, encoding, end):
    rows = rows_of()
    rows[0][2] = "Ça coûte 5 €, été."
    text = end.join(lines(rows))
    (folder / "validated.tsv").write_bytes(text.encode(encoding))
    found = tables.read(folder)
    assert len(found.rows) == 12 and found.problems == []
    assert found.rows[0].transcript == "Ça coûte 5 €, été."


def test_utf_16_that_breaks_off_in_the_middle_of_a_sign(folder):
    content = "\n".join(lines(rows_of())).encode("utf-16")
    (folder / "validated.tsv").write_bytes(content[:-9])
    assert len(tables.read(folder).rows) == 11


def test_a_table_in_another_encoding_is_refused_and_named(folder):
    rows = rows_of()
    for row in rows[::3]:
        row[2] = "Ça coûte."
    (folder / "validated.tsv").write_bytes("\n".join(lines(rows)).encode("latin-1"))
    with pytest.raises(CorpusError, match=r"validated\.tsv is not UTF-8 text \(first in line 2"):
        tables.read(folder)


def test_bytes_that_are_no_table(folder):
    (folder / "validated.tsv").write_bytes(b"PK\x03\x04\x14\x00\xff\xfe\xfd" * 50)
    with pytest.raises(CorpusError, match="is not UTF-8 text"):
        tables.read(folder)


def test_text_begins_with_a_mark_or_without():
    assert as_text(b"") == "" and as_text(b"a") == "a" and as_text(b"\xff\xfe") == ""


TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXT | st.binary(max_size=60))
def test_whatever_text_stands_in_one_row(tmp_path, odd):
    folder = tmp_path / "any"
    if not folder.exists():
        release(folder, rows_of())
    odd = odd if isinstance(odd, bytes) else odd.encode()
    content = "\n".join(lines(rows_of())).encode().split(b"\n")
    content.insert(4, odd)
    (folder / "validated.tsv").write_bytes(b"\n".join(content))
    found = tables.read(folder)
    paths = [row.path for row in found.rows]
    assert [path for path in paths if path[6:10] in PEOPLE] == [f"clips/{r[1]}" for r in rows_of()]
    extra = [line for line in odd.split(b"\n") if line.strip(b"\r")]
    if extra and not odd.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert found.problems or len(paths) > 12


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXT, TEXT, TEXT)
def test_whatever_stands_in_the_cells_of_one_row(tmp_path, speaker, path, sentence):
    folder = tmp_path / "any"
    if not folder.exists():
        release(folder, rows_of())
    odd = [text.replace("\t", " ").replace("\n", " ") for text in (speaker, path, sentence)]
    text = "\n".join(lines([*rows_of(), [*odd, "", "fr"]]))
    (folder / "validated.tsv").write_bytes(text.encode())
    corpus = load(folder)
    assert len(corpus) == 12  # it has no clip
    assert len(corpus.problems) == 1 or not any(odd)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"fLaC", b"ID3", MP3[:200]]))
def test_whatever_bytes_lie_in_one_clip(tmp_path, content, start):
    folder = tmp_path / "any"
    if not folder.exists():
        release(folder, rows_of())
    (folder / "clips" / "dora1.mp3").write_bytes(start + content)
    corpus = load(folder)
    assert len(corpus) + len(corpus.problems) == 12 and len(corpus) >= 11
    assert all(path == "clips/dora1.mp3" for path, _ in corpus.problems)
    assert len(load(folder, min_seconds=0.05)) >= 11


# --- names of clips -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda name: name,
        lambda name: f"clips/{name}",
        lambda name: f"./clips/{name}",
        lambda name: f"fr/clips/{name}",
        lambda name: f"/home/anna/cv-corpus/fr/clips/{name}",
        lambda name: f"C:\\Users\\Anna\\fr\\clips\\{name}",
        lambda name: f"clips\\{name}",
        lambda name: name.removesuffix(".mp3"),
        lambda name: f"clips/{name}".removesuffix(".mp3"),
        lambda name: name.upper(),
    ],
)
def test_ways_to_write_the_path_of_a_clip(folder, write):
    rows = [[row[0], write(row[1]), *row[2:]] for row in rows_of()]
    (folder / "validated.tsv").write_text("\n".join(lines(rows)), encoding="utf-8")
    names = [row[1] for row in rows_of()]
    (folder / "clip_durations.tsv").write_text(
        "\n".join(["clip\tduration[ms]", *(f"{write(name)}\t200" for name in names)])
    )
    found = tables.read(folder)
    assert [row.path for row in found.rows] == [f"clips/{name}" for name in names]
    assert found.seconds == {f"clips/{name}": 0.2 for name in names}
    assert found.notes[0] == SPLIT_NOTE and found.problems == []


@pytest.mark.parametrize("form, suffix", [("WAV", ".wav"), ("FLAC", ".flac"), ("WAV", ".mp3.wav")])
def test_clips_that_were_converted_are_used_and_told(folder, form, suffix):
    for path in (folder / "clips").iterdir():
        path.with_name(path.stem + suffix).write_bytes(sound(form))
        path.unlink()
    corpus = load(folder)
    assert len(corpus) == 12
    assert corpus.paths[0] == f"clips/anna0{suffix}"
    assert "12 clips lie there in another format than the tables say: used" in corpus.notes


def test_the_clip_that_the_table_names_comes_first(folder):
    (folder / "clips" / "anna0.wav").write_bytes(sound("WAV"))
    corpus = load(folder)
    assert corpus.paths[0] == "clips/anna0.mp3"
    assert not any("format" in note for note in corpus.notes)


def test_names_are_one_when_their_letters_are_composed_otherwise(folder):
    rows = rows_of()
    rows[0][1] = "\xe9t\xe9.mp3"
    rows[1][0], rows[2][0] = "jos\xe9", "jose\u0301"
    rows[3][2] = "un e\u0301te\u0301"
    (folder / "validated.tsv").write_text("\n".join(lines(rows)), encoding="utf-8")
    (folder / "clips" / "e\u0301te\u0301.mp3").write_bytes(MP3)
    corpus = load(folder)
    assert len(corpus) == 12 and corpus.problems == []
    assert list(corpus.speakers).count("jos\xe9") == 2
    assert "un \xe9t\xe9" in corpus.transcripts


def test_a_clip_that_is_nowhere_is_named_as_the_table_does(folder):
    (folder / "clips" / "anna0.mp3").unlink()
    ((path, reason),) = load(folder).problems
    assert path == "clips/anna0.mp3" and "does not exist" in reason


def test_a_release_of_which_only_some_clips_are_there(folder):
    load(folder, min_seconds=0.1)
    for name in ("anna", "bert"):
        for i in range(2):
            (folder / "clips" / f"{name}{i}.mp3").unlink()
    found = tables.read(folder)
    assert len(found.rows) == 8 and len(found.problems) == 4
    assert set(splits(found)) == set(common_voice.SPLITS)  # shared out among those that are there
    corpus = load(folder, min_seconds=0.1)
    assert list(corpus.paths) == [row.path for row in found.rows]
    assert len(load(folder, max_clips=1)) == 3


def test_the_folder_of_the_clips_in_place_of_the_one_above_it(folder):
    with pytest.raises(CorpusError, match=r"clips is a part of a release .* Name the folder above"):
        load(folder / "clips")


def test_two_tables_one_behind_the_other(folder):
    text = "\n".join(lines(rows_of()))
    (folder / "validated.tsv").write_text(text + text, encoding="utf-8")
    found = tables.read(folder)
    assert found.problems == [("validated.tsv, line 14", "it repeats the first line")]
    assert "12 clips stand in two tables or twice in one: the first row counts" not in found.notes
    assert len(found.rows) == 12


# --- lengths ------------------------------------------------------------------------------------


def test_lengths_that_are_none_are_left_to_the_clips(folder):
    names = [row[1] for row in rows_of()]
    stated = ["nan", "inf", "-5", "0", "1e300", "", "lang", "200", "200", "200", "200", "200"]
    pairs = zip(names, stated, strict=True)
    text = "\n".join(["clip\tduration[ms]", *(f"{name}\t{value}" for name, value in pairs)])
    (folder / "clip_durations.tsv").write_text(text)
    assert len(tables.read(folder).seconds) == 5
    assert len(load(folder)) == len(load(folder, min_seconds=0.1, max_seconds=1)) == 12


@pytest.mark.parametrize("content", [b"", b"x\ty\n1\t2\n", b"\xff\x00\xfd\n" * 9])
def test_a_table_of_lengths_that_is_none_stops_nothing(folder, content):
    (folder / "clip_durations.tsv").write_bytes(content)
    corpus = load(folder)
    assert len(corpus) == 12
    assert any(note.startswith("clip_durations.tsv is not used: ") for note in corpus.notes)


def test_a_filter_takes_the_true_length_where_a_header_does_not_know_it(folder):
    for suffix, form in ((".wav", "WAV"), (".flac", "FLAC")):
        content = bytearray(sound(form, 0.5))
        if form == "WAV":
            place = content.index(b"data") + 4
            content[4:8] = content[place : place + 4] = b"\xff\xff\xff\xff"
        else:  # 36 bits for the number of samples, behind rate, channels and depth
            content[21] &= 0xF0
            content[22:26] = bytes(4)
        (folder / "clips" / "anna0.mp3").unlink(missing_ok=True)
        (folder / "clips" / f"anna0{suffix}").write_bytes(content)
        chosen = selection.select(tables.read(folder), 0.4, 1)
        assert [row.path for row in chosen.rows] == [f"clips/anna0{suffix}"]
        assert abs(chosen.seconds[0] - 0.5) < 0.01
        (folder / "clips" / f"anna0{suffix}").unlink()
        shutil.rmtree(cache.folder())


# --- shares and notes ---------------------------------------------------------------------------


def shares(counts):
    rows = [
        Row(f"{name}{i}", name, "x") for name, count in counts.items() for i in range(count)
    ]
    found = Counter(row.split for row in split_by_speaker(rows))
    return tuple(found[split] for split in common_voice.SPLITS)


def test_training_gets_most_in_a_small_language():
    assert shares({"speaker-0-00": 22, "speaker-0-01": 7, "speaker-0-02": 1, "s": 1})[0] == 22
    assert shares({"a": 1}) == (1, 0, 0)
    assert shares({"a": 1, "b": 9}) == (9, 0, 1)
    assert shares({"a": 2, "b": 9, "c": 1}) == (9, 2, 1)
    assert shares({"a": 5, "b": 5, "c": 5}) == (5, 5, 5)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_shares_of_any_speakers(counts):
    counts = {hashlib.md5(bytes([i])).hexdigest(): count for i, count in enumerate(counts)}
    train, validation, test = shares(counts)
    assert train + validation + test == sum(counts.values())
    assert train >= max(validation, test)
    assert train >= max(counts.values())
    assert bool(test) == (len(counts) > 1) and bool(validation) == (len(counts) > 2)
    if max(counts.values()) * 10 <= sum(counts.values()):
        assert train >= 0.75 * sum(counts.values())


def official(**parts):
    return [
        Row(f"{split}{i}.mp3", speaker, sentence, split)
        for split, pairs in parts.items()
        for i, (speaker, sentence) in enumerate(pairs)
    ]


def notes(**parts):
    return dict(sharing.notes(official(**parts)))


GOOD = [("a", "un"), ("b", "deux"), ("c", "trois"), ("d", "quatre"), ("e", "cinq"), ("f", "six")]


def test_splits_that_keep_their_promise_get_no_note():
    others = {"validation": [("g", "x"), ("h", "y")], "test": [("i", "z"), ("j", "w")]}
    assert notes(train=GOOD, **others) == {}


def test_test_sentences_that_stand_in_training_are_counted():
    test = [("i", "« UN ! »"), ("j", "un"), ("k", "Sept.")]
    assert notes(train=GOOD, validation=[("g", "x"), ("h", "y")], test=test) == {
        "1 of 2 test sentences (2 of 3 test clips) stand in training too: scores will be too high "
        "for new sentences": "1 of 2 test sentences in training"
    }


def test_other_notes_on_splits():
    some = [("g", "x"), ("h", "y")]
    assert notes(train=GOOD, validation=some, test=[("i", "z"), ("i", "w")]) == {
        "only one speaker in test: scores say little about other people": "one speaker in test"
    }
    many = [(f"i{i}", f"z{i}") for i in range(7)]
    assert notes(train=GOOD, validation=some, test=many) == {
        "training has only 6 of 15 clips": "6 of 15 clips in training"
    }
    assert "2 clips name no speaker (client_id): they count as one person's" in notes(
        train=[*GOOD, ("", "sept"), ("", "huit")], validation=some, test=[("i", "z"), ("j", "w")]
    )
    each = [(f"n{i}", f"s{i}") for i in range(20)]
    (note,) = notes(train=each, validation=some, test=[("i", "z"), ("j", "w")])
    assert note.startswith("as many speakers as clips: if client_id does not name people")


def test_notes_reach_the_corpus(folder):
    rows = rows_of()
    for row in rows:
        row[2] = "Oui."
    release(folder, rows)
    corpus = load(folder)
    assert any("test clips) stand in training too" in note for note in corpus.notes)
    assert "1 of 1 test sentences in training" in corpus.caveats


@pytest.mark.parametrize(
    "content", ["[1, 2]", '{"synthetic": "no"}', "{", "[" * 100_000, '"text"', "\xff", "null"]
)
def test_the_record_of_another_program_says_nothing(folder, content):
    (folder / "corpus.json").write_text(content, encoding="latin-1")
    (folder.parent / "corpus.json").write_text(content, encoding="latin-1")
    assert load(folder).synthetic is False


# --- languages ----------------------------------------------------------------------------------


@pytest.fixture
def many(tmp_path):
    for name in ("sv-SE", "zh-CN", "zh-HK", "de", "nl", "fr"):
        release(tmp_path / "all" / name, rows_of())
    return tmp_path / "all"


@pytest.mark.parametrize(
    "language, near",
    [("sv", "sv-SE"), ("SV_FI", "sv-SE"), ("zh", "zh-CN or zh-HK"), ("zh-TW", "zh-CN or zh-HK")],
)
def test_the_nearest_languages_are_named(many, language, near):
    with pytest.raises(CorpusError) as error:
        load(many, language)
    told = str(error.value)
    assert "holds 6 corpora (de, fr, nl, sv-SE, zh-CN, zh-HK), and 0 of them are in" in told
    assert repr(language) in told
    assert f"Did you mean {near} (COURSE_LANGUAGE or language=)?" in told


def test_a_language_that_nobody_is_near_to(many):
    with pytest.raises(CorpusError, match=r"in 'xxx'\. Set COURSE_LANGUAGE to one of them"):
        load(many, "xxx")


@pytest.mark.parametrize("language", ["sv-SE", "sv_SE", "SV-se"])
def test_a_language_in_other_letters(many, language):
    assert tables.find(many, language).name == "sv-SE"


def test_two_releases_of_one_language(many, tmp_path):
    shutil.copytree(many, tmp_path / "two" / "first")
    shutil.copytree(many, tmp_path / "two" / "second")
    with pytest.raises(CorpusError, match=r"2 of them are in 'fr': .*first.fr, .*second.fr\. Name"):
        load(tmp_path / "two")


def test_a_file_in_place_of_a_folder(folder):
    with pytest.raises(CorpusError, match=r"validated\.tsv is a file\. Name the folder of the rel"):
        load(folder / "validated.tsv")
    (folder / "fr.tar.gz").write_bytes(b"x")
    with pytest.raises(CorpusError, match=r"fr\.tar\.gz is a file\. Unpack it, and name the folde"):
        load(folder / "fr.tar.gz")


def test_a_path_as_people_copy_it(folder):
    for text in (f'"{folder}"', folder.as_uri(), f"'{folder}' "):
        assert len(load(text)) == 12


# --- spontaneous speech -------------------------------------------------------------------------

SPOKEN = (
    "client_id audio_id audio_file duration_ms prompt_id prompt transcription votes age gender "
    "accents language split char_per_sec quality_tags"
).split()


def spoken(folder, parts, language="tr"):
    """A dataset of spontaneous speech, as the Mozilla Data Collective packs it."""
    inside = folder / f"sps-corpus-1.0-2025-09-05-{language}"
    (inside / "audios").mkdir(parents=True)
    rows = []
    for i, part in enumerate(parts):
        name = f"spontaneous-speech-{language}-{i}.mp3"
        (inside / "audios" / name).write_bytes(MP3)
        said = f"Cevap {i} [noise]" if part != "empty" else ""
        row = {
            "client_id": f"person{i % 7}", "audio_file": name, "duration_ms": "200",
            "transcription": said, "split": part.replace("empty", ""), "age": "twenties",
        }
        rows.append([row.get(name, "") for name in SPOKEN])
    (inside / f"ss-corpus-{language}.tsv").write_text("\n".join(lines(rows, SPOKEN)), "utf-8")
    (inside / f"ss-reported-audios-{language}.tsv").write_text("client_id\taudio_file\treason\n")
    return folder


def test_spontaneous_speech_is_read(tmp_path):
    parts = ["train"] * 8 + ["dev"] * 2 + ["test"] * 2 + ["unassigned"] * 3 + ["empty"]
    corpus = load(spoken(tmp_path / "x", parts), "tr")
    assert (corpus.language, len(corpus)) == ("tr", 12)
    assert [len(corpus.split(name)) for name in common_voice.SPLITS] == [8, 2, 2]
    assert corpus.paths[0] == "audios/spontaneous-speech-tr-0.mp3"
    assert corpus.transcripts[0] == "Cevap 0 [noise]" and corpus.ages[0] == "twenties"
    assert corpus.durations[0] == 0.2
    assert "3 clips belong to no split of the release: not used" in corpus.notes
    assert (
        "spontaneous speech, written down afterwards: 12 transcripts hold marks such as [noise]"
        in corpus.notes
    )
    assert corpus.problems == [("audios/spontaneous-speech-tr-15.mp3", "its sentence is empty")]


def test_spontaneous_speech_without_splits_is_shared_out(tmp_path):
    corpus = load(spoken(tmp_path / "x", [""] * 21), "tr")
    assert sum(len(corpus.split(name)) for name in common_voice.SPLITS) == 21
    assert (
        "no rows in a split train, a split dev, a split test: split by a hash of the speaker"
        in corpus.notes
    )


def test_spontaneous_speech_in_several_languages(tmp_path):
    for language in ("tr", "sv-SE"):
        spoken(tmp_path / "x", [""] * 21, language)
    assert load(tmp_path / "x", "tr").language == "tr"
    with pytest.raises(CorpusError, match=r"Did you mean sv-SE"):
        load(tmp_path / "x", "sv")


def test_columns_of_spontaneous_speech_in_tables_of_read_speech(folder):
    columns = ("client_id", "audio_file", "transcription", "age", "locale")
    release(folder, rows_of(), columns=columns)
    assert len(load(folder)) == 12


# --- tables of other programs ---------------------------------------------------------------------


def test_names_of_columns_in_capitals(tmp_path):
    rows = rows_of()
    capitals = tuple(map(str.upper, COLUMNS))
    folder = release(tmp_path / "fr", rows, columns=capitals)
    assert [row.transcript for row in tables.read(folder).rows] == [row[2] for row in rows]


def test_a_table_with_quotation_marks_around_everything(tmp_path):
    """As a spreadsheet writes it: marks are doubled, and a field may hold tabs and line ends."""
    rows = rows_of()
    rows[0][2], rows[1][2] = 'Elle dit "oui".', "Deux\tmots\nici"
    quoted = [['"' + field.replace('"', '""') + '"' for field in row] for row in rows]
    folder = release(tmp_path / "fr", rows)
    text = "\r\n".join(lines(quoted, [f'"{name}"' for name in COLUMNS]))
    (folder / "validated.tsv").write_bytes(text.encode("utf-8-sig"))
    found = tables.read(folder)
    assert [row.transcript for row in found.rows] == [row[2] for row in rows]
    assert found.problems == []
    (folder / "validated.tsv").write_text(text + '"anna"\t"x.mp3"\r\n"bert"\t"' + "x" * 200_000)
    found = tables.read(folder)
    assert len(found.rows) == 12
    assert [place for place, _ in found.problems] == [
        "validated.tsv, line 15", "validated.tsv, line 16"
    ]


@pytest.mark.parametrize(
    "content, told",
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is no table: it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Run git lfs pull"),
        (b"", "its first line has nothing"),
    ],
)
def test_something_else_in_place_of_a_table(folder, content, told):
    (folder / "validated.tsv").write_bytes(content)
    with pytest.raises(CorpusError, match=told):
        tables.read(folder)


@pytest.mark.parametrize("name", ["train.csv", "train.tsv.gz", "TRAIN.TSV.txt", "validated.csv"])
def test_a_table_under_another_name(tmp_path, name):
    folder = tmp_path / "cv" / "fr"
    release(folder, rows_of(), name=name)
    for place in (folder, folder.parent):
        with pytest.raises(CorpusError) as error:
            tables.find(place, "fr")
        assert f"{folder / name} is there: a table of a release is text" in str(error.value)


@pytest.mark.parametrize("name", ["validation.tsv", "valid.tsv", "dev.csv"])
def test_a_part_under_another_name_is_not_lost_in_silence(tmp_path, name):
    rows = rows_of()
    for table, part in (("train.tsv", rows[:6]), (name, rows[6:8]), ("test.tsv", rows[8:])):
        release(tmp_path / "fr", part, name=table)
    assert tables.read(tmp_path / "fr").notes[0] == (
        f"no rows in dev.tsv (but {name}: is that one meant? Name it as the release does): split "
        "by a hash of the speaker"
    )


def test_a_clip_with_two_sentences_is_told(tmp_path):
    rows = rows_of()
    rows.append([*rows[0][:2], "Autre chose.", "", "fr"])
    note = "1 rows repeat a clip with another sentence: not used"
    assert note in tables.read(release(tmp_path / "fr", rows)).notes


def test_rows_of_another_language_are_told(tmp_path):
    rows = rows_of()
    rows[0][4] = rows[1][4] = "en"
    rows[2][4] = "FR"  # the same
    found = tables.read(release(tmp_path / "fr", rows))
    assert "other languages in the column locale, used with the rest: en 2" in found.notes
    assert found.language == "fr"


def durations(folder, values):
    text = "\n".join(["clip\tduration", *(f"{row[1]}\t{values(row[1])}" for row in rows_of()), ""])
    (folder / "clip_durations.tsv").write_text(text)


def test_durations_in_seconds(folder):
    durations(folder, lambda name: 0.2)
    assert set(tables.read(folder).seconds.values()) == {0.2}
    durations(folder, lambda name: 200)
    assert set(tables.read(folder).seconds.values()) == {0.2}


def test_a_clip_that_is_longer_than_stated(folder):
    (folder / "clips" / "anna0.mp3").write_bytes(sound(seconds=2))
    durations(folder, lambda name: 200)
    corpus = load(folder)
    assert "longer than the release states: 1 clips, used as they are" in corpus.notes
    assert corpus.durations[corpus.paths.tolist().index("clips/anna0.mp3")] == pytest.approx(2)


def test_limits_that_leave_a_part_empty_are_told(folder):
    people = {row.speaker: row.split for row in tables.read(folder).rows}
    durations(folder, lambda name: 200 if people[name[:4]] == "train" else 900)
    notes = load(folder, max_seconds=0.5).notes
    assert "no clip of validation and test is within these limits" in notes


def test_the_folder_of_the_clips(folder):
    (folder / "clips").rename(folder / "Clips")
    assert len(load(folder)) == 12
    (folder / "Clips").rename(folder / "wav")
    with pytest.raises(CorpusError, match=r"fr.clips for them is not there"):
        load(folder)
