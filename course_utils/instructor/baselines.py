"""What a recogniser from before deep learning makes of the same clips.

PocketSphinx models sounds by hidden Markov models and Gaussian mixtures, as recognisers did in the
1990s, and brings a model of American English. Nothing is trained here. It needs the extra
``pip install -e ".[baselines]"``; without it, tables show what was measured with it.

::

    python -m course_utils.instructor.baselines                       # embedded, both tasks
    python -m course_utils.instructor.baselines --words FOLDER --sentences FOLDER
    python -m course_utils.instructor.baselines --words none          # sentences alone
"""

import argparse
import contextlib
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import date

import jiwer
import numpy as np

from course_utils import rates, results
from course_utils.corpora import alphabet, common_voice, speech_commands
from course_utils.instructor import measure

NAME = "PocketSphinx"
#: Silence on both sides of a clip, in samples: chosen on the validation part of the real sample.
MARGIN = 4_000
#: What stage 4 can write.
LETTERS = set(" 'abcdefghijklmnopqrstuvwxyz")
#: It was trained elsewhere, on what its authors do not name.
TRAINED = "American English of its own"


def _decoder(words: Iterable[str] | None):
    """A decoder of one of these words, or of free English where there are none."""
    try:
        from pocketsphinx import Decoder
    except ImportError as error:
        raise SystemExit('PocketSphinx is missing: pip install -e ".[baselines]"') from error
    if words is None:
        return Decoder(loglevel="FATAL", samprate=speech_commands.SAMPLE_RATE)
    decoder = Decoder(lm=None, loglevel="FATAL", samprate=speech_commands.SAMPLE_RATE)
    grammar = f"#JSGF V1.0;\ngrammar words;\npublic <word> = {' | '.join(words)} ;\n"
    decoder.add_jsgf_string("words", grammar)
    decoder.activate_search("words")
    return decoder


def transcribed(waveforms: Iterable[np.ndarray], words: Iterable[str] | None) -> Iterator[str]:
    """What is heard in each clip, "" for nothing.

    Parameters
    ----------
    waveforms : iterable of int16 array (time,)
        At 16 kHz.
    words : list of str or None
        One of these is said; None for anything.
    """
    decoder = _decoder(words)
    for waveform in waveforms:
        decoder.start_utt()
        decoder.process_raw(np.pad(waveform, MARGIN).tobytes(), full_utt=True)
        decoder.end_utt()
        found = decoder.hyp()
        yield found.hypstr if found else ""


def on_words(source: str) -> list[results.Result]:
    """The ten commands of the test part, with a grammar of them: for stage 3's table."""
    corpus = speech_commands.load(source, words=speech_commands.COMMANDS, verbose=False)
    test = corpus.split("test")
    heard = np.array(list(transcribed(test.waveforms, corpus.words)))
    right = heard == test.spoken
    low, high = rates.bootstrap(rates.by_speaker(test.speakers, right.astype(int), [1] * len(test)))
    print(f"{corpus.name}: {right.mean():.1%}, no answer {(heard == '').mean():.1%}")
    return [
        _result(
            stage=3, model=f"{NAME}, a grammar of the words", tested_on=corpus.name,
            task="ten commands", test_clips=len(test), test_speakers=len(set(test.speakers)),
            classes=len(corpus.words), chance=results.chance_of(test.labels), metric="accuracy",
            value=float(right.mean()), low=low, high=high,
        )
    ]


def on_sentences(source: str) -> list[results.Result]:
    """English sentences of the test part, written down freely: for stage 4's table."""
    corpus = common_voice.load(
        "en", source=source, min_seconds=0.5, max_seconds=10, max_clips=None, verbose=False
    )
    test = corpus.split("test")
    said = [_normalised(text) for text in test.transcripts]
    rows = [row for row, text in enumerate(said) if text and set(text) <= LETTERS]
    test, said = test.take(rows), [said[row] for row in rows]  # the clips that stage 4 scores
    clips = ((test[i].waveform[0].numpy() * 32767).astype(np.int16) for i in range(len(test)))
    heard = [_normalised(text) for text in transcribed(clips, None)]
    found = []
    for metric, count in (("cer", jiwer.process_characters), ("wer", jiwer.process_words)):
        parts = [count(a, b) for a, b in zip(said, heard, strict=True)]
        errors = [part.substitutions + part.deletions + part.insertions for part in parts]
        lengths = [part.substitutions + part.deletions + part.hits for part in parts]
        low, high = rates.bootstrap(rates.by_speaker(test.speakers, errors, lengths))
        value = sum(errors) / sum(lengths)
        print(f"{corpus.name}, {len(test)} clips: {metric.upper()} {value:.1%}")
        found.append(
            _result(
                stage=4, model=f"{NAME}, free dictation", tested_on=corpus.name, metric=metric,
                test_clips=len(test), test_speakers=len(set(test.speakers)), classes=29,
                chance=None, value=value, low=low, high=high,
            )
        )
    return found


def _normalised(text: str) -> str:
    """As stage 4 writes a text: small letters, apostrophes and single spaces."""
    table = alphabet.table()
    text = unicodedata.normalize("NFC", text).lower()
    return " ".join("".join(table.get(character, character) for character in text).split())


def _result(**given) -> results.Result:
    return results.Result(
        headline=False, trained_on=TRAINED, split="test", train_clips=0, parameters=0, seconds=0.0,
        seed=0, device="cpu", **given,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m course_utils.instructor.baselines", description="Measure PocketSphinx."
    )
    parser.add_argument("--words", default="embedded", help="a source of commands, or none")
    parser.add_argument("--sentences", default="embedded", help="one of Common Voice, or none")
    options = parser.parse_args(arguments)
    file = measure.FOLDER / f"{date.today().isoformat()}.json"
    for source, run in ((options.words, on_words), (options.sentences, on_sentences)):
        if source != "none":
            start = time.perf_counter()
            found = run(source)
            run_of = {"notebook": "baselines", "source": found[0].tested_on, "seed": 0}
            seconds = round(time.perf_counter() - start, 1)
            with contextlib.suppress(FileExistsError):
                measure.FOLDER.mkdir(parents=True)
            measure.merge(file, found, [run_of | {"seconds": seconds}])
    return 0


if __name__ == "__main__":
    sys.exit(main())
