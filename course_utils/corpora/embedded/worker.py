"""One process that speaks: ``python -m course_utils.corpora.embedded.worker JOB``.

Nothing imports this module into a notebook: a crash of espeak-ng must not take a kernel with it,
and two cores need two processes. A job says what to speak; messages come back as lines of JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from course_utils.corpora.embedded.espeak import Espeak, EspeakUnavailable
from course_utils.corpora.embedded.speakers import make_reader, make_speaker
from course_utils.corpora.embedded.studio import Studio, background_noise, write_mp3, write_wav


def read_aloud(job: dict) -> None:
    """Do one worker's share of Common Voice: the sentences of its speakers."""
    folder, language, seed = Path(job["folder"]), job["language"], job["seed"]
    speakers = {index: make_reader(index, seed, language) for index in job["speakers"]}
    done = 0
    with Espeak(list(speakers.values()), language) as espeak:
        say(version=espeak.version)
        studio = Studio(espeak)
        for number, path, sentence, speaker in job["clips"]:
            sound = studio.sentence(speakers[speaker], sentence, number, seed)
            write_mp3(folder / language / "clips" / path, sound)
            done += 1
            if done % 10 == 0:
                say(done=done)
    say(done=done, finished=True)


def work(job: dict) -> None:
    """Do one worker's share: the clips of its speakers, and for one worker the noises."""
    folder = Path(job["folder"])
    speakers = [make_speaker(index, job["seed"]) for index in job["speakers"]]
    done = 0
    with Espeak(speakers) as espeak:
        say(version=espeak.version)
        studio = Studio(espeak)
        for speaker in speakers:
            for word, takes in job["takes"].items():
                for take in range(takes):
                    clip = studio.command(speaker, word, take, job["seed"], job["short_share"])
                    write_wav(folder / word / f"{speaker.name}_nohash_{take}.wav", clip)
                    done += 1
            say(done=done)
        if job["background"]:
            noises = background_noise(studio, speakers[:20], list(job["takes"]), job["seed"])
            for name, noise in noises.items():
                write_wav(folder / "_background_noise_" / f"{name}.wav", noise)
    say(done=done, finished=True)


def speak_lines(job: dict) -> None:
    """Do one worker's share of a scene: lines into one file, and where each is spoken in it."""
    speakers = {index: make_speaker(index) for index in job["speakers"]}
    target, spans = Path(job["folder"]) / job["name"], []
    with Espeak(list(speakers.values())) as espeak, target.with_suffix(".int16").open("wb") as file:
        say(version=espeak.version)
        studio = Studio(espeak)
        for number, text, speaker in job["lines"]:
            sound, start, end = studio.utterance(speakers[speaker], text, number, job["seed"])
            file.write(np.round(sound * 32767).astype("<i2").tobytes())
            spans.append((len(sound), start, end))
            if len(spans) % 10 == 0:
                say(done=len(spans))
    target.with_suffix(".json").write_text(json.dumps(spans), encoding="utf-8")
    say(done=len(spans), finished=True)


def say(**message: Any) -> None:
    """One line of JSON to the parent; a parent that is gone ends this process, too."""
    print(json.dumps(message), flush=True)


def main() -> int:
    """Do the job that the command line names; returns the exit status."""
    try:
        job = json.loads(sys.argv[1])
        (read_aloud if "clips" in job else speak_lines if "lines" in job else work)(job)
    except BrokenPipeError:
        return 1
    except EspeakUnavailable as error:
        say(error="espeak", text=str(error))
        return 1
    except OSError as error:
        say(error="os", errno=error.errno, text=str(error))
        return 1
    except Exception as error:
        say(error="other", text=f"{type(error).__name__}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
