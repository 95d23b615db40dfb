"""Noises for training and test: whole kinds apart, pieces by a seed."""

import torch

from course_utils.corpora import noises


def test_kinds_are_met_or_not():
    met, unmet = noises.kept_apart("fedcba")
    assert (met, unmet) == (["b", "c", "e", "f"], ["a", "d"])
    assert noises.kept_apart(["a", "b"]) == (["b"], ["a"])


def test_parts_do_not_overlap():
    kinds = {"a": torch.arange(10.0)[None], "b": torch.arange(5.0)[None]}
    first, second = (noises.parts_of(kinds, "ab", *part) for part in ((0, 0.7), (0.7, 1)))
    for whole, one, other in zip(kinds.values(), first, second, strict=True):
        assert torch.equal(torch.cat([one, other], dim=1), whole)


def test_crops_come_from_a_seed_and_short_noises_are_repeated():
    kinds = [torch.arange(50.0)[None], torch.arange(100.0, 103.0)[None]]

    def crops(seed):
        return noises.random_crops(kinds, 40, 20, torch.Generator().manual_seed(seed))

    drawn = crops(0)
    assert drawn.shape == (40, 1, 20)
    assert torch.equal(drawn, crops(0))
    assert not torch.equal(drawn, crops(1))
    long = drawn[:, 0, 0] < 100
    assert 0 < long.sum() < 40
    assert (drawn[long].diff(dim=2) == 1).all()
    assert drawn[~long].unique().tolist() == [100, 101, 102]
