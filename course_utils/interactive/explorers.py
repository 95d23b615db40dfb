"""Explorers of shifts, confusions and features."""

import html
import math
import warnings
from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import torch
import torchaudio
from matplotlib.ticker import MaxNLocator

from course_utils import plotting
from course_utils.interactive.base import (
    ClipExplorer,
    Explorer,
    draw_bars,
    emptied,
    figure_image,
    new_figure,
    ranking_in_words,
    shares_of,
    slider,
    text_block,
)
from course_utils.plotting.base import taken_notes


class ShiftExplorer(ClipExplorer):
    """Let the reader shift a clip in time, and see whether the model still hears its word.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    predict : callable
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word.
    sample_rate : int
        In Hz.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str],
        predict: Callable[[torch.Tensor], Mapping[str, float]], sample_rate: int = 16000,
    ):
        super().__init__(clips, labels, sample_rate)
        self._predict = predict
        self.shift = slider(ipywidgets.IntSlider, "Shift (ms)", 0, -300, 300, 1)
        self._figure = new_figure(2.6)
        self._figure.subplots(1, 2, width_ratios=(3, 2))
        self._figure.subplots_adjust(0.08, 0.2, 0.96, 0.88, wspace=0.1)
        self._start(self.choice, self.shift)

    def _render(self) -> tuple[str, str]:
        clip, word = self._chosen()
        shift, time = self.shift.value, clip.shape[1]
        samples = max(-time, min(time, round(shift * self._sample_rate / 1000)))
        clip = torch.nn.functional.pad(clip, (samples, -samples))  # what leaves is cut off
        moved = f"{abs(shift)} ms {'earlier' if shift < 0 else 'later'}" if shift else "not shifted"
        label = f"{word}, {moved}"
        heard = shares_of(self._predict(clip))
        said = ranking_in_words(heard, word)
        words = f"{label}. {said}"
        left, right = self._figure.axes
        plotting.waveform(clip, self._sample_rate, emptied(left)).set_title(label)
        draw_bars(right, heard, word)
        page = figure_image(self._figure, words) + text_block(said)
        return page + plotting.player(clip, self._sample_rate, label).data, words


class ConfusionPicker(Explorer):
    """Let the reader choose a cell of a confusion matrix, and hear the clips behind it.

    Parameters
    ----------
    targets, predictions : sequence of int
        The class of each clip, and what the model said.
    names : sequence of str
        The classes.
    clip : callable
        ``clip(item)`` returns the waveform (1, time) of a clip.
    sample_rate : int
        In Hz.
    """

    MOST = 8  # players at a time

    def __init__(
        self, targets: Sequence[int], predictions: Sequence[int], names: Sequence[str],
        clip: Callable[[int], torch.Tensor], sample_rate: int,
    ):
        self._cells: dict[tuple[int, int], list[int]] = {}
        for item, cell in enumerate(zip(targets, predictions, strict=True)):
            self._cells.setdefault(tuple(map(int, cell)), []).append(item)
        self._names, self._clip, self._sample_rate = list(names), clip, sample_rate
        # Stand on the most frequent confusion first; without a mistake, on the first word.
        start = next(iter(plotting.confusions(targets, predictions)), (0, 0))
        options = [(name, number) for number, name in enumerate(self._names)]
        self.said = ipywidgets.Dropdown(options=options, value=start[0], description="Said")
        self.heard = ipywidgets.Dropdown(options=options, value=start[1], description="Heard")
        self._start(self.said, self.heard)

    def _render(self) -> tuple[str, str]:
        said, heard = self.said.value, self.heard.value
        items = self._cells.get((said, heard), [])
        pair = f"said {self._names[said]}, heard {self._names[heard]}"
        words = f"{len(items)} clip{'s' * (len(items) != 1)}: {pair}."
        if len(items) > self.MOST:
            words += f" The first {self.MOST}:"
        if not items:
            return html.escape(words), words
        clips = [(self._clip(item), f"{pair} (clip {item})") for item in items[: self.MOST]]
        return f"<div>{html.escape(words)}</div>" + plotting.players(
            clips, self._sample_rate
        ).data, words


class FeatureExplorer(ClipExplorer):
    """Let the reader choose window, hop and numbers of features, and see log-mel and MFCCs.

    What the MFCCs keep is made into sound again: their bands, and phases that fit, by the method
    of Griffin and Lim.

    The mel scale is HTK's, the window Hann's, padded to the next power of two; each MFCC is drawn
    standardised over the clip, since the first would outshine the others.

    Parameters
    ----------
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    sample_rate : int
        In Hz.
    window, hop : int
        Where these sliders stand at first, in ms.
    mels, mfccs : int
        How many of each at first.

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels.
    """

    def __init__(
        self, clips: Sequence[torch.Tensor], labels: Sequence[str], sample_rate: int = 16000, *,
        window: int = 25, hop: int = 10, mels: int = 64, mfccs: int = 13,
    ):
        super().__init__(clips, labels, sample_rate)
        integer = ipywidgets.IntSlider
        self.window = slider(integer, "Window (ms)", window, 5, 100, 1)
        self.hop = slider(integer, "Hop (ms)", hop, 2, 50, 1)
        self.mels = slider(integer, "Mel bands", mels, 8, 128, 1)
        self.mfccs = slider(integer, "MFCCs", mfccs, 4, 40, 1)

        self._figure = new_figure(2.8)
        self._figure.subplots(1, 2)
        self._figure.subplots_adjust(0.07, 0.17, 0.96, 0.9, wspace=0.22)
        self._start(self.choice, self.window, self.hop, self.mels, self.mfccs)

    def _render(self) -> tuple[str, str]:
        clip, word = self._chosen()
        rate, window, hop = self._sample_rate, self.window.value, self.hop.value
        mels, mfccs = self.mels.value, min(self.mfccs.value, self.mels.value)
        level, mfcc, n_fft, empty, sound = _features(clip, rate, window, hop, mels, mfccs)

        frames, per_second = level.shape[1], 1000 / hop
        words = (
            f"{word}: {frames} frames of {window} ms, one every {hop} ms. Numbers per second: "
            f"{rate:,} samples, {mels * per_second:,.0f} as {mels} mel bands, "
            f"{mfccs * per_second:,.0f} as {mfccs} MFCCs. The window is padded to {n_fft} samples "
            f"for the FFT: its frequency bins are {rate / n_fft:.4g} Hz apart."
        )
        if empty:
            words += f" {empty} of the {mels} mel bands {'is' if empty == 1 else 'are'} empty: "
            words += "no frequency bin falls into them. Take a longer window, or fewer bands."
        if hop > window:
            words += f" Of every {hop} ms, {hop - window} ms are not looked at."
        if mfccs < self.mfccs.value:
            words += f" There can be no more MFCCs than mel bands: {mfccs} are shown."

        if sound is None:
            words += " Nothing to hear of them: windows that do not overlap make no sound."
        left, right = map(emptied, self._figure.axes[:2])
        first, seconds = len(self._figure.axes) == 2, hop / 1000  # later the scales stay
        left.yaxis.set_major_locator(MaxNLocator())
        plotting.features(
            level, seconds, left, ylabel=f"Frequency (Hz), {mels} bands",
            title=f"Log-mel, {word}", colorbar=first and "Level (dB re peak)",
            name=f"{word}, log-mel in dB", vmin=-80, vmax=0,
        )
        seen = taken_notes(self._figure)
        ticks = [hz for hz in (250, 500, 1000, 2000, 4000, 8000) if hz < rate / 2]
        names = [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks]
        # Band i is centred at (i + 1) of mels + 1 equal steps on the mel scale.
        step = _htk_mel(rate / 2) / (mels + 1)
        left.set_yticks([_htk_mel(hz) / step - 1 for hz in ticks], names)
        plotting.features(
            mfcc, seconds, right, title=f"{mfccs} MFCCs, {word}",
            colorbar=first and "Standard deviations", vmin=-3, vmax=3,
        )
        for ax, rows in ((left, mels), (right, mfccs)):
            ax.set(xlim=(-0.5 * seconds, (frames - 0.5) * seconds), ylim=(-0.5, rows - 0.5))
        alt = f"Left: {seen} Right: {mfccs} MFCCs, each standardised over the clip."
        page = figure_image(self._figure, alt) + text_block(words)
        sounds = [(clip, f"{word}, as it was")]
        if sound is not None:
            sounds.append((sound, f"{word}, from its {mfccs} MFCCs"))
        return page + plotting.players(sounds, rate, 2).data, f"{words} {alt}"


def _htk_mel(hz: float) -> float:
    """The mel scale of HTK (S. Young et al., The HTK Book), which MFCC are made with here."""
    return 2595 * math.log10(1 + hz / 700)


def _features(
    clip: torch.Tensor, rate: int, window: int, hop: int, mels: int, mfccs: int
) -> tuple[torch.Tensor, torch.Tensor, int, int, torch.Tensor | None]:
    """Level in dB below the peak (mel, frame), MFCCs standardised (mfcc, frame), FFT size, empty
    bands, sound (1, time) of the MFCCs if any; of a clip (1, time), with window and hop in ms."""
    samples = max(1, round(window * rate / 1000))
    n_fft = 1 << (samples - 1).bit_length()  # the next power of two
    step = max(1, round(hop * rate / 1000))
    spectrum = {"n_fft": n_fft, "win_length": samples, "pad_mode": "constant", "n_mels": mels}
    spectrum |= {"hop_length": step, "mel_scale": "htk"}
    with warnings.catch_warnings():  # the words say it
        warnings.filterwarnings("ignore", "At least one mel filterbank has all zero values")
        transform = torchaudio.transforms.MFCC(rate, mfccs, melkwargs=spectrum)
    bank = transform.MelSpectrogram.mel_scale.fb  # (bin, mel)
    with torch.no_grad():
        power = transform.MelSpectrogram(clip)
        level = transform.amplitude_to_DB(power)  # (1, mel, frame)
        mfcc = (level.transpose(1, 2) @ transform.dct_mat).transpose(1, 2)[0]  # (mfcc, frame)
        sound = None
        if step < samples and clip.shape[1] >= n_fft:  # else its frames do not fit together
            kept = 10 ** (mfcc.T @ transform.dct_mat.T / 10)  # (frame, mel)
            power = (kept @ torch.linalg.pinv(bank)).clamp(min=0).T  # (bin, frame)
            sound = torchaudio.transforms.GriffinLim(
                n_fft, 8, samples, step, power=2, length=clip.shape[1], rand_init=False
            )(power)[None]
    centred = mfcc - mfcc.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    empty = int((bank.amax(dim=0) == 0).sum())
    return level[0] - level.max(), centred / spread.clamp_min(1e-3), n_fft, empty, sound
