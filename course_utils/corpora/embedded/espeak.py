"""espeak-ng, a C library with global state: one process that speaks."""

import ctypes
import shutil
import tempfile
from pathlib import Path

import numpy as np
import soxr

from course_utils.corpora.embedded.speakers import Speaker

SAMPLE_RATE = 16_000  # Hz

# What a private copy of espeak-ng's data needs: 0.9 MB of about 10.
DATA_FILES = ("phondata", "phonindex", "phontab", "intonations")


DICTIONARIES = {name: f"{name}_dict" for name in ("en", "fr", "de", "es")}


DATA_FOLDERS = {"en": "lang/gmw", "fr": "lang/roa", "de": "lang/gmw", "es": "lang/roa"}


class EspeakUnavailable(RuntimeError):
    """espeak-ng cannot be loaded on this machine."""


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
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
            ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
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

    def __enter__(self) -> "Espeak":
        return self

    def __exit__(self, *exception: object) -> None:
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
