"""An explorer of the kernels of a first layer."""

from collections.abc import Callable, Mapping, Sequence

import ipywidgets
import numpy as np
import torch
from numpy.typing import ArrayLike

from course_utils import plotting
from course_utils.interactive.base import (
    ClipExplorer,
    draw_bars,
    emptied,
    figure_image,
    new_figure,
    ranking_in_words,
    shares_of,
    slider,
    text_block,
)
from course_utils.plotting.base import array, taken_notes, with_grid
from course_utils.plotting.frames import responses


class KernelExplorer(ClipExplorer):
    """Let the reader choose a kernel, see what it answers to, and hear a clip through it.

    The kernels are sorted by the frequency of their largest response. The filtered clip has the
    level (root of the mean square) of the clip, as far as full scale allows.

    Parameters
    ----------
    kernels : array (kernel, taps)
        Of a first layer, at the sample rate of the clips.
    clips : sequence of float32 tensors (1, time)
    labels : sequence of str
        The word of each clip.
    sample_rate : int
        In Hz.
    predict : callable, optional
        ``predict(waveform)`` of one clip (1, time) returns the probability of each word; it is
        asked for the filtered clip.

    Raises
    ------
    ValueError
        If there are no clips, or not as many labels, or no kernels of that shape.
    """

    def __init__(
        self, kernels: ArrayLike, clips: Sequence[torch.Tensor], labels: Sequence[str],
        sample_rate: int, predict: Callable[[torch.Tensor], Mapping[str, float]] | None = None,
    ):
        super().__init__(clips, labels, sample_rate)
        self._kernels = array(kernels, float)
        if self._kernels.ndim != 2 or not self._kernels.size:
            raise ValueError(
                f"expected kernels of shape (kernel, taps), neither 0, got {self._kernels.shape}"
            )
        self._gain, self._hz, self._order = responses(self._kernels, sample_rate)
        self._predict = predict
        self.kernel = slider(ipywidgets.IntSlider, "Kernel, low to high", 1, 1, len(kernels), 1)
        self._figure = new_figure(3.4)
        columns = 2 if predict is None else 3
        grid = self._figure.add_gridspec(2, columns)
        grid.update(left=0.075, right=0.97, bottom=0.14, top=0.92, wspace=0.25, hspace=0.9)
        for place in (grid[0, 0], grid[0, 1], grid[1, :2]):
            self._figure.add_subplot(place)
        if predict is not None:
            self._figure.add_subplot(grid[:, 2])
        self._start(self.choice, self.kernel)

    def _filtered(self, clip: torch.Tensor, kernel: np.ndarray) -> torch.Tensor:
        """The clip (1, time) through a kernel (taps,), as loud as before: (1, time)."""
        # What a layer calls a convolution does not turn the kernel round.
        out = np.convolve(clip[0].numpy(), kernel[::-1])[len(kernel) // 2 :][: clip.shape[1]]
        loud, peak = np.sqrt(np.square(out).mean()), np.abs(out).max()
        if peak > 0:
            out = out * min(float(clip.square().mean().sqrt()) / loud, 1 / peak)
        return torch.from_numpy(out).float()[None]

    def _render(self) -> tuple[str, str]:
        clip, word = self._chosen()
        place, rate = self.kernel.value, self._sample_rate
        number = int(self._order[place - 1])
        kernel, gain = self._kernels[number], self._gain[number]
        peak = self._hz[gain.argmax()]
        passed = self._hz[gain >= 0.5]
        filtered = self._filtered(clip, kernel)
        label = f"{word} through kernel {number}"

        wave, response, sounds, *bars = map(emptied, self._figure.axes)
        wave.plot(1000 * np.arange(len(kernel)) / rate, kernel, linestyle="-", color="#0072B2")
        wave.set(xlabel="Time (ms)", ylabel="Weight", title=f"Kernel {number} of the layer")
        response.plot(self._hz, gain, linestyle="-", color="#0072B2")
        spectrum = np.abs(np.fft.rfft(clip[0].numpy(), 1 << 14))[:-1].reshape(256, -1).mean(axis=1)
        response.fill_between(
            (np.arange(256) + 0.5) * rate / 512, spectrum / max(spectrum.max(), 1e-9),
            color="0.8", linewidth=0,
        )
        response.set(xlabel="Frequency (Hz)", ylabel="Gain", title="Its response; grey: the clip")
        response.set(xlim=(0, rate / 2), ylim=(0, 1.05))
        for ax in (wave, response):
            with_grid(ax)
        plotting.waveform(clip, rate, sounds, color="0.7", linestyle="-", name=word)
        plotting.waveform(filtered, rate, sounds, color="#0072B2", linestyle="-", name=label)
        sounds.set_title(f"{label}; grey: the clip")
        words = (
            f"Kernel {number}, place {place} of {len(self._kernels)} from low to high: it answers "
            f"most at {peak:.0f} Hz; more than half of that to {len(passed)} of {len(self._hz)} "
            f"frequencies, {passed[0]:.0f} to {passed[-1]:.0f} Hz."
        ) if len(passed) else f"Kernel {number} is zero: it answers to nothing."
        seen = taken_notes(self._figure)
        alt = f"{words} {seen}"
        if self._predict is not None:
            heard = shares_of(self._predict(filtered))
            words += f" The network is asked for the filtered clip. {ranking_in_words(heard, word)}"
            draw_bars(bars[0], heard, word)
        page = figure_image(self._figure, alt) + text_block(words)
        sounds = [(clip, f"{word}, before"), (filtered, label)]
        return page + plotting.players(sounds, rate, 2).data, f"{words} {seen}"
