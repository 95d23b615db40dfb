"""Write down what is said in recordings."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from course_utils import audio
from course_utils.corpora.clips import printable
from course_utils.corpora.folders import few
from course_utils.programs.base import Refused, decimal, example, one_line, whole
from course_utils.programs.trained import Writer, add_checkpoint, opened

#: What the language model's logarithm counts, and what each letter adds.
ALPHA, BETA = 0.5, 0.0


def options(parser: argparse.ArgumentParser) -> None:
    """Add what `transcribe` takes."""
    example(
        parser, "python -m course_utils transcribe runs/trial my_recordings --beam 8 --best 3",
        "ffmpeg -i film.mp4 -f wav - | python -m course_utils transcribe runs/fr - --json",
    )  # fmt: skip
    add_checkpoint(parser)
    parser.add_argument(
        "recordings",
        nargs="+",
        metavar="FILE|FOLDER|-",
        help="WAV, FLAC or MP3 of any rate; a folder with such files; - is standard input",
    )
    add_decoding(parser)
    parser.add_argument(
        "--best", type=whole(1), default=1, help="texts of each recording, with --beam"
    )
    parser.add_argument(
        "--text",
        type=Path,
        help="a language model of this file's sentences, one a line, helps the beam; none: none",
    )
    parser.add_argument(
        "--json", action="store_true", help="a line of JSON for each, with the times of words"
    )


def add_decoding(parser: argparse.ArgumentParser, beam: int = 0) -> None:
    """Add what steers a beam search."""
    parser.add_argument(
        "--beam",
        type=whole(0),
        default=beam,
        metavar="WIDTH",
        help="texts that a beam search keeps; 0: the likeliest symbol of each frame",
    )
    parser.add_argument(
        "--alpha",
        type=decimal(),
        help=f"what the language model's logarithm counts; none: {ALPHA}",
    )
    parser.add_argument(
        "--beta",
        type=decimal(),
        help=f"what each letter adds, with a language model; none: {BETA}",
    )


def weights_of(options: argparse.Namespace) -> tuple[float, float]:
    """What the language model counts."""
    given = zip((options.alpha, options.beta), (ALPHA, BETA), strict=True)
    alpha, beta = (default if value is None else value for value, default in given)
    return alpha, beta


def run(options: argparse.Namespace) -> int:
    """Transcribe; see :func:`options`. One bad recording does not stop the others."""
    if (options.best > 1 or options.text) and not options.beam:
        raise Refused("--best and --text need a beam search: add --beam 8.")
    if not options.text and (options.alpha, options.beta) != (None, None):
        raise Refused("--alpha and --beta weigh a language model: give its sentences with --text.")
    sentences = _sentences(options.text) if options.text else []
    recordings = list(_recordings(options.recordings))
    writer = Writer(opened(options, "ctc"), options.beam)
    if options.text:
        writer.learn(sentences, *weights_of(options))
    refused = 0
    for name, content in recordings:
        try:
            if isinstance(content, Refused):
                raise content
            waveform, rate = audio.read(content)
        except (audio.AudioError, Refused) as error:
            refused += 1
            print(f"transcribe: {one_line(error)}", file=sys.stderr)
            continue
        told = _transcribed(writer, waveform, rate, options.best)
        if options.json:
            print(json.dumps({"file": printable(name)} | told, ensure_ascii=False), flush=True)
        else:
            several = len(recordings) > 1 or options.best > 1
            name = re.sub(r"[\t\r\n]", " ", printable(name))  # a line each, in columns
            for one in told["best"]:
                score = "" if one["log_probability"] is None else f"{one['log_probability']:9.2f}\t"
                print(f"{name}\t{score}{one['text']}" if several else one["text"], flush=True)
    return 2 if refused else 0


def _sentences(path: Path) -> list[str]:
    """The lines of a text file."""
    if not path.is_file():
        raise Refused(f"There is no file {path}: --text takes sentences, one a line.")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise Refused(f"{path} is no text in UTF-8: --text takes sentences, one a line.") from None


def _recordings(given: list[str]) -> Iterator[tuple[str, Path | bytes | Refused]]:
    """Name and file, or content, of each recording, or why there is none."""
    for name in given:
        path = Path(name).expanduser()
        if name == "-":
            yield "-", sys.stdin.buffer.read()
        elif path.is_dir():
            kinds = ", ".join(audio.FORMATS)
            found = [file for file in sorted(path.rglob("*")) if not file.is_dir()]
            files = [file for file in found if file.suffix.lower() in audio.FORMATS]
            others = [file.name for file in found if file not in files and file.name[0] != "."]
            if files and others:
                told = printable(few(others))
                print(f"transcribe: left out in {name}, none of {kinds}: {told}", file=sys.stderr)
            if not files:
                yield name, Refused(f"{path} holds no file of {kinds}.")
            yield from ((str(file), file) for file in files)
        elif path.exists():
            yield name, path
        else:
            yield name, Refused(f"There is no file and no folder {path}.")


def _transcribed(writer: Writer, waveform: torch.Tensor, rate: int, best: int) -> dict:
    """What is said in a recording (channel, time): texts with scores, and the words' times."""
    sample_rate = writer.trained.sample_rate
    clip = audio.resample(audio.to_mono(waveform), rate, sample_rate)
    seconds = clip.shape[1] / sample_rate
    log_probs = writer.log_probs(clip)
    texts = writer.texts(log_probs)[:best]
    return {
        "seconds": round(seconds, 3), "text": texts[0].text,
        "best": [{"text": one.text, "log_probability": one.log_probability} for one in texts],
        "words": writer.times(log_probs, texts[0], seconds),
    }  # fmt: skip
