"""One graph from waveform to probabilities: what a trained model computes, without its notebook."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils import rnn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from course_utils.runs import TrainedModel


class Probabilities(nn.Module):
    """A trained model as one module: waveform (1, 1, time) to probabilities.

    What the notebook computes on the way and is the same for every clip (windows, filter banks)
    becomes a constant. Exporters have no operators for some of it, and a browser would compute it
    anew for each clip.

    Parameters
    ----------
    model : TrainedModel
    lengths : sequence of int
        Samples of two clips that are heard to find out: a constant is the same for both.

    Raises
    ------
    ValueError
        The notebook's functions do other things for a longer clip.
    """

    def __init__(self, model: TrainedModel, lengths: Sequence[int]):
        super().__init__()
        self.network, self.features = model.network, model.features
        self.mode: _Inside | None = None
        for layer in self.modules():
            if type(layer).__module__.startswith("torch.nn.") and not [*layer.children()]:
                layer.register_forward_pre_hook(self._enter)
                layer.register_forward_hook(self._leave)
        generator = torch.Generator().manual_seed(0)
        clips = [0.1 * torch.randn(1, 1, length, generator=generator) for length in lengths]
        watched = []
        with torch.no_grad(), one_clip(self.network):
            self.compute(clips[0])  # what the notebook computes only once is kept from here on
            for clip in clips:
                self.mode = _Watching(clip)
                with self.mode:
                    self.compute(clip)
                watched.append(self.mode.calls)
        self.calls = [name for name, _ in watched[0]]
        if self.calls != [name for name, _ in watched[1]]:
            raise ValueError("The notebook's functions do other things for a longer clip.")
        self.constants: dict[int, Any] = {}  # the number of a call to what it gives
        for place, ((_, one), (_, other)) in enumerate(zip(*watched, strict=True)):
            tensors = isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
            if tensors and one.shape == other.shape and torch.equal(one, other):
                self.constants[place] = one.detach().clone()
            elif isinstance(one, bool | int | float) and one == other:
                self.constants[place] = one

    def compute(self, waveform: torch.Tensor) -> torch.Tensor:
        """Features, network and softmax, as they are."""
        inputs = waveform if self.features is None else self.features(waveform)
        outputs = self.network(*inputs) if isinstance(inputs, tuple) else self.network(inputs)
        if isinstance(outputs, tuple):  # log-probabilities and their lengths
            return outputs[0].exp()
        return outputs.softmax(dim=-1)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """(1, 1, time) to (1, class), or to (1, frame, symbol)."""
        self.mode = _Replacing(self)
        with one_clip(self.network), self.mode:
            return self.compute(waveform)

    def _enter(self, layer: nn.Module, inputs: Any) -> None:
        if self.mode is not None:
            self.mode.layers += 1

    def _leave(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        if self.mode is not None:
            self.mode.layers -= 1
            self.mode.gave(output)


class _Inside(TorchFunctionMode):
    """Sees what a notebook calls; torch's own layers are an exporter's business."""

    def __init__(self):
        super().__init__()
        self.layers = 0  # those that are being computed

    def __torch_function__(self, function, types, arguments=(), options=None):
        name = getattr(function, "__name__", "?")
        if self.layers and name in RECURRENT:
            return self.recurrent(name, function, arguments)
        if self.layers or name.startswith("sym_"):  # arithmetic of a length not known yet
            return function(*arguments, **(options or {}))
        return self.call(name, function, arguments, options or {})

    def call(self, name: str, function: Callable, arguments: tuple, options: dict) -> Any:
        """What stands for a call."""
        raise NotImplementedError

    def gave(self, output: Any) -> None:
        """A layer has given this."""

    def recurrent(self, name: str, function: Callable, arguments: tuple) -> Any:
        """What stands for torch's function of an LSTM or GRU."""
        return function(*arguments)


class _Watching(_Inside):
    """Notes what each of torch's functions gives, in order, or None where it heard the clip."""

    def __init__(self, clip: torch.Tensor):
        super().__init__()
        self.calls: list[tuple[str, Any]] = []
        self.heard = {id(clip)}
        self.alive: list[Any] = [clip]  # an id belongs to one object as long as that lives

    def call(self, name, function, arguments, options):
        given = pytree.tree_leaves((arguments, options))
        from_clip = any(id(item) in self.heard for item in given)
        result = function(*arguments, **options)
        if from_clip:
            in_place = name == "__setitem__" or (name[-1] == "_" != name[-2:-1])
            self.gave((result, given[:1] if in_place else []))
        self.alive += [result, given]
        if name != "__get__":
            self.calls.append((name, None if from_clip else result))
        return result

    def gave(self, output):
        self.alive.append(output)
        tensors = pytree.tree_leaves(output)
        self.heard |= {id(item) for item in tensors if isinstance(item, torch.Tensor)}


class _Replacing(_Inside):
    """Gives the constants instead of computing them."""

    def __init__(self, module: Probabilities):
        super().__init__()
        self.module, self.place = module, -1

    def call(self, name, function, arguments, options):
        if name == "__get__":  # an attribute, such as a shape: not each kind of tensor tells
            return function(*arguments, **options)
        self.place += 1
        if self.module.calls[self.place] != name:
            raise ValueError("The notebook's functions do other things for some clips.")
        if self.place in self.module.constants:
            return self.module.constants[self.place]
        return function(*arguments, **options)

    def recurrent(self, name, function, arguments):
        return RECURRENT[name](*arguments)


def _shapes(x, state, bidirectional, batch_first) -> list[torch.Tensor]:
    """Empty tensors as a recurrent layer gives them: outputs (…, time, …), and each state."""
    width = state[0].shape[2] * (2 if bidirectional else 1)
    return [x.new_empty(*x.shape[:2], width), *map(torch.empty_like, state)]


# torch.export takes a recurrent layer apart, step by step, where the number of steps is computed
# from the length of the clip, and then fails. What it cannot look into it leaves whole.
@torch.library.custom_op("course::lstm", mutates_args=())
def _lstm(
    x: torch.Tensor, state: list[torch.Tensor], weights: list[torch.Tensor], has_biases: bool,
    num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    return torch.lstm(
        x, state, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )


@torch.library.custom_op("course::gru", mutates_args=())
def _gru(
    x: torch.Tensor, state: torch.Tensor, weights: list[torch.Tensor], has_biases: bool,
    num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    return torch.gru(
        x, state, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first
    )


@_lstm.register_fake
def _(x, state, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    return tuple(_shapes(x, state, bidirectional, batch_first))


@_gru.register_fake
def _(x, state, weights, has_biases, num_layers, dropout, train, bidirectional, batch_first):
    return tuple(_shapes(x, [state], bidirectional, batch_first))


#: Name of torch's function to the operator that stands for it in a graph.
RECURRENT = {"lstm": torch.ops.course.lstm.default, "gru": torch.ops.course.gru.default}


@contextlib.contextmanager
def one_clip(network: nn.Module) -> Iterator[None]:
    """Without packed sequences, which no exporter knows: a single clip has no padding."""
    instead = {
        rnn.pack_padded_sequence: lambda x, lengths, batch_first=False, enforce_sorted=True: x,
        rnn.pad_packed_sequence: _unpacked,
    }
    # A notebook may call them by the module that holds them, or import them.
    spaces = [vars(rnn), *(getattr(m.forward, "__globals__", {}) for m in network.modules())]
    before = [
        (space, name, old)
        for space in spaces
        for name, value in space.items()
        for old in instead
        if value is old
    ]
    for space, name, old in before:
        space[name] = instead[old]
    try:
        yield
    finally:
        for space, name, old in before:
            space[name] = old


def _unpacked(x, batch_first=False, padding_value=0.0, total_length=None):
    return x, torch.full((1,), x.shape[1 if batch_first else 0])
