"""Who reads which sentence in the embedded Common Voice, and the tables that say so.

The layout is that of a release of Common Voice: a folder a language, in it ``clips/`` and tables
of tab-separated values.
"""

import csv
import hashlib
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from course_utils.corpora.embedded import sentences
from course_utils.corpora.embedded.speakers import make_reader, make_speaker, speaker_record

#: The columns of the tables, as in the releases of 2024 and later.
COLUMNS = tuple(
    "client_id path sentence_id sentence sentence_domain up_votes down_votes age gender accents "
    "variant locale segment".split()
)
#: What contributors of Common Voice call the accents that espeak-ng has.
ACCENTS = {
    "en": "England English",
    "en-us": "United States English",
    "en-gb-x-rp": "England English",
    "en-gb-scotland": "Scottish English",
    "en-gb-x-gbclan": "England English",
    "en-029": "West Indies and Bermuda",
    "en-us-nyc": "United States English",
    "fr": "Français de France",
    "fr-be": "Français de Belgique",
    "fr-ch": "Français de Suisse",
    "de": "Deutschland Deutsch",
    "es": "España: Norte peninsular",
    "es-419": "México",
}

README = """\
# Synthetic speech in the layout of Common Voice

Nobody said these sentences. They were made on this computer by the program espeak-ng {espeak}
(https://github.com/espeak-ng/espeak-ng, GPL-3.0-or-later; the licence covers the program, not
the sound that it makes), called by course_utils.corpora.embedded, version {version}, seed {seed}.

- Language: {language}. {clips} clips, 32 kHz MP3, each another sentence of a small grammar.
- {speakers} synthetic speakers, described in speakers.json: accent, pitch, formants, breath, rate,
  and a room, a microphone and a noise floor for each. They have no age and no gender.
- Split by speaker and by sentence{shares}: train.tsv, dev.tsv, test.tsv. validated.tsv holds
  all of them, clip_durations.tsv their lengths in milliseconds.

Use it to learn and to test programs. A score on it says little about human speech.
"""


#: How much more there is to train on in the part that is called "more": speakers.
MORE = 160
#: What differs from the corpus as it is, by the name of the part.
PARTS = {
    "new_words": ", as in the corpus without this part; but the speakers of the\n"
    "  test part read words that training does not have",
    "more": ": validation and test as in the corpus without this part, and more\n"
    "  speakers and sentences to train on",
}


@dataclass(frozen=True)
class Line:
    """One sentence, and who reads it."""

    number: int
    path: str  # in the folder clips/
    sentence: str
    speaker: int
    split: str  # "train", "dev" or "test"


def lines_of(recipe: dict) -> list[Line]:
    """All lines of a recipe: its sentences, dealt to its speakers in turn.

    Every sentence is read once, and every speaker is in one split: so no two splits share a
    speaker or a sentence.
    """
    count, split = recipe["speakers"] * recipe["sentences"], _splits(recipe)
    language, seed, part = recipe["language"], recipe["seed"], recipe.get("part")
    more = MORE * recipe["sentences"] if part == "more" else 0
    texts = sentences.write(count + more, language, seed)  # the first ones are always the same
    read = [(text, number % len(split)) for number, text in enumerate(texts[:count])]
    if more:
        split += ["train"] * MORE
        new = range(recipe["speakers"], len(split))
        read += [(text, new[number % MORE]) for number, text in enumerate(texts[count:])]
    lines = [
        Line(number, f"common_voice_{language}_{90_000_001 + number}.mp3", text, speaker,
             split[speaker])
        for number, (text, speaker) in enumerate(read)
    ]
    if part == "new_words":
        old = [line for line in lines if line.split == "test"]
        lines = [line for line in lines if line.split != "test"]
        texts = sentences.write(len(old), language, seed, new_words=True)
        for number, (line, text) in enumerate(zip(old, texts, strict=True), start=count):
            path = f"common_voice_{language}_{90_000_001 + number}.mp3"
            lines.append(replace(line, number=number, path=path, sentence=text))
    return lines


def _splits(recipe: dict) -> list[str]:
    """The split of each speaker: of ten speakers of one kind of voice, 8, 1 and 1.

    Children's voices are few and hard: dealt by lot, the splits would not be equally hard.
    """
    voices = [make_speaker(index, recipe["seed"]).voice for index in range(recipe["speakers"])]
    split = {}
    for place, index in enumerate(sorted(range(len(voices)), key=lambda i: (voices[i], i))):
        split[index] = {4: "dev", 9: "test"}.get(place % 10, "train")
    return [split[index] for index in range(len(voices))]


def write_tables(folder: Path, recipe: dict, espeak: str) -> None:
    """Write the tables and descriptions beside the clips; ``corpus.json`` is the last."""

    language, seed = recipe["language"], recipe["seed"]
    found = lines_of(recipe)
    count = 1 + max(line.speaker for line in found)
    people = [make_reader(index, seed, language) for index in range(count)]
    ids = [_hash(f"common voice {language} {seed} {index}", 512) for index in range(len(people))]
    rows: dict[str, list[tuple]] = {"train": [], "dev": [], "test": [], "validated": []}
    durations = []
    for clip in sorted(found, key=lambda clip: (ids[clip.speaker], clip.path)):
        row = dict.fromkeys(COLUMNS, "") | {
            "client_id": ids[clip.speaker],
            "path": clip.path,
            "sentence_id": _hash(clip.sentence, 256),
            "sentence": clip.sentence,
            "up_votes": 2,
            "down_votes": 0,
            "accents": ACCENTS[people[clip.speaker].accent],
            "locale": language,
        }
        rows[clip.split].append(tuple(row.values()))
        rows["validated"].append(tuple(row.values()))
    for clip in found:
        info = soundfile.info(folder / language / "clips" / clip.path)
        durations.append((clip.path, round(1000 * info.frames / info.samplerate)))
    texts = {f"{language}/{name}.tsv": _table(COLUMNS, lines) for name, lines in rows.items()}
    texts[f"{language}/clip_durations.tsv"] = _table(("clip", "duration[ms]"), durations)
    records = [
        {"client_id": client, **speaker_record(person)}
        for client, person in zip(ids, people, strict=True)
    ]
    texts["speakers.json"] = json.dumps(records, indent=1) + "\n"
    shares = PARTS.get(recipe.get("part", ""), ", 80/10/10")
    about = {**recipe, "espeak": espeak, "clips": f"{len(found):,}", "shares": shares}
    about["speakers"] = len(people)
    texts["README.md"] = README.format(**about)
    texts["corpus.json"] = (
        json.dumps(
            {
                "name": "embedded",
                "synthetic": True,
                "espeak": espeak,
                "clips": len(found),
                "recipe": recipe,
            },
            indent=1,
        )
        + "\n"
    )
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


def _table(columns: tuple[str, ...], rows: list[tuple]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_NONE)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _hash(text: str, bits: int) -> str:
    return hashlib.new(f"sha{bits}", text.encode()).hexdigest()
