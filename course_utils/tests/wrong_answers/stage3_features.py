"""Right answers to the features of stage 3 that look unusual."""

from textwrap import dedent, indent

#: Exercise to (name of the mistake, source of the whole cell, cause): all stand beside the checks.
WRONG_ANSWERS: dict[str, list[tuple[str, str, str]]] = {}


def several(signature: str, bodies: dict[str, str]) -> list[tuple[str, str]]:
    """Functions with the same signature."""
    sources = {name: indent(dedent(body).strip(), "    ") for name, body in bodies.items()}
    return [(name, f"def {signature}:\n{source}\n") for name, source in sources.items()]


#: Exercise to (name, source of the whole cell) of answers that are right: its check accepts each.
RIGHT_ANSWERS = {
    "3.1": several("frame(waveforms, window, hop)", {
        "a loop over frames": """
            zeros = torch.zeros(len(waveforms), window // 2)
            padded = torch.cat([zeros, waveforms[:, 0], zeros], dim=1)
            starts = range(0, waveforms.shape[2] + 1, hop)
            frames = [F.pad(padded, (0, 1))[:, start : start + window] for start in starts]
            return torch.stack(frames, dim=1) * torch.hann_window(window, periodic=True)""",
        "positions, and a window by its formula": """
            n = torch.arange(window)
            places = hop * torch.arange(1 + waveforms.shape[-1] // hop)[:, None] + n
            padded = F.pad(waveforms.squeeze(1), [window // 2] * 2)
            return padded[:, places] * torch.sin(math.pi * n / window).square()""",
        "a convolution that copies": """
            kernel = torch.diag(torch.hann_window(window))[:, None]
            return F.conv1d(waveforms, kernel, stride=hop, padding=window // 2).transpose(1, 2)""",
    }),
    "3.2": several("power_spectrum(frames)", {
        "squares of both parts": """
            spectrum = torch.fft.fft(frames)[..., : frames.shape[2] // 2 + 1]
            return spectrum.real**2 + spectrum.imag**2""",
        "sines and cosines": """
            window = frames.shape[-1]
            angle = torch.arange(window)[:, None] * torch.arange(window // 2 + 1) % window
            angle = angle * 2 * math.pi / window
            return (frames @ angle.cos()) ** 2 + (frames @ angle.sin()) ** 2""",
        "times its conjugate, frame by frame": """
            spectra = [[torch.fft.rfft(one) for one in clip] for clip in frames]
            return torch.stack([torch.stack([(s * s.conj()).real for s in one]) for one in spectra])
        """,
        "torch.stft of one frame": """
            n, ones = frames.shape[2], torch.ones(frames.shape[2])
            flat = frames.flatten(0, 1)
            spectra = torch.stft(flat, n, n, window=ones, center=False, return_complex=True)
            return spectra.abs().square().squeeze(2).unflatten(0, frames.shape[:2])""",
    }),
    "3.3": several("mel_filterbank(bands, bins, sample_rate)", {
        "torchaudio": """
            half = sample_rate / 2
            return torchaudio.transforms.MelScale(bands, sample_rate, 0.0, half, bins).fb""",
        "librosa": """
            import librosa
            n_fft, shape = 2 * (bins - 1), {"htk": True, "norm": None}
            weights = librosa.filters.mel(sr=sample_rate, n_fft=n_fft, n_mels=bands, **shape)
            return torch.from_numpy(weights).T""",
        "loops, and the natural logarithm both ways": """
            top = math.log(1 + sample_rate / 1400)
            points = [700 * math.expm1(top * p / (bands + 1)) for p in range(bands + 2)]
            result = torch.zeros(bins, bands)
            for b, (low, peak, high) in enumerate(zip(points, points[1:], points[2:])):
                for i in range(bins):
                    hz = i * sample_rate / 2 / (bins - 1)
                    value = min((hz - low) / (peak - low), (high - hz) / (high - peak))
                    result[i, b] = max(0, value)
            return result""",
        "NumPy's interpolation": """
            points = 700 * (10 ** np.linspace(0, np.log10(1 + sample_rate / 1400), bands + 2) - 1)
            hz = np.arange(bins) * (sample_rate / 2 / (bins - 1))
            columns = [np.interp(hz, points[b : b + 3], [0.0, 1.0, 0.0]) for b in range(bands)]
            return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))""",
    }),
    "3.4": several("decibels(power)", {
        "clip by clip": """
            levels = [10 * torch.log10(clip.clamp(min=1e-10)) for clip in power]
            return torch.stack([level.clamp(min=float(level.max()) - 80) for level in levels])""",
        "torchaudio with a channel axis": """
            levels = torchaudio.functional.amplitude_to_DB(power[:, None], 10, 1e-10, 0, 80)
            return levels[:, 0]""",
        "the floor as a power": """
            power = power.maximum(torch.tensor(1e-10))
            floor = power.flatten(1).max(dim=1).values[:, None, None] / 1e8
            return 10 * torch.where(power < floor, floor, power).log() / math.log(10)""",
    }),
    "3.5": several("dct_matrix(coefficients, bands)", {
        "torchaudio": """
            return torchaudio.functional.create_dct(coefficients, bands, norm="ortho")""",
        "loops": """
            matrix = torch.full((bands, coefficients), math.sqrt(2 / bands))
            for n in range(bands):
                for k in range(coefficients):
                    matrix[n, k] *= math.cos(math.pi * (2 * n + 1) * k / 2 / bands)
            matrix[:, 0] = 1 / math.sqrt(bands)
            return matrix""",
        "columns brought to length 1": """
            angle = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients))
            matrix = np.cos(angle)
            matrix /= np.linalg.norm(matrix, axis=0)
            return torch.tensor(matrix, dtype=torch.float32)""",
    }),
}  # fmt: skip
