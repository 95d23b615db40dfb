"""Speech that your own computer makes: the embedded corpora.

No download, no account: espeak-ng speaks, with synthetic speakers, into the exact layout of
Speech Commands v0.02, or of Common Voice. It is not human speech, and every notebook says so.
"""

import contextlib
import glob
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from course_utils import files, settings
from course_utils.corpora import CorpusError
from course_utils.corpora.embedded import script
from course_utils.corpora.embedded.sentences import GRAMMARS
from course_utils.corpora.embedded.speakers import make_speaker, speaker_record

if TYPE_CHECKING:
    import torch

#: Raise it when the bytes of the corpus change: an older corpus is then built anew.
VERSION = 1
#: The same for Common Voice.
COMMON_VOICE_VERSION = 1

DIGITS = tuple("zero one two three four five six seven eight nine".split())
COMMANDS = tuple("yes no up down left right on off stop go".split())
OTHER_WORDS = tuple(
    "backward bed bird cat dog follow forward happy house learn marvin sheila tree visual "
    "wow".split()
)
#: The 35 words of Speech Commands v0.02, in alphabetical order.
WORDS = tuple(sorted(DIGITS + COMMANDS + OTHER_WORDS))
SHORT_SHARE = 1 / 6  # of the clips are shorter than a second, as in the real corpus
BYTES_PER_CLIP = 33_000
BYTES_PER_SENTENCE = 20_000
# A batch is one process. Fixed, not one a core: espeak-ng's Klatt voices depend on what was said
# before in the same process, so that other batches would make other bytes.
SPEAKERS_PER_BATCH = 10

README = """\
# Synthetic speech in the layout of Speech Commands v0.02

Nobody said these words. They were made on this computer by the program espeak-ng {espeak}
(https://github.com/espeak-ng/espeak-ng, GPL-3.0-or-later; the licence covers the program, not
the sound that it makes), called by course_utils.corpora.embedded, version {version}, seed {seed}.

- {speakers} synthetic speakers, described in speakers.json: accent, pitch, formants, breath, rate,
  and a room, a microphone and a noise floor for each.
- {clips} clips, 16 kHz, 16-bit, mono, at most one second. One in six is shorter, as in the real
  corpus.
- Every speaker says {words} words: {said}.
- Split by speaker, 80/10/10: validation_list.txt, testing_list.txt; all else is for training.
- _background_noise_ holds six noises of our own making.

Use it to learn and to test programs. A score on it says little about human speech.
"""


def speech_commands(
    folder: Path | None = None, *, speakers: int = 100, digit_takes: int = 5,
    command_takes: int = 4, other_takes: int = 1, first: int = 0, seed: int = 0,
    processes: int | None = None,
) -> Path:
    """Find the embedded Speech Commands, or build them; returns the corpus folder.

    The build takes less than a minute on two cores and 340 MB of disk. It is atomic: the folder
    appears when it is complete, and what an interrupted build left is removed by the next one.

    Parameters
    ----------
    folder : Path, optional
        Where the corpus lies; default ``embedded/speech_commands-v1`` in the data folder, or in
        the user's own where that one has none and cannot be written.
    speakers : int
        At least 10. Of each ten, eight are for training, one for validation, one for testing.
    digit_takes, command_takes, other_takes : int
        How often each speaker says each digit, each of the ten commands, and each other word.
    first : int
        Number of the first speaker, a multiple of ten: rooms are drawn from the number alone.
    seed : int
        Another seed gives other speakers.
    processes : int, optional
        How many processes speak at a time; default one a core. It does not change the bytes.

    Raises
    ------
    CorpusError
        espeak-ng cannot be loaded or crashed, the disk is full, or the folder holds something
        else. The message says what to do.
    """
    if speakers < 10:
        raise ValueError(f"speakers is {speakers}; a split by speaker needs at least 10.")
    said = {"digits": digit_takes, "ten commands": command_takes, "others": other_takes}
    recipe = {
        "version": VERSION,
        "seed": seed,
        "speakers": speakers,
        "takes": {word: takes for word in WORDS if (takes := said[_kind(word)])},
    }
    if first:
        recipe["first"] = first
    plan = _commands_plan(recipe, _batches(speakers, first))
    return _find_or_build(folder, f"speech_commands-v{VERSION}", plan, processes)


def common_voice(
    language: str = "fr", folder: Path | None = None, *, speakers: int = 160, sentences: int = 8,
    seed: int = 0, part: str = "", processes: int | None = None,
) -> Path:
    """Find the embedded Common Voice, or build it; returns the folder that holds the language's.

    As a release has it, ``<folder>/fr/`` holds ``clips/``, ``train.tsv``, ``dev.tsv``,
    ``test.tsv``, ``validated.tsv`` and ``clip_durations.tsv``. No two splits share a speaker or
    a sentence. The build takes less than a minute on two cores and 25 MB of disk; it is atomic.

    Parameters
    ----------
    language : str
        ``"fr"``, ``"en"``, ``"de"`` or ``"es"``.
    folder : Path, optional
        Where the corpus lies; default ``embedded/common_voice_fr-v1`` in the data folder, or in
        the user's own where that one has none and cannot be written. A part copies from
        ``common_voice_fr-v1`` beside it.
    speakers : int
        At least 10. Of each ten, eight are for training, one for validation, one for testing;
        low, high and children's voices alike.
    sentences : int
        How many each speaker reads; nobody else reads the same.
    seed : int
        Another seed gives other speakers and other sentences.
    part : str
        ``"new_words"``: the same training and validation, and a test part whose words training
        has not heard, read by the same speakers (French and English). ``"more"``: the same
        validation and test, and 160 speakers more to train on.
    processes : int, optional
        How many processes speak at a time; default one a core. It does not change the bytes.

    Raises
    ------
    CorpusError
        espeak-ng cannot be loaded or crashed, the disk is full, or the folder holds something
        else. The message says what to do.
    ValueError
        There is no grammar of that language, or it has too few sentences.
    """
    if language not in GRAMMARS:
        raise ValueError(
            f"language is {language!r}; the embedded corpus speaks {' and '.join(GRAMMARS)}."
        )
    if part not in ("", *script.PARTS):
        raise ValueError(f"part is {part!r}; use one of {', '.join(script.PARTS)}, or none.")
    if speakers < 10:
        raise ValueError(f"speakers is {speakers}; a split by speaker needs at least 10.")
    if sentences < 1:
        raise ValueError(f"sentences is {sentences}; everybody reads at least 1.")
    recipe = {
        "version": COMMON_VOICE_VERSION,
        "language": language,
        "seed": seed,
        "speakers": speakers,
        "sentences": sentences,
    }
    without = f"common_voice_{language}-v{COMMON_VOICE_VERSION}"
    lines, copied = script.lines_of(recipe), []
    if part:
        recipe = recipe | {"part": part}
        there = {line.path for line in lines}
        lines = script.lines_of(recipe)
        copied = [line.path for line in lines if line.path in there]
        lines = [line for line in lines if line.path not in there]
    plan = Plan(
        recipe=recipe,
        clips=len(lines),
        size=(len(lines) + len(copied)) * BYTES_PER_SENTENCE,
        folders=(f"{language}/clips",),
        jobs=[
            {
                "speakers": batch,
                "language": language,
                "seed": seed,
                "clips": [
                    (line.number, line.path, line.sentence, line.speaker)
                    for line in lines
                    if line.speaker in batch
                ],
            }
            for batch in _in_tens(sorted({line.speaker for line in lines}))
        ],
        write_texts=lambda building, espeak: script.write_tables(building, recipe, espeak),
        whole="25 MB",
        real="COURSE_COMMON_VOICE to mini_librispeech (459 MB, English), to mdc:DATASET_ID, or "
        "to a folder of a release",
        smallest="COURSE_COMMON_VOICE=mini_librispeech (459 MB, English)",
    )

    def copy(building: Path) -> None:
        beside = None if folder is None else folder.with_name(without)
        options = {"speakers": speakers, "sentences": sentences, "seed": seed}
        clips = common_voice(language, beside, **options, processes=processes) / language / "clips"
        for path in copied:
            shutil.copyfile(clips / path, building / language / "clips" / path)

    plan = replace(plan, copies=copy if part else None)
    return _find_or_build(folder, f"{without}-{part}" if part else without, plan, processes)


@dataclass(frozen=True)
class Plan:
    """What is to be built, and what a user is told about it."""

    recipe: dict  # what corpus.json must say, so that the corpus is this one
    clips: int
    size: int  # bytes
    folders: tuple[str, ...]
    jobs: list[dict]  # what each process is told; the folder is added
    write_texts: Callable[[Path, str], None]  # (folder, version of espeak)
    whole: str
    real: str  # where real speech comes from
    smallest: str  # ... and with the least effort
    copies: Callable[[Path], None] | None = None  # puts there what need not be spoken again


def _commands_plan(recipe: dict, batches: list[list[int]]) -> Plan:
    """What these batches of speakers have to say of Speech Commands."""
    clips = sum(map(len, batches)) * sum(recipe["takes"].values())
    return Plan(
        recipe=recipe,
        clips=clips,
        size=clips * BYTES_PER_CLIP,
        folders=(*recipe["takes"], "_background_noise_"),
        jobs=[
            {
                "speakers": batch,
                "takes": recipe["takes"],
                "seed": recipe["seed"],
                "short_share": SHORT_SHARE,
                "background": number == 0,
            }
            for number, batch in enumerate(batches)
        ],
        write_texts=lambda building, espeak: _write_texts(building, recipe, clips, espeak),
        whole="340 MB",
        real="COURSE_SPEECH_COMMANDS to mini (182 MB), v0.01 (1.5 GB), v0.02 (2.4 GB), or to a "
        "folder in that layout",
        smallest="COURSE_SPEECH_COMMANDS=mini (182 MB)",
    )


def say(word: str, speaker: int = 59, seed: int = 0) -> "torch.Tensor":
    """One second of a synthetic speaker, spoken at once, without a corpus: float32 (1, 16000).

    Parameters
    ----------
    word : str
    speaker : int
        Its number; by default one of the test part, with a dry voice close to the microphone.
    seed : int
        That of the corpus to which the speaker belongs.

    Raises
    ------
    CorpusError
        espeak-ng cannot be loaded or crashed. The message says what to do.
    ValueError
        `word` holds nothing to say, more than 40 letters, or what no name of a folder may.
    """
    # It is the name of a folder for a moment.
    if not isinstance(word, str) or not re.fullmatch(r"(?=.*\w)[^/\\\0]{1,40}", word):
        raise ValueError(f"expected a word of at most 40 letters, no slash, got {word!r:.60}")
    from course_utils import audio  # not above: a process that speaks needs no torch

    plan = _commands_plan({"seed": seed, "takes": {word: 1}}, [[speaker]])
    job = plan.jobs[0] | {"background": False, "short_share": 0}
    with tempfile.TemporaryDirectory(prefix="course-say-") as name:
        (Path(name) / word).mkdir()
        speak(Path(name), replace(plan, jobs=[job]), 1)
        [path] = Path(name).glob("*/*.wav")
        return audio.load_clip(path, 16_000)


def _batches(speakers: int, first: int = 0) -> list[list[int]]:
    return _in_tens(range(first, first + speakers))


def _in_tens(indices: Sequence[int]) -> list[list[int]]:
    return [
        list(indices[place : place + SPEAKERS_PER_BATCH])
        for place in range(0, len(indices), SPEAKERS_PER_BATCH)
    ]


def _kind(word: str) -> str:
    return "digits" if word in DIGITS else "ten commands" if word in COMMANDS else "others"


def _find_or_build(folder: Path | None, name: str, plan: Plan, processes: int | None) -> Path:
    if folder is None:
        folder = settings.data_folder() / "embedded" / name
        if not folder.is_dir():
            folder = settings.writable_data_folder() / "embedded" / name
    if processes is not None and processes < 1:
        raise ValueError(f"processes is {processes}; it takes at least 1 to speak.")
    try:
        if _is_complete(folder, plan.recipe):
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with files.locked(folder):
            if not _is_complete(folder, plan.recipe):  # another notebook may have built it
                _build(folder, plan, processes or cores())
    except OSError as error:
        raise _disk_error(error, folder, plan) from error
    return folder


def background_noise_folder() -> Path:
    """The folder of the six embedded noises, for corpora that have none of their own."""
    return speech_commands() / "_background_noise_"


def cores() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_complete(folder: Path, recipe: dict) -> bool:
    """True if `folder` holds the corpus of `recipe`; corpus.json is the last file of a build."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))["recipe"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CorpusError(
            f"{folder} exists and is not an embedded corpus: it has no corpus.json of one. "
            "Move it away, or name another folder."
        ) from None
    if found != recipe:
        raise CorpusError(
            f"{folder} holds an embedded corpus made with other settings. "
            "Name another folder, or delete this one to build it anew."
        )
    return True


def _build(folder: Path, plan: Plan, processes: int) -> None:
    for leftover in folder.parent.glob(f".{glob.escape(folder.name)}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if missing := files.missing_space(folder.parent, plan.size, "The embedded corpus"):
        raise CorpusError(missing)
    print(
        f"Building the embedded corpus once: {plan.clips:,} clips of synthetic speech, "
        f"{plan.size / 1e6:.0f} MB, in less than a minute on two cores.",
        flush=True,
    )
    building = folder.parent / f".{folder.name}.building-{os.getpid()}"
    try:
        for name in plan.folders:
            (building / name).mkdir(parents=True)
        if plan.copies:
            plan.copies(building)
        espeak = speak(building, plan, processes)
        plan.write_texts(building, espeak)
        if folder.exists():
            folder.rmdir()  # an empty folder may stand there; a full one was refused before
        building.replace(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def speak(folder: Path, plan: Plan, processes: int) -> str:
    """Run one process a batch of speakers, `processes` at a time; returns espeak's version."""
    from tqdm.auto import tqdm

    waiting = [json.dumps({"folder": str(folder), **job}) for job in plan.jobs]
    running: dict[int, subprocess.Popen] = {}
    done: dict[int, int] = {}
    finished: set[int] = set()
    messages: queue.Queue = queue.Queue()
    version = ""
    alone = plan.clips == 1  # is there before a bar could be read
    bar = tqdm(total=plan.clips, unit=" clips", desc="speaking", leave=False, disable=alone)
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                number = len(plan.jobs) - len(waiting)
                running[number] = _start(number, waiting.pop(0), messages)
            number, message = messages.get()
            if message is None:  # this process closed its output: it has ended
                code = running.pop(number).wait()
                if number not in finished:
                    raise _crash(code, plan)
                continue
            if "error" in message:
                raise _worker_error(message, folder, plan)
            version = message.get("version", version)
            done[number] = message.get("done", 0)
            if message.get("finished"):
                finished.add(number)
            bar.update(sum(done.values()) - bar.n)
    finally:
        bar.close()
        for process in running.values():
            process.kill()
        for process in running.values():
            process.wait()
    return version


def _start(number: int, job: str, messages: queue.Queue) -> subprocess.Popen:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(settings.CHECKOUT), *sys.path]))
    environment.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    process = subprocess.Popen(
        [sys.executable, "-m", "course_utils.corpora.embedded.worker", job],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment,
    )

    def read() -> None:
        with process.stdout:
            for line in process.stdout:
                with contextlib.suppress(json.JSONDecodeError):  # a C library's line, not ours
                    messages.put((number, json.loads(line)))
        messages.put((number, None))

    threading.Thread(target=read, daemon=True).start()
    return process


def _write_texts(folder: Path, recipe: dict, clips: int, espeak: str) -> None:
    first = recipe.get("first", 0)
    indices = range(first, first + recipe["speakers"])
    people = [make_speaker(index, recipe["seed"]) for index in indices]
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    for person in people:
        split = {8: "validation", 9: "testing"}.get(person.index % 10)
        if split:
            lists[split] += [
                f"{word}/{person.name}_nohash_{take}.wav"
                for word, takes in recipe["takes"].items()
                for take in range(takes)
            ]
    texts = {f"{split}_list.txt": "\n".join(sorted(paths)) for split, paths in lists.items()}
    texts["speakers.json"] = json.dumps([speaker_record(person) for person in people], indent=1)
    takes = {_kind(word): count for word, count in recipe["takes"].items()}
    said = ", ".join(
        f"the {kind} {'once' if takes[kind] == 1 else f'{takes[kind]} times'}"
        for kind in ("digits", "ten commands", "others")
        if kind in takes
    ).replace("ten commands ", "ten commands\n  ")
    texts["README.md"] = README.format(
        espeak=espeak, clips=f"{clips:,}", words=len(recipe["takes"]), said=said,
        **{key: recipe[key] for key in ("version", "seed", "speakers")},
    )
    texts["corpus.json"] = json.dumps(
        {"name": "embedded", "synthetic": True, "espeak": espeak, "clips": clips, "recipe": recipe},
        indent=1,
    )
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8", newline="\n")


def _worker_error(message: dict, folder: Path, plan: Plan) -> CorpusError:
    if message["error"] == "espeak":
        return CorpusError(
            "The embedded corpus needs espeak-ng, which does not load on this computer "
            f"({message['text']}). Use real speech instead: set {plan.real}."
        )
    if message["error"] == "os":
        return _disk_error(OSError(message["errno"], message["text"]), folder, plan)
    return _crash(message["text"], plan)


def _disk_error(error: OSError, folder: Path, plan: Plan) -> CorpusError:
    state = f"Nothing of the embedded corpus is kept; the whole takes about {plan.whole}."
    return CorpusError(files.disk_error(error, folder.parent, state))


def _crash(code: int | str, plan: Plan) -> CorpusError:
    if isinstance(code, str):
        reason = code
    else:
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
    return CorpusError(
        f"The process that speaks ended early ({reason}); no half corpus was left. Run this "
        f"again. If it happens again, use real speech: set {plan.smallest}."
    )
