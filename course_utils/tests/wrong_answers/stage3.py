"""Mistakes that students make in stage 3, and right answers that look unusual.

Most mistakes are a right cell with one thing changed. Should a change not take, the cell stays
right, its check accepts it, and the test says so.
"""

from textwrap import dedent, indent

from course_utils.tests.wrong_answers.stage1 import Answers, function

#: Exercise to (name of the mistake, source of the whole cell): its check rejects each one.
WRONG_ANSWERS: Answers = {}

#: The same for answers that are right: its check accepts each one.
RIGHT_ANSWERS: Answers = {}


# ---------------------------------------------------------------- 3.1 - Frames


def framing(body: str) -> str:
    return function("frame(waveforms, window, hop)", body)


FRAME = framing("""
    padded = F.pad(waveforms[:, 0], (window // 2, window // 2))
    return padded.unfold(1, window, hop) * torch.hann_window(window)""")
CUT = "(window // 2, window // 2)"
HANN = "torch.hann_window(window)"

WRONG_ANSWERS["3.1"] = [
    ("no padding", FRAME.replace(CUT, "(0, 0)")),
    ("pads in front only", FRAME.replace(CUT, "(window // 2, 0)")),
    ("pads behind only", FRAME.replace(CUT, "(0, window // 2)")),
    ("all zeros in front", FRAME.replace(CUT, "(window, 0)")),
    ("all zeros behind", FRAME.replace(CUT, "(0, window)")),
    ("a whole window on each side", FRAME.replace(CUT, "(window, window)")),
    (
        "reflects, as torch.stft does",
        framing("""
            half = min(window // 2, waveforms.shape[2] - 1)
            padded = F.pad(waveforms, (half, half), mode="reflect")[:, 0]
            padded = F.pad(padded, (window // 2 - half, window // 2 - half))
            return padded.unfold(1, window, hop) * torch.hann_window(window)"""),
    ),
    ("a symmetric window", FRAME.replace(HANN, "torch.hann_window(window, periodic=False)")),
    ("NumPy's window", FRAME.replace(HANN, "torch.from_numpy(np.hanning(window)).float()")),
    ("NumPy's float64", FRAME.replace(HANN, "torch.from_numpy(np.hanning(window + 1)[:-1])")),
    ("a Hamming window", FRAME.replace("hann_window", "hamming_window")),
    ("no window", FRAME.replace(f" * {HANN}", "")),
    ("the window twice", FRAME.replace(HANN, f"{HANN} ** 2")),
    ("the channel stays", FRAME.replace("[:, 0]", "").replace("unfold(1", "unfold(2")),
    ("frames last", FRAME.replace(HANN, f"{HANN}).transpose(1, 2)").replace("return ", "return (")),
    ("hop and window swapped", FRAME.replace("(1, window, hop)", "(1, hop, window)")),
    (
        "clips run into each other",
        framing("""
            padded = F.pad(waveforms.flatten(), (window // 2, window // 2))
            frames = padded.unfold(0, window, hop) * torch.hann_window(window)
            count = 1 + waveforms.shape[2] // hop
            frames = F.pad(frames, (0, 0, 0, max(0, len(waveforms) * count - len(frames))))
            return frames[: len(waveforms) * count].reshape(len(waveforms), count, window)"""),
    ),
    (
        "cuts the whole signal, then windows that",
        framing("""
            whole = waveforms[:, 0] * torch.hann_window(waveforms.shape[2])
            return F.pad(whole, (window // 2, window // 2)).unfold(1, window, hop)"""),
    ),
    (
        "one frame short",
        framing("""
            padded = F.pad(waveforms[:, 0], (window // 2, window // 2))
            starts = range(0, waveforms.shape[2] - hop, hop)
            frames = [padded[:, start : start + window] for start in starts]
            frames = torch.stack(frames, dim=1) if frames else padded[:, None, :window]
            return frames * torch.hann_window(window)"""),
    ),
]

RIGHT_ANSWERS["3.1"] = [
    (
        "a loop over frames",
        framing("""
            batch, _, time = waveforms.shape
            zeros = torch.zeros(batch, window // 2)
            padded = torch.cat([zeros, waveforms[:, 0], zeros], dim=1)
            frames = []
            for t in range(1 + time // hop):
                frames.append(padded[:, t * hop : t * hop + window])
            return torch.stack(frames, dim=1) * torch.hann_window(window, periodic=True)"""),
    ),
    (
        "positions, and a window by its formula",
        framing("""
            n = torch.arange(window)
            middle = hop * torch.arange(1 + waveforms.shape[-1] // hop)
            places = window // 2 + middle[:, None] + n - window // 2
            padded = F.pad(waveforms.squeeze(1), [window // 2] * 2)
            return padded[:, places] * torch.sin(math.pi * n / window).square()"""),
    ),
    (
        "a convolution that copies",
        framing("""
            kernel = torch.diag(torch.hann_window(window))[:, None]
            return F.conv1d(waveforms, kernel, stride=hop, padding=window // 2).transpose(1, 2)"""),
    ),
]


# ---------------------------------------------------------------- 3.2 - Power spectrum


def spectrum(result: str) -> str:
    return function("power_spectrum(frames)", result)


WRONG_ANSWERS["3.2"] = [
    ("no square", spectrum("return torch.fft.rfft(frames).abs()")),
    ("complex", spectrum("return torch.fft.rfft(frames)")),
    ("the square of complex numbers", spectrum("return torch.fft.rfft(frames) ** 2")),
    ("the real part", spectrum("return torch.fft.rfft(frames).real ** 2")),
    ("both halves", spectrum("return torch.fft.fft(frames).abs() ** 2")),
    ("without the last bin", spectrum("return torch.fft.rfft(frames).abs()[..., :-1] ** 2")),
    ("over the frames", spectrum("return torch.fft.rfft(frames, dim=1).abs() ** 2")),
    ("orthonormal", spectrum('return torch.fft.rfft(frames, norm="ortho").abs() ** 2')),
    ("divided", spectrum('return torch.fft.rfft(frames, norm="forward").abs() ** 2')),
    (
        "the Hann window again",
        spectrum("""
            window = torch.hann_window(frames.shape[2])
            return torch.fft.rfft(frames * window).abs() ** 2"""),
    ),
    (
        "bins doubled",
        spectrum("""
            power = torch.fft.rfft(frames).abs() ** 2
            power[..., 1:-1] *= 2
            return power"""),
    ),
    ("bins before frames", spectrum("return torch.fft.rfft(frames).abs().square().mT")),
    ("decibels already", spectrum("return 20 * torch.fft.rfft(frames).abs().log10()")),
    (
        "two parts, not added",
        spectrum("return torch.view_as_real(torch.fft.rfft(frames)) ** 2"),
    ),
]

RIGHT_ANSWERS["3.2"] = [
    (
        "squares of both parts",
        spectrum("""
            spectrum = torch.fft.fft(frames)[..., : frames.shape[2] // 2 + 1]
            return spectrum.real**2 + spectrum.imag**2"""),
    ),
    (
        "sines and cosines",
        spectrum("""
            window = frames.shape[-1]
            angle = torch.arange(window)[:, None] * torch.arange(window // 2 + 1) % window
            angle = angle * 2 * math.pi / window
            return (frames @ angle.cos()) ** 2 + (frames @ angle.sin()) ** 2"""),
    ),
    (
        "times its conjugate, frame by frame",
        spectrum("""
            result = []
            for clip in frames:
                spectra = [torch.fft.rfft(one) for one in clip]
                result.append(torch.stack([(s * s.conj()).real for s in spectra]))
            return torch.stack(result)"""),
    ),
    (
        "torch.stft of one frame",
        spectrum("""
            window = frames.shape[2]
            spectra = torch.stft(
                frames.flatten(0, 1),
                window,
                window,
                window=torch.ones(window),
                center=False,
                return_complex=True,
            )
            return spectra.abs().square().squeeze(2).unflatten(0, frames.shape[:2])"""),
    ),
]


# ---------------------------------------------------------------- 3.3 - Mel filters


def filters(body: str) -> str:
    return function("mel_filterbank(bands, bins, sample_rate)", body)


MEL = filters("""
    hz = torch.linspace(0, sample_rate / 2, bins)
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    points = 700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)
    low, centre, high = points[:-2], points[1:-1], points[2:]
    rising = (hz[:, None] - low) / (centre - low)
    falling = (high - hz[:, None]) / (high - centre)
    return torch.minimum(rising, falling).clamp(min=0)""")
TRIANGLES = "torch.minimum(rising, falling).clamp(min=0)"
POINTS = "700 * (10 ** (torch.linspace(0, top, bands + 2) / 2595) - 1)"

WRONG_ANSWERS["3.3"] = [
    ("natural logarithm", MEL.replace("math.log10(", "math.log(")),
    ("exp for the way back", MEL.replace("(10 ** (", "(torch.exp(")),
    (
        "torchaudio's default norm of librosa",
        filters("""
            return torchaudio.functional.melscale_fbanks(
                bins, 0.0, sample_rate / 2, bands, sample_rate, norm="slaney", mel_scale="htk"
            )"""),
    ),
    (
        "the scale of Slaney",
        filters("""
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return torchaudio.functional.melscale_fbanks(
                    bins, 0.0, sample_rate / 2, bands, sample_rate, mel_scale="slaney"
                )"""),
    ),
    ("evenly spaced in Hz", MEL.replace(POINTS, "torch.linspace(0, sample_rate / 2, bands + 2)")),
    (
        "straight in mel",
        filters("""
            hz = torch.linspace(0, sample_rate / 2, bins)
            mel = 2595 * torch.log10(1 + hz / 700)
            points = torch.linspace(0, float(mel[-1]), bands + 2)
            low, centre, high = points[:-2], points[1:-1], points[2:]
            rising = (mel[:, None] - low) / (centre - low)
            falling = (high - mel[:, None]) / (high - centre)
            return torch.minimum(rising, falling).clamp(min=0)"""),
    ),
    ("transposed", MEL.replace(TRIANGLES, TRIANGLES + ".T")),
    ("negative outside", MEL.replace(".clamp(min=0)", "")),
    ("the larger of both", MEL.replace("torch.minimum", "torch.maximum")),
    ("area of one", MEL.replace(TRIANGLES, TRIANGLES + " * 2 / (high - low)")),
    (
        "sum of one",
        MEL.replace(TRIANGLES, TRIANGLES).replace("    return ", "    result = ")
        + "    return result / result.sum(dim=0).clamp(min=1e-9)\n",
    ),
    (
        "bins up to the sample rate",
        MEL.replace("(0, sample_rate / 2, bins)", "(0, sample_rate, bins)"),
    ),
    (
        "bands up to the sample rate",
        MEL.replace("1 + sample_rate / 2 / 700", "1 + sample_rate / 700"),
    ),
    (
        "one bin too many",
        MEL.replace("linspace(0, sample_rate / 2, bins)", "arange(bins) * sample_rate / 2 / bins"),
    ),
    ("too few points", MEL.replace("bands + 2", "bands")),
    ("one point short", MEL.replace("bands + 2", "bands + 1")),
    (
        "rounded to bins",
        filters("""
            top = 2595 * np.log10(1 + sample_rate / 2 / 700)
            points = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
            places = np.floor((2 * bins - 1) * points / sample_rate).astype(int)
            result = torch.zeros(bins, bands)
            for b in range(bands):
                low, centre, high = places[b : b + 3]
                for k in range(low, centre):
                    result[k, b] = (k - low) / (centre - low)
                for k in range(centre, min(high, bins)):
                    result[k, b] = (high - k) / (high - centre)
            return result"""),
    ),
    (
        "the nearest bins",
        filters("""
            top = 2595 * np.log10(1 + sample_rate / 2 / 700)
            points = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
            places = np.round(points / (sample_rate / 2) * (bins - 1)).astype(int)
            result = torch.zeros(bins, bands)
            for b in range(bands):
                low, centre, high = places[b : b + 3]
                for k in range(low, centre):
                    result[k, b] = (k - low) / (centre - low)
                for k in range(centre, high):
                    result[k, b] = (high - k) / (high - centre)
            return result"""),
    ),
    ("float64", MEL.replace(TRIANGLES, TRIANGLES + ".double()")),
    (
        "a sample rate of its own",
        MEL.replace("sample_rate / 2", "8000"),
    ),
]

RIGHT_ANSWERS["3.3"] = [
    (
        "torchaudio",
        filters("""
            return torchaudio.functional.melscale_fbanks(
                bins, 0.0, sample_rate / 2, bands, sample_rate, norm=None, mel_scale="htk"
            )"""),
    ),
    (
        "loops, and the natural logarithm both ways",
        filters("""
            def to_mel(hz):
                return 1127 * math.log(1 + hz / 700)

            points = [
                700 * (math.exp(to_mel(sample_rate / 2) * p / (bands + 1) / 1127) - 1)
                for p in range(bands + 2)
            ]
            result = torch.zeros(bins, bands)
            for b, (low, top, high) in enumerate(zip(points, points[1:], points[2:])):
                for i in range(bins):
                    hz = i * sample_rate / 2 / (bins - 1)
                    if low <= hz <= top:
                        result[i, b] = (hz - low) / (top - low)
                    elif top < hz <= high:
                        result[i, b] = (high - hz) / (high - top)
            return result"""),
    ),
    (
        "NumPy's interpolation",
        filters("""
            top = np.log10(1 + sample_rate / 1400)
            points = 700 * (10 ** np.linspace(0, top, bands + 2) - 1)
            hz = np.arange(bins) * (sample_rate / 2 / (bins - 1))
            columns = [
                np.interp(hz, points[b : b + 3], [0.0, 1.0, 0.0]).astype(np.float32)
                for b in range(bands)
            ]
            return torch.from_numpy(np.stack(columns, axis=1))"""),
    ),
]


# ---------------------------------------------------------------- 3.4 - Decibels


def in_decibels(body: str) -> str:
    return function("decibels(power)", body)


DECIBELS = in_decibels("""
    level = 10 * power.clamp(min=1e-10).log10()
    return torch.maximum(level, level.amax(dim=(1, 2), keepdim=True) - 80)""")
LOUDEST = "level.amax(dim=(1, 2), keepdim=True)"

WRONG_ANSWERS["3.4"] = [
    ("the loudest of the batch", DECIBELS.replace(LOUDEST, "level.max()")),
    (
        "torchaudio, which takes a batch for one clip",
        in_decibels("return torchaudio.functional.amplitude_to_DB(power, 10.0, 1e-10, 0.0, 80.0)"),
    ),
    ("the loudest of each frame", DECIBELS.replace("(1, 2)", "2")),
    ("the loudest of each band", DECIBELS.replace("(1, 2)", "1")),
    ("no floor", DECIBELS.replace("torch.maximum(level, ", "level + 0 * (")),
    ("80 dB below 1", DECIBELS.replace(f"{LOUDEST} - 80", "torch.tensor(-80.0)")),
    ("natural logarithm", DECIBELS.replace("log10", "log")),
    ("for amplitudes", DECIBELS.replace("10 *", "20 *")),
    ("bels", DECIBELS.replace("10 *", "1 *")),
    ("adds 1e-10", DECIBELS.replace("power.clamp(min=1e-10)", "(power + 1e-10)")),
    ("no smallest power", DECIBELS.replace(".clamp(min=1e-10)", "")),
    ("in place", DECIBELS.replace("clamp(", "clamp_(")),
    ("relative to the loudest", DECIBELS.replace("- 80)", f"- 80) - {LOUDEST}")),
    (
        "the quiet ones at -100 dB",
        in_decibels("""
        level = 10 * power.clamp(min=1e-10).log10()
        level[level < level.amax(dim=(1, 2), keepdim=True) - 80] = -100
        return level"""),
    ),
    ("80 dB of power", DECIBELS.replace("- 80", "* 1e-8")),
    ("the mean of the clip", DECIBELS.replace("amax", "mean")),
    ("the smaller of both", DECIBELS.replace("torch.maximum", "torch.minimum")),
    (
        "NumPy's float64",
        in_decibels("""
            level = 10 * np.log10(np.maximum(power.numpy().astype(float), 1e-10))
            return torch.from_numpy(np.maximum(level, level.max((1, 2), keepdims=True) - 80))"""),
    ),
]

RIGHT_ANSWERS["3.4"] = [
    (
        "clip by clip",
        in_decibels("""
            result = []
            for clip in power:
                level = 10 * torch.log10(clip.clamp(min=1e-10))
                result.append(level.clamp(min=float(level.max()) - 80))
            return torch.stack(result)"""),
    ),
    (
        "torchaudio with a channel axis",
        in_decibels(
            "return torchaudio.functional.amplitude_to_DB(power[:, None], 10, 1e-10, 0, 80)[:, 0]"
        ),
    ),
    (
        "the floor as a power",
        in_decibels("""
            power = power.maximum(torch.tensor(1e-10))
            floor = power.flatten(1).max(dim=1).values[:, None, None] / 1e8
            return 10 * torch.where(power < floor, floor, power).log() / math.log(10)"""),
    ),
]


# ---------------------------------------------------------------- 3.5 - Cosine transform


def cosines(body: str) -> str:
    return function("dct_matrix(coefficients, bands)", body)


DCT = cosines("""
    n = torch.arange(bands)[:, None]
    k = torch.arange(coefficients)
    matrix = math.sqrt(2 / bands) * torch.cos(math.pi / bands * (n + 0.5) * k)
    matrix[:, 0] /= math.sqrt(2)
    return matrix""")

WRONG_ANSWERS["3.5"] = [
    ("the first column as the others", DCT.replace("    matrix[:, 0] /= math.sqrt(2)\n", "")),
    ("the first row", DCT.replace("[:, 0]", "[0]")),
    ("all columns", DCT.replace("[:, 0]", "[:]")),
    ("halves the first column", DCT.replace("/= math.sqrt(2)", "/= 2")),
    ("the first column times the root", DCT.replace("/= math", "*= math")),
    ("transposed", DCT.replace("return matrix", "return matrix.T")),
    ("no half", DCT.replace("(n + 0.5)", "n")),
    ("n + 1", DCT.replace("(n + 0.5)", "(n + 1)")),
    ("from 1.5", DCT.replace("(n + 0.5)", "(n + 1.5)")),
    ("not normalised", DCT.replace("math.sqrt(2 / bands) * ", "")),
    ("no root", DCT.replace("math.sqrt(2 / bands)", "2 / bands")),
    ("by the coefficients", DCT.replace("math.pi / bands", "math.pi / coefficients")),
    ("2 pi, as in the Fourier transform", DCT.replace("math.pi /", "2 * math.pi /")),
    ("bands - 1", DCT.replace("math.pi / bands", "math.pi / (bands - 1)")),
    ("without coefficient 0", DCT.replace("arange(coefficients)", "arange(1, coefficients + 1)")),
    ("sines", DCT.replace("cos(", "sin(")),
    (
        "norm=None of torchaudio",
        cosines("""
        return torchaudio.functional.create_dct(coefficients, bands, norm=None)"""),
    ),
    ("float64", DCT.replace("arange(bands)", "arange(bands, dtype=torch.float64)")),
]

RIGHT_ANSWERS["3.5"] = [
    (
        "torchaudio",
        cosines('return torchaudio.functional.create_dct(coefficients, bands, norm="ortho")'),
    ),
    (
        "loops",
        cosines("""
            matrix = torch.empty(bands, coefficients)
            for n in range(bands):
                for k in range(coefficients):
                    matrix[n, k] = math.cos(math.pi * (2 * n + 1) * k / 2 / bands)
            matrix *= math.sqrt(2 / bands)
            matrix[:, 0] = 1 / math.sqrt(bands)
            return matrix"""),
    ),
    (
        "columns brought to length 1",
        cosines("""
            angle = np.pi / bands * np.outer(np.arange(bands) + 0.5, np.arange(coefficients))
            matrix = np.cos(angle)
            matrix /= np.linalg.norm(matrix, axis=0)
            return torch.tensor(matrix, dtype=torch.float32)"""),
    ),
]


# ---------------------------------------------------------------- 3.6 - Speed


def speed(body: str) -> str:
    return function("change_speed(waveforms, factors)", body)


SPEED = speed("""
    time = waveforms.shape[2]
    positions = torch.arange(time) * factors[:, None]
    left = positions.long()
    part = positions - left
    padded = F.pad(waveforms[:, 0], (0, 2))
    left = left.clamp(max=time)
    values = padded.gather(1, left) * (1 - part) + padded.gather(1, left + 1) * part
    return (values * (positions <= time - 1))[:, None]""")

WRONG_ANSWERS["3.6"] = [
    ("divides", SPEED.replace("torch.arange(time) * factors", "torch.arange(time) / factors")),
    ("one factor for all", SPEED.replace("factors[:, None]", "factors[0].expand(len(factors), 1)")),
    (
        "the mean factor",
        SPEED.replace("factors[:, None]", "factors.mean().expand(len(factors), 1)"),
    ),
    ("the sample before", SPEED.replace("part = positions - left", "part = 0")),
    (
        "the nearest sample",
        SPEED.replace("positions.long()", "positions.round().long()").replace(
            "part = positions - left", "part = 0"
        ),
    ),
    (
        "weights swapped",
        SPEED.replace("(1 - part) +", "part +").replace("+ 1) * part", "+ 1) * (1 - part)"),
    ),
    (
        "wraps around",
        speed("""
        time = waveforms.shape[2]
        positions = torch.arange(time) * factors[:, None] % time
        left = positions.long()
        part = positions - left
        padded = F.pad(waveforms[:, 0], (0, 1))
        values = padded.gather(1, left) * (1 - part) + padded.gather(1, left + 1) * part
        return values[:, None]"""),
    ),
    (
        "holds the last sample",
        speed("""
        time = waveforms.shape[2]
        positions = (torch.arange(time) * factors[:, None]).clamp(max=time - 1)
        left = positions.long()
        part = positions - left
        right = (left + 1).clamp(max=time - 1)
        rows = waveforms[:, 0]
        return (rows.gather(1, left) * (1 - part) + rows.gather(1, right) * part)[:, None]"""),
    ),
    ("loses the last sample", SPEED.replace("positions <= time - 1", "positions < time - 1")),
    (
        "another length",
        speed("""
        rows = [
            F.interpolate(x[None], scale_factor=1 / float(f), mode="linear")[0, 0]
            for x, f in zip(waveforms, factors)
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, None]"""),
    ),
    (
        "half precision",
        SPEED.replace(
            "torch.arange(time) * factors[:, None]",
            "(torch.arange(time) * factors[:, None]).half().float()",
        ),
    ),
    (
        "a tenth of a sample",
        SPEED.replace(
            "torch.arange(time) * factors[:, None]",
            "(10 * torch.arange(time) * factors[:, None]).round() / 10",
        ),
    ),
    ("factors in tenths", SPEED.replace("factors[:, None]", "factors[:, None].round(decimals=1)")),
    ("the channel is gone", SPEED.replace("time - 1))[:, None]", "time - 1))")),
    (
        "around the middle",
        SPEED.replace(
            "torch.arange(time) * factors[:, None]",
            "(torch.arange(time) - time // 2) * factors[:, None] + time // 2",
        )
        .replace("positions.long()", "positions.floor().long().clamp(min=0)")
        .replace("(positions <= time - 1)", "((positions >= 0) & (positions <= time - 1))"),
    ),
    ("float64 comes back", SPEED.replace("factors[:, None]", "factors[:, None].double()")),
    (
        "in place",
        speed("""
        time = waveforms.shape[2]
        for row, factor in enumerate(factors.tolist()):
            places = np.arange(time) * factor
            read = np.interp(places, np.arange(time), waveforms[row, 0].numpy(), right=0)
            waveforms[row, 0] = torch.from_numpy(read)
        return waveforms"""),
    ),
]

RIGHT_ANSWERS["3.6"] = [
    (
        "NumPy, clip by clip",
        speed("""
            time = waveforms.shape[2]
            rows = []
            for x, factor in zip(waveforms[:, 0].numpy(), factors.tolist()):
                rows.append(np.interp(np.arange(time) * factor, np.arange(time), x, right=0.0))
            return torch.tensor(np.array(rows), dtype=torch.float32)[:, None]"""),
    ),
    (
        "positions in double, and a fade into the silence",
        speed("""
            time = waveforms.shape[-1]
            positions = torch.arange(time).double() * factors.double()[:, None, None]
            padded = F.pad(waveforms, (0, 2))
            left = positions.floor().long().clamp(0, time)
            part = (positions - left).clamp(0, 1)
            return padded.gather(2, left).lerp(padded.gather(2, left + 1), part.float())"""),
    ),
    (
        "grid_sample",
        speed("""
            batch, _, time = waveforms.shape
            positions = torch.arange(time) * factors[:, None]
            x = 2 * positions / (time - 1) - 1
            grid = torch.stack([x, torch.zeros_like(x)], dim=2)[:, None]
            read = F.grid_sample(waveforms[:, :, None], grid, align_corners=True)
            return read[:, :, 0]"""),
    ),
    (
        "only what can be read",
        speed("""
            result = torch.zeros_like(waveforms)
            for row, factor in enumerate(factors):
                positions = torch.arange(waveforms.shape[2]) * factor
                positions = positions[positions <= waveforms.shape[2] - 1]
                left = positions.long()
                right = torch.minimum(left + 1, torch.tensor(waveforms.shape[2] - 1))
                x = waveforms[row, 0]
                result[row, 0, : len(left)] = x[left] + (positions - left) * (x[right] - x[left])
            return result"""),
    ),
]


# ---------------------------------------------------------------- 3.7 - Noise


def noisy(body: str) -> str:
    return function("add_noise(waveforms, noises, snr)", body)


NOISE = noisy("""
    speech = waveforms.square().mean(dim=2, keepdim=True)
    noise = noises.square().mean(dim=2, keepdim=True)
    factor = (speech / (noise * 10 ** (snr[:, None, None] / 10))).sqrt()
    return waveforms + torch.where(noise > 0, factor, 0.0) * noises""")
RESULT = "waveforms + torch.where(noise > 0, factor, 0.0) * noises"

WRONG_ANSWERS["3.7"] = [
    (
        "amplitudes and 10",
        NOISE.replace(
            "noise * 10 ** (snr[:, None, None] / 10))).sqrt()",
            "noise)).sqrt() / 10 ** (snr[:, None, None] / 10)",
        ),
    ),
    ("powers and 20", NOISE.replace("/ 10)", "/ 20)")),
    ("no root", NOISE.replace(").sqrt()", ")")),
    (
        "the power of the batch",
        NOISE.replace("mean(dim=2, keepdim=True)", "mean().expand(len(snr), 1, 1)"),
    ),
    ("the wrong sign", NOISE.replace("(snr[", "(-snr[")),
    ("one ratio for all", NOISE.replace("snr[:, None, None]", "snr[0]")),
    ("the mean ratio", NOISE.replace("snr[:, None, None]", "snr.mean()")),
    ("variance", NOISE.replace("square().mean(", "var(")),
    (
        "magnitudes",
        NOISE.replace(
            ".square().mean(dim=2, keepdim=True)", ".abs().mean(dim=2, keepdim=True).square()"
        ),
    ),
    ("peaks", NOISE.replace(".square().mean(dim=2", ".square().amax(dim=2")),
    (
        "energy of the loud half only",
        NOISE.replace("waveforms.square()", "waveforms[..., : waveforms.shape[2] // 2].square()"),
    ),
    ("speech is scaled", NOISE.replace(RESULT, "waveforms / factor + noises")),
    ("the noise as it is", NOISE.replace(RESULT, "waveforms + noises")),
    (
        "the noise by the ratio alone",
        NOISE.replace("(speech / (noise * ", "(1 / (").replace(
            "snr[:, None, None] / 10))", "snr[:, None, None] / 10))"
        ),
    ),
    ("only the noise", NOISE.replace("waveforms + torch", "torch")),
    (
        "noise over speech",
        NOISE.replace("speech / (noise *", "noise / (speech *").replace("noise > 0", "speech > 0"),
    ),
    (
        "a power of e",
        NOISE.replace("10 ** (snr[:, None, None] / 10)", "torch.exp(snr[:, None, None] / 10)"),
    ),
    ("clipped", NOISE.replace(RESULT, f"({RESULT}).clamp(-1, 1)")),
    ("brought to a peak of 1", NOISE.replace(RESULT, f"F.normalize({RESULT}, p=math.inf, dim=2)")),
    ("silent noise gives NaN", NOISE.replace("torch.where(noise > 0, factor, 0.0)", "factor")),
    (
        "torchaudio as it is",
        noisy("""
        return torchaudio.functional.add_noise(waveforms, noises, snr[:, None])"""),
    ),
    ("too large a safeguard", NOISE.replace("(speech / (noise *", "(speech / ((noise + 1e-4) *")),
    (
        "silence gets noise",
        NOISE.replace("    factor", "    speech = speech.clamp(min=1e-8)\n    factor"),
    ),
    (
        "in place",
        NOISE.replace("    return waveforms + torch", "    return waveforms.add_(torch").replace(
            "* noises\n", "* noises)\n"
        ),
    ),
    (
        "noise changed in place",
        NOISE.replace(
            "    return ", "    noises *= torch.where(noise > 0, factor, 0.0)\n    return "
        ).replace(RESULT, "waveforms + noises"),
    ),
    ("the noise is taken away", NOISE.replace("waveforms + torch", "waveforms - torch")),
]

RIGHT_ANSWERS["3.7"] = [
    (
        "a loop, with rules for silence",
        noisy("""
            result = []
            for speech, noise, ratio in zip(waveforms, noises, snr.tolist()):
                if not noise.any() or not speech.any():
                    result.append(speech)
                    continue
                level = 10 * math.log10(float((speech**2).mean() / (noise**2).mean()))
                result.append(speech + 10 ** ((level - ratio) / 20) * noise)
            return torch.stack(result)"""),
    ),
    (
        "a small safeguard",
        NOISE.replace("(speech / (noise *", "(speech / (noise.clamp(min=1e-12) *"),
    ),
    (
        "norms",
        noisy("""
            factor = waveforms.norm(dim=2) / noises.norm(dim=2).clamp(min=1e-9)
            factor = factor * 10 ** (-snr[:, None] / 20)
            return torch.addcmul(waveforms, factor[..., None], noises)"""),
    ),
    (
        "torchaudio, and NaN put right",
        noisy("""
            mixed = torchaudio.functional.add_noise(waveforms, noises, snr.unsqueeze(1))
            silent = (noises == 0).all(dim=2, keepdim=True)
            return torch.where(silent, waveforms, mixed)"""),
    ),
]


# ---------------------------------------------------------------- 3.8 - One step of an LSTM


def cell(body: str) -> str:
    return function("lstm_cell(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh)", body)


CELL = cell("""
    rows = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
    i, f, g, o = rows.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c""")

WRONG_ANSWERS["3.8"] = [
    ("forget gate first", CELL.replace("i, f, g, o", "f, i, g, o")),
    ("output before candidate", CELL.replace("i, f, g, o", "i, f, o, g")),
    ("forget first, candidate last", CELL.replace("i, f, g, o", "f, i, o, g")),
    ("sigmoid for the candidate", CELL.replace("torch.tanh(g)", "torch.sigmoid(g)")),
    ("no tanh for the candidate", CELL.replace("torch.tanh(g)", "g")),
    ("tanh for all", CELL.replace("sigmoid", "tanh")),
    ("no tanh of c", CELL.replace("torch.tanh(c)", "c")),
    ("sigmoid of c", CELL.replace("torch.tanh(c)", "torch.sigmoid(c)")),
    ("one bias", CELL.replace(" + bias_hh", "")),
    ("the other bias", CELL.replace(" + bias_ih", "")),
    ("no state", CELL.replace(" + h @ weight_hh.T", "")),
    ("no input", CELL.replace("x @ weight_ih.T + ", "")),
    ("no forget gate", CELL.replace("torch.sigmoid(f) * c", "c")),
    ("no input gate", CELL.replace("torch.sigmoid(i) * ", "")),
    ("forgets all", CELL.replace("torch.sigmoid(f) * c +", "")),
    ("the old c", CELL.replace("    c = ", "    new = ").replace("return h, c", "return h, new")),
    ("c, h", CELL.replace("return h, c", "return c, h")),
    ("h only", CELL.replace("return h, c", "return h")),
    (
        "every fourth row",
        CELL.replace("rows.chunk(4, dim=1)", "rows.unflatten(1, (-1, 4)).unbind(2)"),
    ),
    (
        "the batch in four",
        CELL.replace("rows.chunk(4, dim=1)", "(rows[:, k : k + 1] for k in range(4))"),
    ),
    (
        "gates swap their parts",
        CELL.replace("(f) * c", "(i) * c").replace("(i) * torch", "(f) * torch"),
    ),
    ("a GRU's update", CELL.replace("torch.sigmoid(f) * c", "(1 - torch.sigmoid(i)) * c")),
    (
        "in place",
        cell("""
        rows = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh
        i, f, g, o = rows.chunk(4, dim=1)
        c.mul_(torch.sigmoid(f)).add_(torch.sigmoid(i) * torch.tanh(g))
        return torch.sigmoid(o) * torch.tanh(c), c"""),
    ),
    (
        "torch's cell",
        cell("""
        return torch.lstm_cell(x, (h, c), weight_ih, weight_hh, bias_ih, bias_hh)"""),
    ),
    (
        "nn.LSTMCell",
        cell("""
        layer = nn.LSTMCell(x.shape[1], h.shape[1])
        layer.weight_ih.data, layer.weight_hh.data = weight_ih, weight_hh
        layer.bias_ih.data, layer.bias_hh.data = bias_ih, bias_hh
        return layer(x, (h, c))"""),
    ),
    (
        "nn.LSTM",
        cell("""
        layer = nn.LSTM(x.shape[1], h.shape[1], batch_first=True)
        layer.weight_ih_l0.data, layer.weight_hh_l0.data = weight_ih, weight_hh
        layer.bias_ih_l0.data, layer.bias_hh_l0.data = bias_ih, bias_hh
        _, (h, c) = layer(x[:, None], (h[None], c[None]))
        return h[0], c[0]"""),
    ),
]

RIGHT_ANSWERS["3.8"] = [
    (
        "slices and F.linear",
        cell("""
            hidden = h.shape[1]
            gates = F.linear(x, weight_ih, bias_ih) + F.linear(h, weight_hh, bias_hh)
            i = gates[:, :hidden].sigmoid()
            f = gates[:, hidden : 2 * hidden].sigmoid()
            g = gates[:, 2 * hidden : 3 * hidden].tanh()
            o = gates[:, 3 * hidden :].sigmoid()
            new = i * g + f * c
            return [o * new.tanh(), new]"""),
    ),
    (
        "one matrix, formulas for the rest",
        cell("""
            weight = torch.cat([weight_ih, weight_hh, (bias_ih + bias_hh)[:, None]], dim=1)
            known = torch.cat([x, h, torch.ones(len(x), 1)], dim=1)
            rows = torch.einsum("bi,gi->gb", known, weight).reshape(4, -1, len(x))
            i, f, o = (1 / (1 + torch.exp(-rows[k])) for k in (0, 1, 3))
            c = f * c.T + i * rows[2].tanh()
            return (o * (2 / (1 + torch.exp(-2 * c)) - 1)).T, c.T"""),
    ),
]


# ---------------------------------------------------------------- 3.9 - The network

LAYERS = """
self.lstm = nn.LSTM(features, hidden, layers, batch_first=True)
self.output = nn.Linear(hidden, classes)"""
PACKED = """
x = x.transpose(1, 2)
if lengths is None:
    return self.output(self.lstm(x)[0].mean(dim=1))
packed = nn.utils.rnn.pack_padded_sequence(
    x, lengths.cpu(), batch_first=True, enforce_sorted=False
)
states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
return self.output(states.sum(dim=1) / lengths[:, None].to(x))"""
MASKED = """
states, _ = self.lstm(x.transpose(1, 2))
if lengths is None:
    return self.output(states.mean(dim=1))
valid = (torch.arange(states.shape[1]) < lengths[:, None])[..., None]
return self.output((states * valid).sum(dim=1) / lengths[:, None])"""


def network(init: str = LAYERS, forward: str = PACKED) -> str:
    init = "super().__init__()\n" + dedent(init).strip()
    methods = [
        function("__init__(self, classes, features=12, hidden=64, layers=3)", init),
        function("forward(self, x, lengths=None)", forward),
    ]
    return "class SpeechLSTM(nn.Module):\n" + indent("".join(methods), "    ")


WRONG_ANSWERS["3.9"] = [
    (
        "lengths ignored",
        network(forward="return self.output(self.lstm(x.transpose(1, 2))[0].mean(dim=1))"),
    ),
    (
        "the last frame",
        network(forward="return self.output(self.lstm(x.transpose(1, 2))[0][:, -1])"),
    ),
    (
        "the last state of each clip",
        network(
            forward=PACKED.replace(
                "states.sum(dim=1) / lengths[:, None].to(x)",
                "states[torch.arange(len(x)), lengths - 1]",
            ).replace("[0].mean(dim=1)", "[1][0][-1]")
        ),
    ),
    (
        "the last state, where there are lengths",
        network(
            forward=PACKED.replace(
                "states.sum(dim=1) / lengths[:, None].to(x)",
                "states[torch.arange(len(x)), lengths - 1]",
            )
        ),
    ),
    (
        "the mean over the longest",
        network(
            forward=PACKED.replace(
                "states.sum(dim=1) / lengths[:, None].to(x)", "states.mean(dim=1)"
            )
        ),
    ),
    (
        "the mean over all frames",
        network(forward=MASKED.replace("/ lengths[:, None]", "/ states.shape[1]")),
    ),
    (
        "the sum",
        network(forward=PACKED.replace("mean(", "sum(").replace(" / lengths[:, None].to(x)", "")),
    ),
    (
        "the maximum",
        network(
            forward=PACKED.replace("mean(", "amax(").replace(
                "states.sum(dim=1) / lengths[:, None].to(x)", "states.amax(dim=1)"
            )
        ),
    ),
    ("one frame too many", network(forward=MASKED.replace("< lengths", "<= lengths"))),
    (
        "one frame too few",
        network(forward=MASKED.replace("< lengths[:, None])", "< lengths[:, None] - 1)")),
    ),
    (
        "softmax",
        network(
            forward=PACKED.replace("return self.output(", "return F.softmax(self.output(")
            .replace("mean(dim=1))", "mean(dim=1)), dim=1)")
            .replace(".to(x))", ".to(x)), dim=1)")
        ),
    ),
    (
        "log-softmax",
        network(
            forward=MASKED.replace("mean(dim=1))", "mean(dim=1)).log_softmax(dim=1)").replace(
                "[:, None])\n", "[:, None])\n"
            )
            + ".log_softmax(dim=1)"
        ),
    ),
    (
        "ReLU behind",
        network(forward=MASKED.replace("mean(dim=1))", "mean(dim=1)).relu()") + ".relu()"),
    ),
    ("not transposed", network(forward=PACKED.replace("x = x.transpose(1, 2)", "x = x"))),
    (
        "reshaped, not transposed",
        network(forward=PACKED.replace("x.transpose(1, 2)", "x.reshape(len(x), x.shape[2], -1)")),
    ),
    ("batch_first forgotten", network(LAYERS.replace(", batch_first=True", ""), MASKED)),
    (
        "the first layer's outputs for all",
        network(LAYERS.replace("hidden, layers, batch", "hidden, 1, batch")),
    ),
    (
        "both directions",
        network(
            LAYERS.replace("batch_first", "bidirectional=True, batch_first").replace(
                "Linear(hidden", "Linear(2 * hidden"
            )
        ),
    ),
    ("a GRU", network(LAYERS.replace("nn.LSTM", "nn.GRU"))),
    (
        "sizes of its own",
        network(
            LAYERS.replace("(features, hidden, layers,", "(12, 64, 3,").replace("(hidden,", "(64,")
        ),
    ),
    ("ten classes", network(LAYERS.replace("classes)", "10)"))),
    ("no bias at the end", network(LAYERS.replace("classes)", "classes, bias=False)"))),
    (
        "another name",
        network(
            LAYERS.replace("self.output", "self.linear"),
            PACKED.replace("self.output", "self.linear"),
        ),
    ),
    (
        "a plain list of layers",
        network(
            """
        widths = [features] + [hidden] * (layers - 1)
        self.lstm = [nn.LSTM(width, hidden, batch_first=True) for width in widths]
        self.output = nn.Linear(hidden, classes)""",
            """
        x = x.transpose(1, 2)
        for layer in self.lstm:
            x, _ = layer(x)
        return self.output(x.mean(dim=1))""",
        ),
    ),
    (
        "sorted, and left so",
        network(
            forward="""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2])
        lengths, order = lengths.sort(descending=True)
        x = x[order].transpose(1, 2)
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.output(states.sum(dim=1) / lengths[:, None])"""
        ),
    ),
    ("sorted lengths expected", network(forward=PACKED.replace(", enforce_sorted=False", ""))),
    (
        "a batch as long as its clips",
        network(
            forward=PACKED.replace(
                "return self.output(states",
                "valid = torch.arange(x.shape[1]) < lengths[:, None]\n"
                "return self.output((states * valid[..., None])",
            )
        ),
    ),
    (
        "lengths without a default",
        network().replace("lengths=None", "lengths"),
    ),
    (
        "needs lengths",
        network(
            forward=PACKED.replace(
                "if lengths is None:\n    return self.output(self.lstm(x)[0].mean(dim=1))\n", ""
            )
        ),
    ),
    (
        "zeros in place of the padding",
        network(
            forward=PACKED.replace("x = x.transpose(1, 2)\n", "").replace(
                "if lengths",
                "for row in range(0 if lengths is None else len(x)):\n"
                "    x[row, :, lengths[row] :] = 0\n"
                "x = x.transpose(1, 2)\nif lengths",
            )
        ),
    ),
    (
        "the LSTM does not learn",
        network(
            forward=MASKED.replace(
                "x.transpose(1, 2))", "x.transpose(1, 2))\nstates = states.detach()"
            )
        ),
    ),
    ("no gradients", network(forward="with torch.no_grad():\n" + indent(MASKED.strip(), "    "))),
    ("frames of logits", network(forward="return self.output(self.lstm(x.transpose(1, 2))[0])")),
    (
        "a linear layer, then the sum over frames",
        network(
            forward=MASKED.replace(
                "(states * valid).sum(dim=1) / lengths[:, None]", "states * valid"
            ).replace(
                "return self.output(states * valid)",
                "return self.output(states * valid).sum(dim=1) / lengths[:, None]",
            )
        ),
    ),
    (
        "linear with bias, then divided",
        network(
            forward=MASKED.replace(
                "((states * valid).sum(dim=1) / lengths[:, None])",
                "((states * valid).sum(dim=1)) / lengths[:, None]",
            )
        ),
    ),
    (
        "starts from random states",
        network(
            forward="start = torch.randn(self.lstm.num_layers, len(x), self.lstm.hidden_size)\n"
            + MASKED.strip().replace("(1, 2))", "(1, 2), (start, start))")
        ),
    ),
]

RIGHT_ANSWERS["3.9"] = [
    ("a mask in place of packing", network(forward=MASKED)),
    (
        "masked_fill, lengths always",
        network(
            forward="""
            batch, _, frames = x.shape
            if lengths is None:
                lengths = x.new_full((batch,), frames)
            states = self.lstm(x.mT)[0]
            gone = torch.arange(frames, device=x.device).expand(batch, -1) >= lengths[:, None]
            states = states.masked_fill(gone.unsqueeze(2), 0)
            return self.output(torch.einsum("bth,b->bh", states, 1 / lengths))"""
        ),
    ),
    (
        "clip by clip",
        network(
            forward="""
            rows = []
            for row, clip in enumerate(x):
                end = clip.shape[1] if lengths is None else int(lengths[row])
                states, _ = self.lstm(clip[:, :end].T)
                rows.append(self.output(states).mean(dim=0))
            return torch.stack(rows)"""
        ),
    ),
    (
        "frames first",
        network(
            LAYERS.replace(", batch_first=True", ""),
            """
            if lengths is None:
                lengths = torch.full((len(x),), x.shape[2])
            packed = nn.utils.rnn.pack_padded_sequence(
                x.permute(2, 0, 1), lengths.cpu(), enforce_sorted=False
            )
            states, lengths = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0])
            return self.output(states.sum(dim=0) / lengths[:, None])""",
        ),
    ),
]


# ---------------------------------------------------------------- 3.10 - Transfer

LOAD = function(
    "load_matching(model, weights)",
    """
    left = []
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in weights and weights[name].shape == tensor.shape:
                tensor.copy_(weights[name])
            else:
                left.append(name)
    return left""",
)
FREEZE = function(
    "freeze_all_but(model, prefix)",
    """
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(prefix))
    return [parameter for parameter in model.parameters() if parameter.requires_grad]""",
)


def loading(body: str) -> str:
    return function("load_matching(model, weights)", body) + FREEZE


def freezing(body: str) -> str:
    return LOAD + function("freeze_all_but(model, prefix)", body)


WRONG_ANSWERS["3.10"] = [
    ("strict", loading("model.load_state_dict(weights)\nreturn []")),
    (
        "not strict, but shapes differ",
        loading("return model.load_state_dict(weights, strict=False).missing_keys"),
    ),
    (
        "names alone",
        loading("""
            left = []
            for name, parameter in model.named_parameters():
                if name in weights:
                    parameter.data = weights[name].clone()
                else:
                    left.append(name)
            return left"""),
    ),
    (
        "as many numbers",
        LOAD.replace(
            "weights[name].shape == tensor.shape", "weights[name].numel() == tensor.numel()"
        ).replace("copy_(weights[name])", "copy_(weights[name].reshape(tensor.shape))")
        + FREEZE,
    ),
    (
        "what can be spread",
        loading("""
        left = []
        for name, tensor in model.state_dict().items():
            try:
                tensor.copy_(weights[name])
            except (KeyError, RuntimeError):
                left.append(name)
        return left"""),
    ),
    (
        "parameters only",
        loading("""
        left = []
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in weights and weights[name].shape == parameter.shape:
                    parameter.copy_(weights[name])
                else:
                    left.append(name)
        return left"""),
    ),
    (
        "names of what was loaded",
        LOAD.replace("else:", "else:\n                continue")
        .replace("copy_(weights[name])", "copy_(weights[name])\n                left.append(name)")
        .replace("continue\n                left.append(name)", "continue")
        + FREEZE,
    ),
    ("only names that are missing", LOAD.replace("else:", "elif name not in weights:") + FREEZE),
    ("only shapes that differ", LOAD.replace("else:", "elif name in weights:") + FREEZE),
    (
        "in the order of a set",
        LOAD.replace("return left", "return sorted(left, reverse=True)") + FREEZE,
    ),
    ("a set", LOAD.replace("return left", "return set(left)") + FREEZE),
    ("how many", LOAD.replace("return left", "return len(left)") + FREEZE),
    ("nothing returned", LOAD.replace("    return left\n", "") + FREEZE),
    (
        "also names that only weights has",
        LOAD.replace(
            "return left", "return left + [n for n in weights if n not in model.state_dict()]"
        )
        + FREEZE,
    ),
    (
        "a dictionary that is not loaded",
        loading("""
        state = model.state_dict()
        match = {n: w for n, w in weights.items() if n in state and w.shape == state[n].shape}
        state.update(match)
        return [name for name in state if name not in match]"""),
    ),
    (
        "assigned, memory shared",
        loading("""
        state = model.state_dict()
        match = {n: w for n, w in weights.items() if n in state and w.shape == state[n].shape}
        return model.load_state_dict(match, strict=False, assign=True).missing_keys"""),
    ),
    (
        "data shared",
        loading("""
        left = []
        tensors = dict(model.named_parameters()) | dict(model.named_buffers())
        for name in model.state_dict():
            if name in weights and weights[name].shape == tensors[name].shape:
                tensors[name].data = weights[name]
            else:
                left.append(name)
        return left"""),
    ),
    (
        "new parameters",
        loading("""
        left = []
        for name, tensor in model.state_dict().items():
            owner, _, last = name.rpartition(".")
            if name in weights and weights[name].shape == tensor.shape:
                new = weights[name].clone()
                old = getattr(model.get_submodule(owner), last)
                new = nn.Parameter(new) if isinstance(old, nn.Parameter) else new
                setattr(model.get_submodule(owner), last, new)
            else:
                left.append(name)
        return left"""),
    ),
    (
        "takes weights out",
        LOAD.replace("tensor.copy_(weights[name])", "tensor.copy_(weights.pop(name))") + FREEZE,
    ),
    (
        "loads one after the other and freezes",
        LOAD.replace("    return left", "    model.requires_grad_(False)\n    return left")
        + FREEZE,
    ),
    (
        "the state dict does not learn anyway",
        freezing("""
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.requires_grad = name.startswith(prefix)
        return [p for name, p in model.named_parameters() if name.startswith(prefix)]"""),
    ),
    (
        "only the list",
        freezing("return [p for n, p in model.named_parameters() if n.startswith(prefix)]"),
    ),
    (
        "all parameters to the optimiser",
        freezing("""
        for name, parameter in model.named_parameters():
            parameter.requires_grad = name.startswith(prefix)
        return list(model.parameters())"""),
    ),
    ("the prefix anywhere", LOAD + FREEZE.replace("name.startswith(prefix)", "prefix in name")),
    ("the whole name", LOAD + FREEZE.replace("name.startswith(prefix)", "name == prefix")),
    (
        "the first part of the name",
        LOAD + FREEZE.replace("name.startswith(prefix)", 'name.split(".")[0] == prefix'),
    ),
    ("the other way round", LOAD + FREEZE.replace("_(name.starts", "_(not name.starts")),
    (
        "does not thaw",
        freezing("""
        for name, parameter in model.named_parameters():
            if not name.startswith(prefix):
                parameter.requires_grad = False
        return [parameter for parameter in model.parameters() if parameter.requires_grad]"""),
    ),
    (
        "does not freeze",
        freezing("""
        for name, parameter in model.named_parameters():
            if name.startswith(prefix):
                parameter.requires_grad = True
        return [p for n, p in model.named_parameters() if n.startswith(prefix)]"""),
    ),
    (
        "a misspelt attribute",
        LOAD
        + FREEZE.replace(
            "parameter.requires_grad_(name.startswith(prefix))",
            "parameter.require_grad = name.startswith(prefix)",
        ),
    ),
    (
        "names in the list",
        LOAD
        + FREEZE.replace(
            "[parameter for parameter in model.parameters()",
            "[name for name, parameter in model.named_parameters()",
        ),
    ),
    (
        "a generator",
        LOAD
        + FREEZE.replace("[parameter for", "(parameter for").replace(
            "requires_grad]", "requires_grad)"
        ),
    ),
    (
        "the frozen ones",
        LOAD + FREEZE.replace("if parameter.requires", "if not parameter.requires"),
    ),
    ("copies", LOAD + FREEZE.replace("[parameter for", "[nn.Parameter(parameter.clone()) for")),
    (
        "eval mode",
        freezing("""
        model.eval()
        return [p for n, p in model.named_parameters() if n.startswith(prefix)]"""),
    ),
]

RIGHT_ANSWERS["3.10"] = [
    (
        "load_state_dict with what matches, freeze all first",
        loading("""
            own = model.state_dict()
            match = {n: w for n, w in weights.items() if n in own and own[n].shape == w.shape}
            return model.load_state_dict(match, strict=False).missing_keys""").replace(
            FREEZE,
            function(
                "freeze_all_but(model, prefix)",
                """
                model.requires_grad_(False)
                learning = {n: p for n, p in model.named_parameters() if n.startswith(prefix)}
                for parameter in learning.values():
                    parameter.requires_grad = True
                return list(learning.values())""",
            ),
        ),
    ),
    (
        "a full dictionary",
        loading("""
            state = dict(model.state_dict())
            left = [n for n in state if n not in weights or weights[n].shape != state[n].shape]
            for name in state:
                if name not in left:
                    state[name] = weights[name].detach().clone()
            model.load_state_dict(state)
            return left"""),
    ),
    (
        "data copied in",
        loading("""
            left = []
            tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
            for name in model.state_dict().keys():
                new = weights.get(name)
                if new is None or new.size() != tensors[name].size():
                    left += [name]
                else:
                    tensors[name].data.copy_(new)
            return left"""),
    ),
]
