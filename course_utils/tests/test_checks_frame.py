"""The frame round every check: what an answer leaves changed, seeds, mistakes, modes, by hand."""

import copy
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from course_utils.checks import core, state
from course_utils.checks.agree import agree, gradients_arrive, same, same_in_both_modes
from course_utils.checks.core import CheckFailed, check
from course_utils.checks.unaided import by_hand


def cause_of(function, *arguments, **named):
    with pytest.raises(CheckFailed) as error:
        function(*arguments, **named)
    return error.value.cause


def chances():
    """The random states of the program."""
    numpy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2], random.getstate()


# --- what an answer leaves changed ---------------------------------------------------------------


@check("9.1")
def one(answer):
    """Calls an answer once, with numbers and a model in eval mode."""
    core.call(answer, torch.arange(3.0), [1, 2], nn.Linear(2, 1).eval())


SWITCHED = [
    (lambda: torch.set_grad_enabled(False), "torch.set_grad_enabled is for the whole program"),
    (lambda: torch.set_default_dtype(torch.float64), "torch.set_default_dtype is for the whole"),
    (lambda: torch.set_deterministic_debug_mode(1), "torch.set_deterministic_debug_mode is for"),
    (lambda: torch.manual_seed(0), "torch.manual_seed is for the whole program"),
    (lambda: torch.manual_seed(core._OWN_SEED), None),
    (lambda: np.random.seed(1), "draw from np.random.default_rng(seed)"),  # noqa: NPY002
    (lambda: np.random.rand(), "draw from np.random.default_rng(seed)"),  # noqa: NPY002
    (lambda: random.seed(1), "draw from random.Random(seed)"),
    (lambda: random.random(), "draw from random.Random(seed)"),
    (lambda: torch.rand(1), None),  # allowed unless a check says otherwise
]


@pytest.mark.parametrize("change, cause", SWITCHED)
def test_what_an_answer_leaves_changed_is_named_and_set_back(change, cause):
    def answer(numbers, listed, model):
        change()
        return numbers

    before = chances()
    if cause is None:
        one(answer)
    else:
        assert cause in cause_of(one, answer)
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
    assert torch.get_deterministic_debug_mode() == 0
    assert chances() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda numbers, listed, model: numbers.add_(1),
        lambda numbers, listed, model: listed.append(3),
        lambda numbers, listed, model: listed.sort(reverse=True),
    ],
)
def test_arguments_must_stay_as_they_are(change):
    def answer(*given):
        change(*given)
        return 1

    assert "work on copies" in cause_of(one, answer)


def test_a_model_must_stay_in_its_mode():
    def answer(numbers, listed, model):
        model.train()
        return 1

    assert "the caller chose the mode" in cause_of(one, answer)


def test_an_answer_that_may_draw_nothing():
    @check("9.2", draws=False)
    def quiet(answer):
        core.call(answer)

    quiet(lambda: torch.rand(1, generator=torch.Generator()))
    assert "draw from the generator that is given" in cause_of(quiet, lambda: torch.rand(1))


@pytest.mark.parametrize(
    "off, on",
    [
        (lambda: torch.set_grad_enabled(False), lambda: torch.is_grad_enabled()),
        (
            lambda: torch.set_default_dtype(torch.float64),
            lambda: torch.get_default_dtype() == torch.float32,
        ),
    ],
)
def test_a_switch_that_an_earlier_cell_left_is_named_and_set_back(off, on):
    off()
    assert "a cell before called torch.set_" in cause_of(one, lambda *given: 1)
    assert on()
    one(lambda *given: 1)


def test_a_check_leaves_nothing_behind():
    @check("9.3")
    def drawing(answer):
        torch.rand(3), np.random.rand(), random.random()  # noqa: NPY002
        torch.manual_seed(5)
        core.call(answer)

    before = chances(), torch.initial_seed()
    drawing(lambda: 1)
    assert (chances(), torch.initial_seed()) == before
    cause_of(drawing, lambda: None)
    assert (chances(), torch.initial_seed()) == before


def test_what_a_check_cannot_follow_is_a_failed_check():
    @check("9.4")
    def trusting(answer):
        return answer() + 1

    with pytest.raises(CheckFailed, match=r"got TypeError: .*; likely cause: what your answer"):
        trusting(lambda: "one")
    with pytest.raises(core.NotFilledIn):
        trusting(lambda: (_ for _ in ()).throw(core.NotFilledIn("Exercise 9.4")))


def test_hints_are_those_of_the_check():
    def wrong(*given):
        raise RuntimeError("the axes are upside down")

    @check("9.5", hints={"upside down": "turn them round"})
    def hinting(answer):
        core.call(answer)

    assert cause_of(hinting, wrong).endswith("(turn them round)")
    assert "turn them round" not in cause_of(one, wrong)


# --- seeds ---------------------------------------------------------------------------------------


def test_a_seed_moves_every_generator_and_ends():
    def drawn():
        return (
            torch.rand(1, generator=core.generator(3)).item(), core.chance(3).random(),
            core.numpy_generator(3).random(),
        )  # fmt: skip

    usual = drawn()
    assert drawn() == usual
    with core.seeded(1):
        other = drawn()
        assert drawn() == other
    assert drawn() == usual
    assert all(a != b for a, b in zip(usual, other, strict=True))


# --- mistakes ------------------------------------------------------------------------------------

MISTAKES = {
    "do not add one": lambda x: x + 1,
    "small numbers only": lambda x: x if x < 5 else 0,
    "no letter": lambda x: int("x") if x > 5 else x,
}
CASES = [(1,), (4,), (9,)]


def agreeing(answer, **named):
    agree(answer, lambda x: x, CASES, MISTAKES, "return it as it is", **named)


def test_an_answer_that_agrees_is_accepted():
    agreeing(lambda x: x)
    agreeing(lambda x: np.int64(x))


@pytest.mark.parametrize("cause", MISTAKES)
def test_a_mistake_is_named(cause):
    assert cause_of(agreeing, MISTAKES[cause]) == cause


def test_a_mistake_must_do_the_same_in_all_cases():
    assert cause_of(agreeing, lambda x: x + 1 if x < 9 else x) == "return it as it is"
    assert cause_of(agreeing, lambda x: x if x < 5 else 1) == "return it as it is"


def test_an_error_that_no_mistake_makes_is_shown_as_it_is():
    assert "the line of your code" in cause_of(agreeing, lambda x: 1 / 0)
    assert "the return is missing" in cause_of(agreeing, lambda x: None)


def test_the_first_case_that_differs_is_told():
    with pytest.raises(CheckFailed) as error:
        agreeing(MISTAKES["small numbers only"])
    assert str(error.value) == "expected 9 of 9, got 0; likely cause: small numbers only"
    cases = [(torch.zeros(2, 2),)]
    with pytest.raises(CheckFailed, match=r"expected 1 at \[0, 0\], got 0"):
        agree(lambda x: x, lambda x: x + 1, cases, {}, "add one")


@pytest.mark.parametrize(
    "a, b",
    [
        (1, 1.0), (1.0, torch.tensor(1.0)), ([1], torch.tensor([1])), ("1", 1), (True, 1),
        (torch.ones(2), torch.ones(2).double()), (torch.ones(2), torch.ones(2, 1)), ([1], [1, 2]),
        ({"a": 1}, {"b": 1}), (None, 0), (math_nan := float("nan"), 1.0),
    ],
)  # fmt: skip
def test_what_is_not_the_same(a, b):
    assert not same(a, b) and not same(b, a)


@pytest.mark.parametrize(
    "a, b",
    [
        ([1, 2], (1, 2)), (np.float64(1), 1.0), ([np.str_("a")], ["a"]), (math_nan, math_nan),
        (torch.tensor([1.0, float("inf")]), torch.tensor([1 + 1e-7, float("inf")])),
        (np.arange(3), np.arange(3)), ({"a": [1]}, {"a": [1]}), (np.bool_(True), True),
    ],
)  # fmt: skip
def test_what_is_the_same(a, b):
    assert same(a, b) and same(b, a)


def test_every_check_hands_out_its_mistakes():
    right = (lambda x: x, lambda x: 2 * x)

    @check("9.6", [{"first": lambda x: 0}, {"second": lambda x: 1}], right)
    def two(first, second):
        agree(first, right[0], [(3,)], two.mistakes[0], "otherwise")
        agree(second, right[1], [(3,)], two.mistakes[1], "otherwise")

    two(*right)
    assert [cause_of(two, *answers) for _, answers in core.replays(two)] == ["first", "second"]
    assert [cause for cause, _ in core.replays(two)] == ["first", "second"]


# --- models --------------------------------------------------------------------------------------


class Dropping(nn.Module):
    """A linear layer; in train mode something else happens."""

    def __init__(self, change=lambda x: x):
        super().__init__()
        self.layer, self.change = nn.Linear(3, 2), change

    def forward(self, x):
        return self.change(self.layer(x)) if self.training else self.layer(x)


def test_both_modes_are_compared():
    x = torch.randn(4, 3)

    def compared(model):
        def truth(training, x):
            return F.linear(x, model.layer.weight, model.layer.bias).detach()

        same_in_both_modes(model, truth, [(x,), (x[:1],)], "a linear layer")

    compared(Dropping())
    assert cause_of(compared, Dropping(lambda y: 2 * y)) == "a linear layer (in train mode)"


def test_numbers_that_do_not_lie_side_by_side():
    class Viewing(nn.Module):
        def forward(self, x):
            return x.view(-1).view(x.shape)

    with pytest.raises(CheckFailed, match="view"):
        same_in_both_modes(Viewing(), lambda training, x: x, [(torch.ones(2, 3),)], "as it is")


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda model, x: model(x), None),
        (lambda model, x: model(x.detach()), "a gradient for input 1"),
        (lambda model, x: model(x).detach(), "a result through which gradients flow"),
        (lambda model, x: F.linear(x, model.layer.weight.detach()), "a gradient for layer.weight"),
    ],
)
def test_gradients_must_arrive(change, told):
    model = Dropping()

    def answer(x):
        return change(model, x)

    arguments = (answer, [torch.randn(4, 3)], [("layer.weight", model.layer.weight)])
    if told is None:
        gradients_arrive(*arguments)
        return
    with pytest.raises(CheckFailed, match=told):
        gradients_arrive(*arguments)


def test_a_copy_of_a_watched_layer_reports_to_the_same_list():
    watched = core.Watched(nn.Linear(3, 2))
    copy.deepcopy(watched).eval()(torch.ones(1, 3))
    assert watched.sizes == [1]


# --- by hand -------------------------------------------------------------------------------------

X, KERNEL = torch.ones(1, 1, 8), torch.ones(1, 1, 3)


@pytest.mark.parametrize(
    "call, operations",
    [
        (lambda: F.conv1d(X, KERNEL), ["conv"]),
        (lambda: nn.Conv1d(1, 1, 3)(X), ["conv"]),
        (lambda: torch.ops.aten.conv1d(X, KERNEL), ["conv"]),
        (lambda: F.conv2d(X[None], KERNEL[None]), ["conv"]),
        (lambda: np.convolve([1, 2], [1]), ["conv"]),
        (lambda: F.cross_entropy(torch.ones(1, 2), torch.tensor([0])), ["softmax"]),
        (lambda: torch.ones(2).softmax(0), ["softmax"]),
        (lambda: nn.LSTMCell(1, 1)(torch.ones(1, 1)), ["lstm"]),
        (lambda: nn.LSTM(1, 1)(torch.ones(1, 1, 1)), ["lstm"]),
        (lambda: F.ctc_loss(torch.zeros(3, 1, 2).log_softmax(2), torch.tensor([[1]]), [3], [1]),
         ["ctc"]),
    ],
)  # fmt: skip
def test_by_hand_is_by_hand_whatever_the_door(call, operations):
    with by_hand("loops", "a library", ["lin spaced"]):
        call()
    with pytest.raises(CheckFailed, match="by hand"), by_hand("loops", "a lib", operations):
        call()


def test_arithmetic_is_allowed():
    with pytest.raises(CheckFailed, match="thread"), by_hand("loops", "a lib", []):
        ThreadPoolExecutor(1).submit(len, "")
    with by_hand("loops", "a library's convolution", ["conv"]):
        assert (X[..., :3] * KERNEL).sum() == 3


def test_unset_memory_is_not_a_number():
    with state.unset_memory_is_nan():
        assert torch.empty(4).isnan().all()
    assert torch.get_deterministic_debug_mode() == 0
