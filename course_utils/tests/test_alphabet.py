"""Letters of languages: what is written for a character, which symbols a network gets."""

import os
import unicodedata
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.corpora import alphabet
from course_utils.instructor import release

SOLUTION = next((Path(__file__).parents[2] / "labsolutions").glob("04_*.ipynb"))


def written(text, marks=False):
    """A text as exercise 4.1 writes it."""
    table = alphabet.table(marks)
    text = unicodedata.normalize("NFC", text).lower()
    return " ".join("".join(table.get(character, character) for character in text).split())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Où est la  sœur ? C’est ça.", "ou est la soeur c'est ca"),
        ("Zażółć gęślą jaźń, Łódź!", "zazolc gesla jazn lodz"),
        ("IŞIK İstanbul'da ılık", "isik istanbul'da ilik"),
        ("Tiếng Việt — đường phố", "tieng viet duong pho"),
        ("Þetta er „ð“; Straße, Ørsted & ŋ", "thetta er d strasse orsted & ng"),
        ("col·lecció, ﬁn", "colleccio fin"),
        ("Ґанок і п’ять", "ґанок і п'ять"),
        ("молоко́ ёж йод", "молоко ёж йод"),
        ("Καλημέρα, κόσμε;", "καλημέρα κόσμε"),
        ("مرحـــبا، يا\u200cعالم؟", "مرحبا ياعالم"),
        ("नमस्ते। कैसे हो?", "नमस्ते कैसे हो"),
        ("ሰላም፡ዓለም።", "ሰላም ዓለም"),
        ("한국", unicodedata.normalize("NFD", "한국")),
        ("12 % de 3€", "12 % de 3€"),
    ],
)
def test_what_is_written(text, plain):
    assert written(text) == plain
    assert written(unicodedata.normalize("NFD", text)) == plain


def test_marks_are_kept_on_request():
    assert written("Où est la sœur ? C’est ça.", marks=True) == "où est la sœur c'est ça"


@settings(deadline=None)  # the first text makes the table
@given(st.text(st.characters(max_codepoint=0x1FFFF)))
def test_a_text_that_was_written_stays(text):
    table = alphabet.table()
    once = written(text)
    assert not {c for c in once if c in table and "HANGUL" not in unicodedata.name(c, "")}


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("le chat 12 %", alphabet.LATIN),
        ("мама мыла раму", " алмруы"),
        ("мама " * 20 + "ok", " ам"),  # a foreign word
        ("γάτα", " άαγτ"),
        ("नमस्ते", " तनमस\u0947\u094d"),
    ],
)
def test_symbols(text, symbols):
    assert alphabet.symbols([text] * 10) == symbols


def test_a_stray_letter_is_no_symbol():
    assert alphabet.symbols(["the cat sat on the mat"] * 40 + ["ʃ"]) == alphabet.LATIN


def test_too_many_letters_stop():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
    with pytest.raises(
        ValueError, match=r"500 different letters, and 500 of them .* 4,500 letters"
    ):
        alphabet.symbols([text] * 9)
    assert len(alphabet.symbols([text] * 10)) == 501


def test_without_letters_it_says_so():
    with pytest.raises(ValueError, match="no letter in any training text"):
        alphabet.symbols(["12", "%", ""])


def test_words_that_are_written_alike():
    texts = ["où ou là", "la mer"]
    assert alphabet.alike(texts, map(written, texts)) == {"ou": ["ou", "où"], "la": ["la", "là"]}


def release_of(folder, language, words, clips=24):
    """A release of a language in these words: a tone for each letter, 80 ms long."""
    (folder / language / "clips").mkdir(parents=True)
    generator = np.random.default_rng(0)
    letters = sorted(set("".join(words)))
    rows = {"train": [], "dev": [], "test": []}
    for number in range(2 * clips):
        part = "train" if number < clips else "dev" if number % 2 else "test"
        text = " ".join(generator.choice(words, size=4))
        pitches = [150 + 70 * letters.index(c) if c != " " else 0 for c in text]
        tones = [np.sin(np.arange(1_280) / 16_000 * 2 * np.pi * pitch) for pitch in pitches]
        sound = 0.3 * np.concatenate(tones) + 0.001 * generator.standard_normal(1_280 * len(text))
        name = f"clip_{number}.wav"
        soundfile.write(folder / language / "clips" / name, sound, 16_000)
        rows[part].append(f"{part}-speaker-{number % 4}\t{name}\t{text.capitalize()}.")
    for part, lines in rows.items():
        table = "\n".join(["client_id\tpath\tsentence", *lines]) + "\n"
        (folder / language / f"{part}.tsv").write_text(table, "utf-8")
    return folder


LANGUAGES = {
    "pl": "zażółć gęślą jaźń łódź chleb źródło".split(),
    "vi": "tiếng việt đường phố người nước".split(),
    "uk": "мама їжа п'ять ґанок щука день".split(),
    "el": "καλημέρα κόσμε γάτα ψωμί θάλασσα".split(),
    "ar": "مرحبا يا عالم بيت شمس كتاب".split(),
    "hi": "नमस्ते दुनिया पानी सूरज घर".split(),
    "ka": "გამარჯობა მზე წყალი სახლი".split(),
    "am": "ሰላም ዓለም ውሃ ቤት ፀሐይ".split(),
    "ko": "안녕 세상 물 집 해님".split(),
}
PLAIN = ("hi",)  # the others take too long for every day


@pytest.mark.parametrize(
    "language",
    [name if name in PLAIN else pytest.param(name, marks=pytest.mark.slow) for name in LANGUAGES],
)
def test_stage_4_in_any_language(language, tmp_path):
    """The whole notebook, in quick mode, on a made-up release."""
    corpus = release_of(tmp_path / "release", language, LANGUAGES[language])
    outputs = run_stage_4(corpus, language, tmp_path)
    letters = "".join(LANGUAGES[language])
    assert all(symbol in outputs for symbol in set(written(letters)))


def test_stage_4_stops_where_a_script_has_too_many_letters(tmp_path, monkeypatch):
    words = ["".join(map(chr, range(0x4E00 + 5 * i, 0x4E05 + 5 * i))) for i in range(60)]
    corpus = release_of(tmp_path / "release", "zh-TW", words)
    said = r"different letters, and .* of them occur fewer than 10"
    with pytest.raises(release.NotebookError, match=said):
        run_stage_4(corpus, "zh-TW", tmp_path)


def run_stage_4(corpus, language, folder):
    """What the solution prints on a corpus, in quick mode."""
    variables = {
        "COURSE_QUICK": "1", "COURSE_COMMON_VOICE": corpus, "COURSE_LANGUAGE": language,
        "COURSE_RUNS": folder / "runs", "COURSE_RESULTS": folder / "results.json",
    }  # fmt: skip
    notebook = nbformat.read(SOLUTION, 4)
    environment = os.environ | {name: str(value) for name, value in variables.items()}
    release.run(notebook, SOLUTION.parent, environment, timeout=180)
    return "".join(
        output.text
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    )
