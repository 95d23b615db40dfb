"""Speech made by espeak-ng: one process that speaks, and the voices that it speaks with.

Nothing imports this module into a notebook. ``corpora.embedded`` starts it as a program,
``python -m course_utils.corpora.synthesis JOB``, because espeak-ng is a C library with global
state: a crash of it must not take a kernel with it, and two cores need two processes.

A voice is a *variant file* of espeak-ng (pitch, formants, breath, roughness), and a room, a
microphone and a noise floor that we add. Everything is drawn from seeded generators, so the same
version of this file, of espeak-ng and of NumPy writes the same bytes.
"""

from __future__ import annotations

import ctypes
import hashlib
import io
import json
import shutil
import sys
import tempfile
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

SAMPLE_RATE = 16_000  # Hz
BACKGROUND_SECONDS = 30
ROOM_SECONDS = 0.5  # longest echo that we simulate
CLIP_RATE = 32_000  # Hz; the rate of Common Voice's MP3 files
# Twice as many en-us voices as others: it is the accent that most speakers of the corpus have.
ACCENTS = {
    "en": (
        "en",
        "en-us",
        "en-us",
        "en-gb-x-rp",
        "en-gb-scotland",
        "en-gb-x-gbclan",
        "en-029",
        "en-us-nyc",
    ),
    "fr": ("fr", "fr", "fr-be", "fr-ch"),
}
# What a private copy of espeak-ng's data needs: 0.9 MB of about 10.
DATA_FILES = ("phondata", "phonindex", "phontab", "intonations")
DICTIONARIES = {"en": "en_dict", "fr": "fr_dict"}
DATA_FOLDERS = {"en": "lang/gmw", "fr": "lang/roa"}


class EspeakUnavailable(RuntimeError):
    """espeak-ng cannot be loaded on this machine."""


@dataclass(frozen=True)
class Speaker:
    """One synthetic speaker: a throat, a way of speaking, a room and a microphone."""

    index: int
    name: str  # eight hexadecimal digits, as in Speech Commands
    voice: str  # "low", "high" or "child"
    accent: str  # a language of espeak-ng
    pitch: float  # mean fundamental frequency in Hz
    pitch_range: float  # the pitch moves by this fraction up and down
    words_per_minute: float
    formant_frequency: tuple[float, ...]  # percent of espeak's own, for formants 0 to 8
    formant_height: tuple[float, ...]
    formant_width: tuple[float, ...]
    breath: int
    roughness: int
    consonants: tuple[int, int]  # percent: unvoiced, voiced
    klatt: int  # 0: espeak's own synthesiser; 1 to 5: a Klatt one with another voice source
    tilt: float  # microphone, dB an octave
    low_cut: float  # Hz
    high_cut: float  # Hz
    reverberation: float  # seconds until the echo has lost 60 dB
    wet: float  # share of echo; 0 is a dead room
    snr: float  # dB between the speech and the noise of the room
    noise_colour: float  # the noise's power falls as frequency ** noise_colour
    level: float  # dB, RMS of the recording

    def variant(self) -> str:
        """The text of this speaker's variant file for espeak-ng."""
        low, high = self.pitch * (1 - self.pitch_range), self.pitch * (1 + self.pitch_range)
        lines = [
            "language variant",
            f"name {self.name}",
            f"pitch {low:.0f} {high:.0f}",
            "flutter 0",  # flutter is random: it would make two builds differ
            f"roughness {self.roughness}",
            f"consonants {self.consonants[0]} {self.consonants[1]}",
        ]
        formants = zip(self.formant_frequency, self.formant_height, self.formant_width, strict=True)
        lines += [
            f"formant {number} {frequency:.0f} {height:.0f} {width:.0f}"
            for number, (frequency, height, width) in enumerate(formants)
        ]
        if self.breath:
            lines.append("breath 0" + f" {self.breath}" * 7)
        if self.klatt:
            lines.append(f"klatt {self.klatt}")
        return "\n".join(lines) + "\n"


def make_speaker(index: int, seed: int = 0) -> Speaker:
    """Draw speaker number `index`; the same index and seed give the same speaker.

    The adult means follow what is known of pitch and vocal tract length: about 115 Hz for low and
    200 Hz for high voices, and formants about 15 % apart.
    """
    random = np.random.default_rng([seed, index])
    voice = str(random.choice(["low", "high", "child"], p=[0.45, 0.45, 0.10]))
    pitch_mean, pitch_deviation = {"low": (115, 18), "high": (200, 22), "child": (270, 20)}[voice]
    tract_mean, tract_deviation = {"low": (97, 4), "high": (112, 4), "child": (123, 3)}[voice]
    tract = random.normal(tract_mean, tract_deviation)
    return Speaker(
        index=index,
        name=hashlib.sha256(f"speaker {seed} {index}".encode()).hexdigest()[:8],
        voice=voice,
        accent=str(random.choice(ACCENTS["en"])),
        pitch=float(np.clip(random.normal(pitch_mean, pitch_deviation), 75, 310)),
        pitch_range=float(random.uniform(0.10, 0.28)),
        words_per_minute=float(np.clip(random.normal(165, 25), 110, 230)),
        formant_frequency=tuple(float(tract * random.normal(1, 0.025)) for _ in range(9)),
        formant_height=(100.0, *(float(random.uniform(70, 115)) for _ in range(8))),
        formant_width=tuple(float(random.uniform(85, 150)) for _ in range(9)),
        breath=int(random.choice([0, 0, 2, 4, 6])),
        roughness=int(random.choice([0, 0, 1, 2, 3])),
        consonants=(int(random.uniform(70, 140)), int(random.uniform(70, 140))),
        klatt=int(random.choice([0, 0, 0, 0, 0, 1, 2, 4, 5])),
        tilt=float(random.normal(0, 3)),
        low_cut=float(random.uniform(40, 250)),
        high_cut=float(random.uniform(4500, 8000)),
        reverberation=float(random.uniform(0.05, 0.35)),
        wet=float(random.choice([0.0, random.uniform(0.1, 0.6)])),
        snr=float(random.uniform(12, 40)),
        noise_colour=float(random.uniform(-1.2, 0)),
        level=float(random.uniform(-26, -10)),
    )


def make_reader(index: int, seed: int = 0, language: str = "fr") -> Speaker:
    """Speaker number `index`, reading sentences in `language` in a better room.

    Two listeners must have understood a clip before Common Voice calls it valid. So there is half
    the echo, half the colour of the microphone, and less noise.
    """
    speaker = make_speaker(index, seed)
    accent = np.random.default_rng([seed, index, 11]).choice(ACCENTS[language])
    return replace(
        speaker,
        accent=str(accent),
        tilt=speaker.tilt / 2,
        wet=speaker.wet / 2,
        snr=(speaker.snr + 30) / 2,
    )


class Espeak:
    """The C library espeak-ng, speaking into memory with our own speakers' voices.

    Use as a context manager. Not thread-safe, and only one instance a process may exist: the
    library keeps global state.

    Raises
    ------
    EspeakUnavailable
        The wheel ``espeakng-loader`` is missing, or has no library for this platform.
    """

    _SYNCHRONOUS = 2
    _UTF8 = 1
    _RATE, _PITCH, _RANGE = 1, 3, 4
    _DO_NOT_EXIT = 0x8000  # by default the library ends the process when its data is missing

    def __init__(self, speakers: list[Speaker], language: str = "en"):
        try:
            import espeakng_loader

            library = espeakng_loader.get_library_path()
            data = Path(espeakng_loader.get_data_path())
            if not data.is_dir():
                raise ImportError(f"its folder of voices is missing: {data}")
            self._library = ctypes.CDLL(str(library))
        except (ImportError, OSError) as error:
            raise EspeakUnavailable(str(error)) from error
        self._folder = tempfile.TemporaryDirectory(prefix="course-voices-")
        voices = self._copy_data(data, Path(self._folder.name), speakers, language)
        library = self._library
        library.espeak_Info.restype = ctypes.c_char_p
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        library.espeak_Synth.argtypes = [
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_uint,
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint,
            ctypes.c_void_p,
            ctypes.c_void_p,
        ]
        self.sample_rate = library.espeak_Initialize(
            self._SYNCHRONOUS, 0, str(voices).encode(), self._DO_NOT_EXIT
        )
        if self.sample_rate <= 0:
            raise EspeakUnavailable(f"espeak_Initialize answered {self.sample_rate}")
        self.version = library.espeak_Info(None).decode()
        self._chunks: list[bytes] = []
        # ctypes frees a callback that nobody refers to, and C would then call into nothing.
        callback = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = callback(self._receive)
        library.espeak_SetSynthCallback(self._callback)

    @staticmethod
    def _copy_data(source: Path, folder: Path, speakers: list[Speaker], language: str) -> Path:
        """A private copy of espeak's data, because our variant files must lie inside it."""
        target = folder / "espeak-ng-data"
        variants = target / "voices" / "!v"
        variants.mkdir(parents=True)
        for name in (*DATA_FILES, DICTIONARIES[language]):
            shutil.copyfile(source / name, target / name)
        shutil.copytree(source / DATA_FOLDERS[language], target / DATA_FOLDERS[language])
        for speaker in speakers:
            (variants / speaker.name).write_text(speaker.variant(), encoding="ascii")
        return target

    def _receive(self, samples, count, events) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, 2 * count))
        return 0

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *exception) -> None:
        self._library.espeak_Terminate()
        self._folder.cleanup()

    def say(
        self, text: str, speaker: Speaker, rate: float, pitch: float, pitch_range: float
    ) -> np.ndarray:
        """Speak `text`; returns float32 ``(time,)`` at ``SAMPLE_RATE``, silence trimmed.

        Parameters
        ----------
        rate : float
            Words a minute.
        pitch, pitch_range : float
            0 to 100; 50 is what the speaker's variant file says.
        """

        library = self._library
        # Without this the noise of consonants depends on everything that was said before.
        library.espeak_ng_SetRandSeed(1)
        voice = f"{speaker.accent}+{speaker.name}"
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"espeak-ng does not know the voice {voice!r}.")
        library.espeak_SetParameter(self._RATE, int(np.clip(rate, 85, 300)), 0)
        library.espeak_SetParameter(self._PITCH, int(np.clip(pitch, 20, 80)), 0)
        library.espeak_SetParameter(self._RANGE, int(np.clip(pitch_range, 5, 99)), 0)
        self._chunks.clear()
        encoded = text.encode() + b"\0"
        library.espeak_Synth(encoded, len(encoded), 0, 1, 0, self._UTF8, None, None)
        library.espeak_Synchronize()
        samples = np.frombuffer(b"".join(self._chunks), "<i2").astype(np.float32) / 32768
        if not samples.any():
            raise RuntimeError(f"espeak-ng gave only silence for {text!r} with {voice!r}.")
        samples = soxr.resample(samples, self.sample_rate, SAMPLE_RATE)
        loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
        samples = samples[loud[0] : loud[-1] + 1]
        return samples / np.abs(samples).max()


class Studio:
    """Records speakers: espeak-ng, then the speaker's room, microphone and noise floor."""

    def __init__(self, espeak: Espeak):
        self.espeak = espeak
        self._responses: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def _response(self, speaker: Speaker, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Frequency responses ``(size // 2 + 1,)`` of room with microphone, and of the noise."""
        key = (speaker.index, size)
        if key not in self._responses:
            random = np.random.default_rng([speaker.index, 7])
            echo = np.zeros(int(ROOM_SECONDS * SAMPLE_RATE))
            echo[0] = 1.0  # the direct sound
            if speaker.wet:
                # An echo of 60 dB a reverberation time: amplitude 10 ** (-3 t / T60).
                time = np.arange(1, len(echo)) / SAMPLE_RATE
                tail = random.normal(size=len(time)) * 10 ** (-3 * time / speaker.reverberation)
                echo[1:] = speaker.wet * tail / np.sqrt((tail**2).sum())
            frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) + 1
            microphone = 10 ** (speaker.tilt * np.log2(frequency / 1000) / 20)
            microphone /= np.sqrt(1 + (speaker.low_cut / frequency) ** 4)
            microphone /= np.sqrt(1 + (frequency / speaker.high_cut) ** 6)
            response = np.fft.rfft(echo, size) * microphone
            self._responses[key] = response, frequency ** (speaker.noise_colour / 2)
        return self._responses[key]

    def record(self, dry: np.ndarray, speaker: Speaker, random: np.random.Generator) -> np.ndarray:
        """Put dry speech ``(time,)`` into the speaker's room; returns ``(time,)`` in [-1, 1]."""
        size = 1 << int(np.ceil(np.log2(len(dry) + ROOM_SECONDS * SAMPLE_RATE)))
        response, noise_response = self._response(speaker, size)
        wet = np.fft.irfft(np.fft.rfft(dry, size) * response, size)[: len(dry)]
        noise = np.fft.rfft(random.normal(size=len(dry)), size) * noise_response
        noise = np.fft.irfft(noise, size)[: len(dry)]
        snr = speaker.snr + random.normal(0, 3)
        wet += noise * rms(wet) / rms(noise) * 10 ** (-snr / 20)
        wet *= 10 ** ((speaker.level + random.normal(0, 2)) / 20) / rms(wet)
        return (wet / max(1.0, np.abs(wet).max() / 0.99)).astype(np.float32)

    def speak(self, speaker: Speaker, text: str, random: np.random.Generator) -> np.ndarray:
        """Dry speech ``(time,)``, a little different each time, as a person's is."""
        return self.espeak.say(
            text,
            speaker,
            rate=speaker.words_per_minute * random.normal(1, 0.10),
            pitch=50 + random.normal(0, 8),
            pitch_range=50 + random.normal(0, 20),
        )

    def command(
        self, speaker: Speaker, word: str, take: int, seed: int, short_share: float
    ) -> np.ndarray:
        """One clip of Speech Commands ``(time,)``: one second, or less for `short_share` of them.

        The word lies near the middle, but not at the same place each time: in the real corpus
        nobody aligned the words either.
        """
        random = np.random.default_rng([seed, speaker.index, take, zlib.crc32(word.encode())])
        dry = self.speak(speaker, word, random)[:SAMPLE_RATE]
        length = SAMPLE_RATE
        if random.random() < short_share:
            shortest = min(len(dry) + 400, SAMPLE_RATE - 1)
            length = int(random.integers(shortest, SAMPLE_RATE))
        room = max(0, length - len(dry))
        start = int(np.clip(random.normal(room / 2, room / 4), 0, room))
        clip = np.zeros(length)
        clip[start : start + len(dry)] = dry[: length - start]
        return self.record(clip, speaker, random)

    def sentence(self, speaker: Speaker, text: str, number: int, seed: int) -> np.ndarray:
        """One sentence read aloud ``(time,)``, with the silence of a person at a button."""
        random = np.random.default_rng([seed, speaker.index, number, 13])
        dry = self.speak(speaker, text, random)
        before, after = (random.uniform(0.05, 0.3, size=2) * SAMPLE_RATE).astype(int)
        return self.record(np.pad(dry, (before, after)), speaker, random)


def rms(samples: np.ndarray) -> float:
    """Root of the mean square, never zero."""
    return float(np.sqrt((samples**2).mean() + 1e-12))


def background_noise(
    studio: Studio, speakers: list[Speaker], words: list[str], seed: int
) -> dict[str, np.ndarray]:
    """Six noises of our own making, each ``(time,)`` at ``SAMPLE_RATE``, all equally loud."""
    random = np.random.default_rng([seed, 5])
    size = SAMPLE_RATE * BACKGROUND_SECONDS
    time = np.arange(size) / SAMPLE_RATE
    frequency = np.fft.rfftfreq(size, 1 / SAMPLE_RATE) + 1

    def coloured(gain: np.ndarray) -> np.ndarray:
        return np.fft.irfft(np.fft.rfft(random.normal(size=size)) * gain, size)

    babble = np.zeros(size)
    for number in range(3 * BACKGROUND_SECONDS):
        speaker = speakers[number % len(speakers)]
        speech = studio.speak(speaker, " ".join(random.choice(words, 6)), random)[:size]
        start = random.integers(0, size - len(speech) + 1)
        babble[start : start + len(speech)] += speech / rms(speech)
    noises = {
        "babble": babble,
        "engine": coloured(1 / frequency) * (1 + 0.8 * np.sin(2 * np.pi * 1.5 * time)) ** 2,
        "mains_hum": sum(np.sin(2 * np.pi * 50 * k * time) / k for k in range(1, 12)),
        "pink_noise": coloured(frequency**-0.5),
        "running_water": coloured(np.exp(-(((frequency - 2500) / 2500) ** 2))),
        "white_noise": coloured(np.ones_like(frequency)),
    }
    return {name: np.clip(0.1 * noise / rms(noise), -1, 1) for name, noise in noises.items()}


def write_wav(path: Path, samples: np.ndarray) -> None:
    """Write ``(time,)`` in [-1, 1] as a 16-bit WAV file at ``SAMPLE_RATE``."""

    sound = io.BytesIO()  # then a full disk is an error of Python's, with its number
    soundfile.write(sound, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    path.write_bytes(sound.getvalue())


def write_mp3(path: Path, samples: np.ndarray) -> None:
    """Write ``(time,)`` at ``SAMPLE_RATE`` as an MP3 file of 56 kbit/s at ``CLIP_RATE``."""

    samples = np.clip(soxr.resample(samples, SAMPLE_RATE, CLIP_RATE), -1, 1)
    sound = io.BytesIO()
    options = {"bitrate_mode": "CONSTANT", "compression_level": 0.9}
    soundfile.write(sound, samples, CLIP_RATE, format="MP3", **options)
    path.write_bytes(sound.getvalue())


def read_aloud(job: dict) -> None:
    """Do one worker's share of Common Voice: the sentences of its speakers."""
    from course_utils.corpora import reading

    recipe, folder = job["recipe"], Path(job["folder"])
    language, seed = recipe["language"], recipe["seed"]
    speakers = {index: make_reader(index, seed, language) for index in job["speakers"]}
    done = 0
    with Espeak(list(speakers.values()), language) as espeak:
        say(version=espeak.version)
        studio = Studio(espeak)
        for clip in reading.clips(recipe):
            if clip.speaker in speakers:
                speaker = speakers[clip.speaker]
                sound = studio.sentence(speaker, clip.sentence, clip.number, seed)
                write_mp3(folder / language / "clips" / clip.path, sound)
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


def say(**message) -> None:
    """One line of JSON to the parent; a parent that is gone ends this process, too."""
    print(json.dumps(message), flush=True)


def main() -> int:
    try:
        job = json.loads(sys.argv[1])
        read_aloud(job) if "recipe" in job else work(job)
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


def speaker_record(speaker: Speaker) -> dict:
    """A speaker as JSON has it."""
    return asdict(speaker)


if __name__ == "__main__":
    sys.exit(main())
