"""Layers for comparisons: what no exercise asks for."""

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
