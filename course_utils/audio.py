"""Read, write, resample and fit recordings: WAV, FLAC and MP3, without FFmpeg.

A *waveform* is a float32 tensor ``(channel, time)`` with amplitudes in [-1, 1].
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
import torch

from course_utils import recordings

FORMATS = (".wav", ".flac", ".mp3")


class AudioError(ValueError):
    """A recording cannot be used; the message names the file, the reason and the way out."""


def read(
    file: str | Path | bytes | BinaryIO, *, allow_silence: bool = False
) -> tuple[torch.Tensor, int]:
    """Read a recording.

    Parameters
    ----------
    file : path, bytes or binary file
        WAV, FLAC or MP3 of any rate and any number of channels.
    allow_silence : bool
        Without it, a recording whose samples are all zero is an error: a muted microphone.

    Returns
    -------
    waveform : float32 tensor (channel, time)
    sample_rate : int
        In Hz.

    Raises
    ------
    AudioError
        The file is missing, unreadable, empty, cut off, not audio, holds numbers that are not
        finite, or is silent for its whole length.
    """

    samples, sample_rate = read_samples(file)
    if not allow_silence and not samples.any():
        raise AudioError(
            f"{_name(file)} is silent for its whole length: every sample is 0. "
            "Was the microphone muted? Record it again."
        )
    return torch.from_numpy(samples.T.copy()), sample_rate


def read_folder(folder: str | Path) -> Iterator[tuple[Path, torch.Tensor, int]]:
    """Every audio file in a folder and below, in order of their names.

    What cannot be read is named in a printed line, and does not stop the others.

    Parameters
    ----------
    folder : path
        A file counts as a folder with nothing else in it.

    Yields
    ------
    path, tensor (channel, time), int
        The file, its samples and its rate in Hz, as :func:`read` gives them.

    Raises
    ------
    FileNotFoundError
        There is neither such a folder nor such a file.
    """
    folder = Path(folder).expanduser()
    if not folder.exists():
        raise FileNotFoundError(f"There is no folder {folder}. Is its name right?")
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    for file in files:
        if file.suffix.lower() in FORMATS:
            try:
                yield file, *read(file)
            except AudioError as error:
                print(f"{file.name:<16} left out: {str(error).replace(str(file), file.name)}")


def read_samples(file: str | Path | bytes | BinaryIO) -> tuple[np.ndarray, int]:
    """As `read`, but returns float32 ``(time, channel)``, silence allowed, without torch."""

    name = _name(file)
    content = _content(file)
    if not content:
        raise AudioError(f"{name} is empty: 0 bytes. Copy or download it again.")
    found = recordings.examined(content)
    if found.complaint:
        raise AudioError(f"{name} {found.complaint}")
    try:
        samples, sample_rate, complaint = _decoded(found)
    except (soundfile.SoundFileError, ValueError, OSError, MemoryError, OverflowError) as error:
        raise AudioError(f"{name} {_refusal(content, error)}") from error
    if complaint:
        raise AudioError(f"{name} {complaint}")
    if not np.isfinite(samples).all():
        bad = int((~np.isfinite(samples)).sum())
        raise AudioError(
            f"{name} holds {bad:,} samples that are not numbers (NaN or infinite). "
            "Export it again as 16-bit PCM."
        )
    peak = float(np.abs(samples).max(initial=0))
    if peak > _LOUDEST:
        raise AudioError(
            f"{name} has amplitudes up to {peak:,.0f}, and sound lies between -1 and 1: whole "
            "numbers were written as floating-point ones. Divide them by 32768 (16 bits), or "
            "export it again as 16-bit PCM."
        )
    return samples, sample_rate


def _decoded(found: recordings.Examined) -> tuple[np.ndarray, int, str]:
    """The samples, their rate, and what is wrong with them, as a predicate."""
    samples, sample_rate, promised, complaint = _sound(found.content)
    if not found.states_length and promised < found.samples:
        # The decoder guessed by the first frame, as if all had its bit rate, and stopped there.
        again = _sound(recordings.with_mp3_length(found.content))
        samples = max(samples, again[0], key=len)
    if not found.states_length:
        promised = 0
    rate = max(sample_rate, 1)
    # The decoder takes off what the encoder put before and behind the sound: some frames.
    if found.samples and len(samples) < min(promised or found.samples, found.samples) - 2 * 1152:
        complaint = (
            "is damaged, or mono and stereo were joined in it byte by byte: its frames hold "
            f"{found.samples / rate:.2f} s, and {len(samples) / rate:.2f} s of these can be "
            "decoded. Copy or export it again."
        )
    elif not complaint and len(samples) == 0:
        complaint = "holds 0 samples of sound. Record or download it again."
    elif not complaint and len(samples) < promised:
        complaint = (
            f"is cut off: its header promises {promised:,} samples, and {len(samples):,} "
            "are there. Copy or download it again."
        )
    elif not complaint and not 1_000 <= sample_rate <= 1_000_000:
        complaint = (
            f"has a sample rate of {sample_rate:,} Hz by its header, which no recording of speech "
            "has. Export it again at 16000 Hz."
        )
    return samples, sample_rate, complaint


class _Content(io.BytesIO):
    """Bytes in which a damaged header may send the decoder to a place that does not exist."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()  # elsewhere than the decoder wanted: it notices


def _sound(content: bytes) -> tuple[np.ndarray, int, int, str]:
    """Samples, rate, the number of samples that the header promises, and a complaint."""
    # The headers that were examined before need no such care, which takes some microseconds.
    is_examined = content[:4] in (b"RIFF", b"fLaC") or content[:1] == b"\xff"
    file = io.BytesIO(content) if is_examined else _Content(content)
    with soundfile.SoundFile(file) as sound:
        promised, sample_rate = sound.frames, sound.samplerate
        if promised * sound.channels > MOST:
            complaint = "is damaged or cut off: it does not hold one whole frame of sound."
            if promised < 2**62:  # by which libsndfile means that nobody knows
                complaint = f"is damaged: its header promises {promised:,} samples."
            none = np.zeros((0, 1), np.float32)
            return none, sample_rate, 0, f"{complaint} Copy or download it again."
        # A codec in which no place can be looked up wants the number of samples.
        try:
            samples = sound.read(promised, dtype="float32", always_2d=True)
        except soundfile.SoundFileError:
            if sound.format in (*_EXAMINED, "OGG"):
                raise  # what the decoder knows and cannot follow is damaged
            complaint = (
                f"is {sound.format_info} with the codec {sound.subtype_info}, and cannot be "
                "decoded here, or is cut off. Export it again as 16-bit PCM WAV."
            )
            return np.zeros((0, 1), np.float32), sample_rate, 0, complaint
        complaint = "" if sound.format in _EXAMINED else _shortened(content, sound)
    return samples, sample_rate, promised, complaint


#: Floating-point sound goes over 1 where it was mixed too loudly, but never 40 dB.
_LOUDEST = 100
#: Samples of all channels: six hours at 96 kHz.
MOST = 2**31
#: Formats whose header was examined before.
_EXAMINED = ("WAV", "WAVEX", "RF64", "FLAC", "MP3")


def _shortened(content: bytes, sound: soundfile.SoundFile) -> str:
    """Whether a file of another format is cut off: libsndfile takes what is there, in silence.

    Headers of IRCAM, PAF, PVF and XI state no length: nobody can tell that such a file was cut.
    """
    log = sound.extra_info  # what libsndfile says of the header
    # It would take the heads of the further parts for sound.
    if sound.format == "VOC" and "multi-segment" in log:
        return (
            f"is {sound.format_info} in several parts, which cannot be decoded here. "
            "Export it again as 16-bit PCM WAV."
        )
    if sound.format == "NIST":  # its header is text, and counts
        stated = re.findall(rb"sample_count -i (\d+)", content[:1024])
    elif sound.format in ("AVR", "MPC2K"):
        stated = re.findall(r"^ *Frames *: (\d+)", log, re.MULTILINE)
    else:  # of several matrices in a file of MATLAB's, the last one is the sound
        stated = re.findall(r"\bCols *: (\d+)", log)[-1:] if sound.format[:3] == "MAT" else []
    if stated and sound.frames < int(stated[0]):
        return (
            f"is cut off: its header promises {int(stated[0]):,} samples, and "
            f"{sound.frames:,} are there. Copy or download it again."
        )
    if sound.format == "VOC" and "truncated" in log:
        return "is cut off: its sound is shorter than its header says. Copy or download it again."
    for size, there in re.findall(r"(\d+) \(?should be (\d+)", log):
        missing = int(size) - int(there)
        if missing > 1 and not recordings.is_placeholder(int(size)):
            return (
                f"is cut off: {missing:,} bytes of its sound are missing. Copy or download it "
                "again."
            )
    return ""


def _refusal(content: bytes, error: Exception) -> str:
    """Why no decoder takes a file: what it is, or that it is damaged, as a predicate."""
    kind, advice = recordings.kind_of(content)
    reason = (getattr(error, "error_string", "") or str(error) or type(error).__name__).rstrip(".")
    codec = recordings.codec_of(content)
    if codec:
        return (
            f"is a WAV file with {codec}, which cannot be decoded here. "
            "Export it again as 16-bit PCM."
        )
    if kind:
        return f"is not audio that can be read: it is {kind}. {advice}"
    # A frame of MP3 begins with eleven ones, two bits for the version, and 01 for the layer.
    is_frame = len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2
    if is_frame or content.startswith(_STARTS):
        return f"is damaged or cut off ({reason}). Copy or download it again."
    return (
        f"is not audio that can be read: its first bytes are {content[:8]!r}. "
        f"Use one of {', '.join(FORMATS)}."
    )


#: How the recordings begin that libsndfile knows; what it refuses is damaged.
_STARTS = tuple(
    b"RIFF RIFX RF64 BW64 riff fLaC OggS ID3 FORM .snd dns. caff NIST_1A Creative \xf0~".split()
)


def _name(file) -> str:
    name = file if isinstance(file, str | Path) else getattr(file, "name", None)
    return str(name) if name else "The recording"


def _content(file) -> bytes:
    if isinstance(file, bytes | bytearray | memoryview):
        return bytes(file)
    if hasattr(file, "read"):
        return file.read()
    path = Path(file)
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            raise AudioError(f"{path} {_broken_link(path)}") from None
        raise AudioError(f"{path} does not exist. Check the folder and the spelling.") from None
    except IsADirectoryError:
        raise AudioError(f"{path} is a folder, not a recording.") from None
    except OSError as error:
        raise AudioError(
            f"{path} cannot be read ({error.strerror}). Check its permissions."
        ) from error


def _broken_link(path: Path) -> str:
    target = str(path.readlink())
    way_out = "Copy the recording itself, or unpack the archive again."
    if "annex/objects" in target:  # the content stays with a server until somebody asks for it
        way_out = "Run git annex get in its folder."
    return f"is a link to {target}, which does not exist. {way_out}"


def write(path: str | Path, waveform: torch.Tensor, sample_rate: int) -> Path:
    """Write a waveform ``(channel, time)`` or ``(time,)`` as 16-bit WAV or FLAC, or as MP3.

    Amplitudes beyond [-1, 1] are clipped.

    Raises
    ------
    AudioError
        The waveform is empty, has another shape, or holds integers or numbers that are not
        finite; the suffix is none of .wav, .flac, .mp3; the rate or the number of channels does
        not suit the format; the file cannot be written.
    """

    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise AudioError(f"{path.name}: the suffix must be one of {', '.join(FORMATS)}.")
    if waveform.ndim == 1:
        waveform = waveform[None]
    if waveform.ndim != 2 or waveform.numel() == 0:
        raise AudioError(
            f"A waveform has the shape (channel, time); this one has {tuple(waveform.shape)}."
        )
    if not waveform.is_floating_point():
        raise AudioError(
            f"A waveform holds numbers in [-1, 1]; this one holds {waveform.dtype}. Convert it "
            "first: 16-bit samples are waveform.float() / 32768."
        )
    if not torch.isfinite(waveform).all():
        raise AudioError("The waveform holds NaN or infinite samples; nothing was written.")
    _check_rate(sample_rate)
    samples = waveform.detach().cpu().float().clamp(-1, 1).numpy().T
    kind = path.suffix[1:].upper()
    subtype = None if kind == "MP3" else "PCM_16"
    sound = io.BytesIO()  # libsndfile does not say why it cannot write to a disk; Python does
    try:
        soundfile.write(sound, samples, sample_rate, format=kind, subtype=subtype)
    except soundfile.LibsndfileError as error:
        raise AudioError(
            f"{path.name} cannot be written with {len(waveform)} channels at {sample_rate} Hz "
            f"({error.error_string.removeprefix('Error : ').rstrip('.')}). Resample it to 16000 "
            "Hz, and check that the shape is (channel, time)."
        ) from error
    try:
        path.write_bytes(sound.getvalue())
    except OSError as error:
        raise AudioError(
            f"{path} cannot be written ({error.strerror}). Check that its folder exists, that "
            "you may write there and that the disk is not full."
        ) from error
    return path


def _check_rate(rate: int) -> None:
    if not (isinstance(rate, int) and rate > 0):
        raise AudioError(f"A sample rate is a whole number of Hz above 0; this is {rate!r}.")


def to_mono(waveform: torch.Tensor) -> torch.Tensor:
    """The mean over channels: ``(channel, time)`` -> ``(1, time)``.

    Examples
    --------
    >>> import torch
    >>> to_mono(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    tensor([[0.5000, 1.0000]])
    """
    return waveform.mean(dim=0, keepdim=True)


def resample(waveform: torch.Tensor, sample_rate: int, new_rate: int) -> torch.Tensor:
    """Change the sample rate of ``(..., time)``, with a filter against aliasing.

    Parameters
    ----------
    sample_rate, new_rate : int
        In Hz. The result has ``ceil(time * new_rate / sample_rate)`` samples.

    Notes
    -----
    soxr resamples a corpus and a reader's voice alike: what is compared went through one filter.
    """
    _check_rate(sample_rate)
    _check_rate(new_rate)
    if sample_rate == new_rate:
        return waveform
    samples = waveform.detach().cpu().reshape(-1, waveform.shape[-1]).T.numpy()  # (time, channel)
    samples = resampled(np.ascontiguousarray(samples), sample_rate, new_rate)
    length = math.ceil(waveform.shape[-1] * new_rate / sample_rate)
    samples = np.pad(samples, ((0, max(0, length - len(samples))), (0, 0)))[:length]
    new = torch.from_numpy(np.ascontiguousarray(samples.T))
    return new.reshape(*waveform.shape[:-1], length).to(waveform)


def resampled(samples: np.ndarray, sample_rate: int, new_rate: int) -> np.ndarray:
    """Change the sample rate of float samples (time,) or (time, channel): see :func:`resample`."""
    return samples if sample_rate == new_rate else soxr.resample(samples, sample_rate, new_rate)


def shift(waveforms: torch.Tensor, samples: torch.Tensor | int) -> torch.Tensor:
    """Move each clip later by its own number of samples; zeros fill the gap, the length stays.

    Parameters
    ----------
    waveforms : tensor (batch, 1, time)
    samples : int64 tensor (batch,), or int
        Earlier, if negative.

    Examples
    --------
    >>> ramp = torch.arange(1.0, 5.0).repeat(2, 1, 1)
    >>> shift(ramp, torch.tensor([1, -3]))[:, 0].tolist()
    [[0.0, 1.0, 2.0, 3.0], [4.0, 0.0, 0.0, 0.0]]
    """
    time = waveforms.shape[2]
    samples = torch.as_tensor(samples, device=waveforms.device).view(-1, 1, 1)
    source = torch.arange(time, device=waveforms.device) - samples  # (batch, 1, time)
    inside = (source >= 0) & (source < time)
    source = source.clamp(0, time - 1).expand(len(waveforms), 1, time)
    return waveforms.gather(2, source) * inside


def fit(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """Pad ``(..., time)`` with zeros at the end, or cut its end, to ``(..., samples)``.

    Examples
    --------
    >>> import torch
    >>> fit(torch.tensor([[1.0, 2.0]]), 3)
    tensor([[1., 2., 0.]])
    >>> fit(torch.tensor([[1.0, 2.0]]), 1)
    tensor([[1.]])
    """

    time = waveform.shape[-1]
    if time >= samples:
        return waveform[..., :samples]
    return torch.nn.functional.pad(waveform, (0, samples - time))


def loudest(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """The stretch of so many samples of ``(1, time)`` that has most power; all, where it is short.

    Examples
    --------
    >>> import torch
    >>> loudest(torch.tensor([[0.0, 1.0, 2.0, 0.5]]), 2)
    tensor([[1., 2.]])
    """
    if waveform.shape[1] <= samples:
        return waveform
    energy = torch.nn.functional.pad(waveform[0].double().square().cumsum(0), (1, 0))
    start = int((energy[samples:] - energy[:-samples]).argmax())
    return waveform[:, start : start + samples]


def looped(waveform: torch.Tensor, samples: int) -> torch.Tensor:
    """A sound ``(..., time)`` again and again, until it has at least so many samples.

    One that is long enough stays as it is.

    Examples
    --------
    >>> import torch
    >>> looped(torch.tensor([[1.0, 2.0]]), 3)
    tensor([[1., 2., 1., 2.]])
    """

    times = max(1, math.ceil(samples / max(1, waveform.shape[-1])))
    return waveform.repeat(*[1] * (waveform.ndim - 1), times) if times > 1 else waveform


def stacked(
    pieces: Sequence[torch.Tensor], fill: float = 0.0, extra: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces ``(..., time)`` of unequal length in one batch, filled up at the end; their lengths.

    >>> batch, lengths = stacked([torch.ones(2), torch.ones(1)], fill=9.0)
    >>> batch.tolist(), lengths.tolist()
    ([[1.0, 1.0], [1.0, 9.0]], [2, 1])
    """
    lengths = [piece.shape[-1] for piece in pieces]
    ends = [(0, max(lengths) + extra - length) for length in lengths]
    pad = torch.nn.functional.pad
    filled = [pad(piece, end, value=fill) for piece, end in zip(pieces, ends, strict=True)]
    return torch.stack(filled), torch.tensor(lengths)


def load_clip(
    file: str | Path | bytes | BinaryIO, sample_rate: int, samples: int | None = None
) -> torch.Tensor:
    """Read any recording as the models want it: mono ``(1, time)`` at `sample_rate`.

    With `samples`, the clip is padded or cut to that length.
    """
    waveform, found_rate = read(file)
    waveform = resample(to_mono(waveform), found_rate, sample_rate)
    return waveform if samples is None else fit(waveform, samples)
