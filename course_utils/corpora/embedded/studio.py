"""A studio: a room, a microphone and a noise floor for a dry voice, and the files of a corpus."""

import io
import zlib
from pathlib import Path

import numpy as np
import soundfile
import soxr

from course_utils.corpora.embedded.espeak import SAMPLE_RATE, Espeak
from course_utils.corpora.embedded.speakers import Speaker

BACKGROUND_SECONDS = 30


ROOM_SECONDS = 0.5  # longest echo that we simulate


CLIP_RATE = 32_000  # Hz; the rate of Common Voice's MP3 files


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
            text, speaker, rate=speaker.words_per_minute * random.normal(1, 0.10),
            pitch=50 + random.normal(0, 8), pitch_range=50 + random.normal(0, 20),
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
        return self.utterance(speaker, text, number, seed)[0]

    def utterance(
        self, speaker: Speaker, text: str, number: int, seed: int
    ) -> tuple[np.ndarray, int, int]:
        """The same, and the samples from and to which somebody speaks; echo follows."""
        random = np.random.default_rng([seed, speaker.index, number, 13])
        dry = self.speak(speaker, text, random)
        before, after = (random.uniform(0.05, 0.3, size=2) * SAMPLE_RATE).astype(int)
        sound = self.record(np.pad(dry, (before, after)), speaker, random)
        return sound, int(before), int(before) + len(dry)


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
