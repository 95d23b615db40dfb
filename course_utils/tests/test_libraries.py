"""MFCC of other libraries: they agree where the settings are the same, and differ elsewhere."""

import torch

from course_utils import libraries


def test_two_libraries_agree_until_a_setting_differs():
    clip = 0.1 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    found = {name: by(clip) for name, by in libraries.mfccs(12, 40, 512, 320, 16_000).items()}
    assert {tuple(mfcc.shape) for mfcc in found.values()} == {(12, 51)}
    first = found.pop("librosa, same settings")
    torch.testing.assert_close(found.pop("torchaudio, same settings"), first, atol=0.1, rtol=0)
    assert len(found) == 7
    assert all((mfcc - first).abs().max() > 0.5 for mfcc in found.values())
