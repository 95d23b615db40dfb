"""Layers that no exercise asks for: for comparisons, and for speed."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence


class EachFrame(nn.Module):
    """A linear layer and a ReLU on each frame, called as a recurrent layer is.

    Put in its place, it shows what the memory was worth: nothing goes from frame to frame.

    Parameters
    ----------
    inputs, outputs : int
        Numbers of a frame before and after.

    Examples
    --------
    >>> EachFrame(3, 5)(torch.zeros(2, 7, 3))[0].shape
    torch.Size([2, 7, 5])
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.layer = nn.Linear(inputs, outputs)

    def forward(
        self, frames: torch.Tensor | PackedSequence
    ) -> tuple[torch.Tensor | PackedSequence, None]:
        """(batch, frame, inputs), or packed, to outputs and, as there is none, no state."""
        if isinstance(frames, PackedSequence):
            return frames._replace(data=self.layer(frames.data).relu()), None
        return self.layer(frames).relu(), None


class BothWays(nn.Module):
    """A recurrent layer in both directions, called as it was; nothing is packed while it runs.

    The second direction reads each clip from its own end, by index, and its answers are put back
    by the same index: padding stays behind the end either way, and no clip sees it. On a CPU the
    gradient of a *packed* layer takes time that grows with the square of the frames, since each
    step's share of it is as large as the whole; and an LSTM that is not packed has a kernel for
    all its steps at once.

    Parameters
    ----------
    rnn : nn.GRU or nn.LSTM
        In both directions; its weights are copied.
    cell : class, optional
        Of another kind in its place, such as ``nn.LSTM``: as large, with weights drawn anew.

    Raises
    ------
    ValueError
        It has one direction, or projects its states.

    Examples
    --------
    >>> rnn = nn.GRU(3, 5, batch_first=True, bidirectional=True)
    >>> x = torch.randn(2, 7, 3)
    >>> torch.allclose(BothWays(rnn)(x)[0], rnn(x)[0], atol=1e-6)
    True
    """

    def __init__(self, rnn: nn.GRU | nn.LSTM, cell: type[nn.GRU | nn.LSTM] | None = None):
        super().__init__()
        if not rnn.bidirectional or rnn.proj_size:
            raise ValueError(f"{rnn} cannot run both ways: bidirectional=True, and no proj_size")
        self.batch_first, self.dropout = rnn.batch_first, nn.Dropout(rnn.dropout)
        if cell is not None:
            options = {"bias": rnn.bias, "bidirectional": True}
            rnn = cell(rnn.input_size, rnn.hidden_size, rnn.num_layers, **options)
        self.ahead, self.back = (
            nn.ModuleList(_one_way(rnn, layer, ending) for layer in range(rnn.num_layers))
            for ending in ("", "_reverse")
        )

    def forward(
        self, frames: torch.Tensor | PackedSequence
    ) -> tuple[torch.Tensor | PackedSequence, None]:
        """Packed, (batch, frame, inputs) or (frame, inputs) to 2 * hidden, likewise; no state.

        Without ``batch_first`` frames come before the batch, as torch's layers have them.
        """
        if isinstance(frames, PackedSequence):
            data, sizes = frames.data, frames.batch_sizes
            clips = torch.arange(int(sizes[0]))  # by length: who unpacks them puts the order back
            there = clips < sizes[:, None]  # (frame, clip): the order in which frames are packed
            x = data.new_zeros(*there.shape, data.shape[1])
            lengths, there = there.sum(dim=0), there.to(x.device)
            y = self._run(x.masked_scatter(there[..., None], data).transpose(0, 1), lengths)
            return frames._replace(data=y.transpose(0, 1)[there]), None
        if frames.ndim == 2:
            return self._run(frames[None])[0], None
        if not self.batch_first:
            return self._run(frames.transpose(0, 1)).transpose(0, 1), None
        return self._run(frames), None

    def _run(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """(batch, frame, inputs), (batch,) -> (batch, frame, 2 * hidden)."""
        time = torch.arange(x.shape[1])
        ends = torch.tensor([x.shape[1]]) if lengths is None else lengths
        # its own inverse: the last valid frame first, and padding where it is
        turned = torch.where(time < ends[:, None], ends[:, None] - 1 - time, time)
        turned = turned[..., None].to(x.device)
        for number, (ahead, back) in enumerate(zip(self.ahead, self.back, strict=True)):
            x = self.dropout(x) if number else x
            backwards, _ = back(_by_index(x, turned))
            x = torch.cat([ahead(x)[0], _by_index(backwards, turned)], dim=2)
        return x  # (batch, frame, 2 * hidden)


def _by_index(x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return x.gather(1, index.expand_as(x))


def _one_way(rnn: nn.GRU | nn.LSTM, layer: int, ending: str) -> nn.GRU | nn.LSTM:
    """One layer of `rnn` in one of its directions, with its weights."""
    inputs = 2 * rnn.hidden_size if layer else rnn.input_size
    one = type(rnn)(inputs, rnn.hidden_size, bias=rnn.bias, batch_first=True)
    given = rnn.state_dict()
    one.load_state_dict(
        {name: given[name.replace("_l0", f"_l{layer}{ending}")] for name in one.state_dict()}
    )
    return one.to(next(rnn.parameters()))
