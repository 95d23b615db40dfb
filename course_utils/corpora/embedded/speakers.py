"""Synthetic speakers: each a throat, a way of speaking, a room and a microphone.

Everything is drawn from seeded generators, so the same version of this file and of NumPy makes the
same speakers.
"""

import hashlib
from dataclasses import asdict, dataclass, replace

import numpy as np

# Twice as many en-us voices as others: it is the accent that most speakers of the corpus have.
ACCENTS = {
    "en": (
        "en", "en-us", "en-us", "en-gb-x-rp", "en-gb-scotland", "en-gb-x-gbclan", "en-029",
        "en-us-nyc",
    ),
    "fr": ("fr", "fr", "fr-be", "fr-ch"),
    "de": ("de",),
    "es": ("es", "es-419"),
}


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
        index=index, name=hashlib.sha256(f"speaker {seed} {index}".encode()).hexdigest()[:8],
        voice=voice, accent=str(random.choice(ACCENTS["en"])),
        pitch=float(np.clip(random.normal(pitch_mean, pitch_deviation), 75, 310)),
        pitch_range=float(random.uniform(0.10, 0.28)),
        words_per_minute=float(np.clip(random.normal(165, 25), 110, 230)),
        formant_frequency=tuple(float(tract * random.normal(1, 0.025)) for _ in range(9)),
        formant_height=(100.0, *(float(random.uniform(70, 115)) for _ in range(8))),
        formant_width=tuple(float(random.uniform(85, 150)) for _ in range(9)),
        breath=int(random.choice([0, 0, 2, 4, 6])), roughness=int(random.choice([0, 0, 1, 2, 3])),
        consonants=(int(random.uniform(70, 140)), int(random.uniform(70, 140))),
        klatt=int(random.choice([0, 0, 0, 0, 0, 1, 2, 4, 5])), tilt=float(random.normal(0, 3)),
        low_cut=float(random.uniform(40, 250)), high_cut=float(random.uniform(4500, 8000)),
        reverberation=float(random.uniform(0.05, 0.35)),
        wet=float(random.choice([0.0, random.uniform(0.1, 0.6)])),
        snr=float(random.uniform(12, 40)), noise_colour=float(random.uniform(-1.2, 0)),
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
        speaker, accent=str(accent), tilt=speaker.tilt / 2, wet=speaker.wet / 2,
        snr=(speaker.snr + 30) / 2,
    )


def speaker_record(speaker: Speaker) -> dict:
    """A speaker as JSON has it."""
    return asdict(speaker)
