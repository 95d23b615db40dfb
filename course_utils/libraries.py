"""What other libraries call MFCC: the same settings as in the course, and their own."""

import functools
from collections.abc import Callable
from typing import Any

import librosa
import torch
import torchaudio


def mfccs(
    coefficients: int, bands: int, window: int, hop: int, sample_rate: int
) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Functions from one clip (1, time) to its MFCC (coefficient, frame), by what differs in them.

    First librosa and torchaudio with these settings, then with one or two of their defaults, and
    last with all of them but the hop (and, for torchaudio, 64 bands in place of 128).

    Parameters
    ----------
    coefficients, bands : int
    window, hop : int
        In samples.
    sample_rate : int
        In Hz.
    """
    ours = {"n_fft": window, "hop_length": hop, "n_mels": bands, "pad_mode": "constant"}

    def by_librosa(clip: torch.Tensor, **changes: Any) -> torch.Tensor:
        options = ours | {"htk": True, "norm": None} | changes
        mel = librosa.feature.melspectrogram(y=clip[0].numpy(), sr=sample_rate, **options)
        level = librosa.power_to_db(mel)
        return torch.from_numpy(librosa.feature.mfcc(S=level, n_mfcc=coefficients)).float()

    def by_torchaudio(clip: torch.Tensor, **changes: Any) -> torch.Tensor:
        options = ours | changes
        transform = torchaudio.transforms.MFCC(sample_rate, coefficients, melkwargs=options)
        return transform(clip)[0]

    usual = {"n_fft": 2048, "n_mels": 128, "htk": False, "norm": "slaney"}
    few = {"n_fft": 400, "n_mels": 64, "pad_mode": "reflect"}  # of 128 bands some have no bin
    return {
        "librosa, same settings": by_librosa,
        "torchaudio, same settings": by_torchaudio,
        "window of 2048": functools.partial(by_librosa, n_fft=2048),
        "window of 2048 and 128 bands": functools.partial(by_librosa, n_fft=2048, n_mels=128),
        "mel scale of Slaney": functools.partial(by_librosa, htk=False),
        "bands of equal area": functools.partial(by_librosa, norm="slaney"),
        "mirrored edges": functools.partial(by_torchaudio, pad_mode="reflect"),
        "torchaudio's defaults, 64 bands": functools.partial(by_torchaudio, **few),
        "all of librosa's defaults": functools.partial(by_librosa, **usual),
    }
