"""Made-up submissions: small functions that fill a stage's notebook from its solution.

A row of the table names a submission, what it does, and which exercises bring no points; what an
exercise is worth is read from the release.
"""

import ast
import contextlib
import copy
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat
import torch
from nbformat import NotebookNode

from course_utils import settings
from course_utils.checks import stage1 as checks
from course_utils.exercises import exercises, read
from course_utils.instructor.desk import stages
from course_utils.instructor.release import student_notebook
from course_utils.tests.test_wrong_answers import answers_of


@cache
def stage(number: int) -> stages.Stage:
    return stages.stage(number)


@cache
def _notebooks(number: int) -> tuple[NotebookNode, NotebookNode]:
    path = next((settings.CHECKOUT / "labsolutions").glob(f"{number:02d}_*.ipynb"))
    solution = read(path)
    return solution, student_notebook(solution)


class Filled:
    """A student's notebook of a stage, with some of its exercises filled in.

    Parameters
    ----------
    number : int
        The stage.
    ids : iterable of str, optional
        The exercises with the right answer; default all.
    """

    def __init__(self, number: int, ids: Iterable[str] | None = None):
        solution, student = _notebooks(number)
        self.stage = stage(number)
        self.notebook = copy.deepcopy(student)
        self.file = self.stage.file
        self.right = {item.id: plain(item.solution) for item in exercises(solution)}
        self.ids = list(self.right)
        for name in self.right if ids is None else ids:
            self.answer(name, self.right[name])

    def cell(self, name: str) -> NotebookNode:
        return next(cell for cell in self.notebook.cells if cell.id == name)

    def answer(self, exercise: str, source: str) -> None:
        self.cell(f"ex-{exercise.replace('.', '-')}").source = source

    def before(self, exercise: str, prefix: str) -> None:
        """Put lines at the top of an exercise's cell."""
        self.answer(exercise, f"{prefix}\n{self.right[exercise]}")

    def inside(self, exercise: str, statement: str) -> None:
        """Make a statement the first of each function of an exercise's cell."""
        tree = ast.parse(self.right[exercise])
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node.body[:0] = ast.parse(statement).body
        self.answer(exercise, ast.unparse(tree))

    def insert(self, source: str, kind: str = "code", name: str = "mine") -> None:
        """A cell of the student's own, behind the set-up."""
        new = getattr(nbformat.v4, f"new_{kind}_cell")(source, id=name)
        place = next(i for i, cell in enumerate(self.notebook.cells) if cell.id == "setup")
        self.notebook.cells.insert(place + 1, new)

    def remove(self, *names: str) -> None:
        self.notebook.cells = [cell for cell in self.notebook.cells if cell.id not in names]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / self.file).write_text(json.dumps(self.notebook), encoding="utf-8")


def plain(solution: str) -> str:
    """A solution without its markers."""
    return re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION[ \t]*\n?", "", solution, flags=re.MULTILINE)


def returns_nothing(source: str) -> str:
    """A cell with the same names, each of which returns None."""
    names = sorted(stages.names_of(source))
    return "\n".join(f"def {name}(*given, **named):\n    return None\n" for name in names)


def mistaken(number: int) -> Filled:
    """One mistake in each exercise."""
    made, (wrong, _) = Filled(number, []), answers_of(number)
    for name, right in made.right.items():
        found = wrong.get(name)
        made.answer(name, found[0][1] if found else returns_nothing(right))
    return made


@dataclass(frozen=True, eq=False)
class Row:
    """A submission and what the desk must make of it.

    Attributes
    ----------
    name : str
        Also the name of its folder.
    make : callable
        Makes it.
    lost : str
        Exercises that bring nothing: ids, ``"all"``, or ``""``.
    outcomes : dict of str to str
        What some of them must be called.
    status : str
    flagged : str
        A part of what must be pointed out to the instructor.
    layer : str
        Without this layer of the sandbox it would do harm, and is left out.
    """

    name: str
    make: Callable[[], Filled]
    lost: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)
    status: str = "marked"
    flagged: str = ""
    layer: str = ""
    quick: bool = False

    @property
    def honest(self) -> bool:
        """Whether there is nothing to point out in it."""
        return not self.flagged and self in ORDINARY


#: What hostile submissions fill in: all of it but 1.3 is right.
FEW = ("1.1", "1.2", "1.3", "1.4")
_REST = "1.5 1.6 1.7 1.8 1.9 1.10 1.11"


def _in_1_3(source: str) -> Callable[[], Filled]:
    """A few exercises, with `source` for 1.3, in which RIGHT stands for the right answer."""

    def make() -> Filled:
        made = Filled(1, FEW)
        made.answer("1.3", source.replace("RIGHT", made.right["1.3"]))
        return made

    return make


def _few(change: Callable[[Filled], object]) -> Callable[[], Filled]:
    def make() -> Filled:
        made = Filled(1, FEW)
        change(made)
        return made

    return make


def _all(number: int, change: Callable[[Filled], object] = lambda made: None):
    def make() -> Filled:
        made = Filled(number)
        change(made)
        return made

    return make


# ---------------------------------------------------------------- the first class: ordinary ones


def _reads_labsolutions(made: Filled) -> None:
    made.insert(
        "from course_utils import settings\n"
        "from course_utils.exercises import exercises, read\n"
        'path = next((settings.CHECKOUT / "labsolutions").glob("01_*.ipynb"))\n'
        'found = {item.cell("ex"): item for item in exercises(read(path))}'
    )
    for name in made.ids:
        cell = f"ex-{name.replace('.', '-')}"
        made.answer(name, f'exec(compile(found["{cell}"].solution, "<x>", "exec"), globals())')


def _loads_references(made: Filled, in_cells: bool) -> None:
    for name in made.ids:
        line = f'checks.load_reference("{name}")'
        if in_cells:
            made.answer(name, line)
        else:
            made.insert(line, name=f"load-{name.replace('.', '-')}")


def _patches_checks(made: Filled) -> None:
    made.insert(
        "for name in dir(checks):\n"
        "    if callable(getattr(checks, name)):\n"
        '        setattr(checks, name, lambda *a, **k: print("Passed"))'
    )
    for name, right in made.right.items():
        made.answer(name, returns_nothing(right))


def _edits_checks(made: Filled) -> None:
    for cell in made.notebook.cells:
        if cell.id.startswith("check-"):
            cell.source = 'print("Passed: trust me")'
            cell.metadata.nbgrader.points = 100


def _deletes_checks(made: Filled) -> None:
    made.remove(*(cell.id for cell in made.notebook.cells if cell.id.startswith("check-")))


def _twice(made: Filled) -> None:
    place = made.notebook.cells.index(made.cell("ex-1-2"))
    made.notebook.cells.insert(place, copy.deepcopy(made.notebook.cells[place]))
    made.notebook.cells[place].source = "def make_vocabulary(words):\n    return None"


def same_ids(made: Filled) -> None:
    for cell in made.notebook.cells:
        cell.id = "same"


def strip_metadata(made: Filled) -> None:
    for cell in made.notebook.cells:
        cell.metadata.pop("nbgrader", None)


def strip_all(made: Filled) -> None:
    strip_metadata(made)
    for place, cell in enumerate(made.notebook.cells):
        cell.id = f"c{place}"


def _scripts(made: Filled) -> None:
    script = "<script>document.title='owned'</script><img src=x onerror='document.title=1'>"
    made.cell("setup").outputs = [
        nbformat.v4.new_output("display_data", data={"text/html": script})
    ]
    made.insert(script, "markdown")


def _kernel_r(made: Filled) -> None:
    made.notebook.metadata = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}


def _renamed(made: Filled) -> None:
    made.file = "my work (1).ipynb"


def _own_cell_instead(made: Filled) -> None:
    made.insert(made.right["1.3"])
    made.answer("1.3", made.stage.exercises["1.3"].stub)


def _in_two_cells(made: Filled) -> None:
    tree = ast.parse(made.right["1.2"])
    made.insert(ast.unparse(ast.Module(tree.body[:1], [])), name="first")
    made.insert(ast.unparse(ast.Module(tree.body[1:], [])), name="second")
    made.remove("ex-1-2")


_SWALLOWS = """
while True:
    try:
        while True: pass
    except BaseException: pass
"""

ORDINARY = [
    Row("all_right", _all(1), quick=True),
    Row("untouched", lambda: Filled(1, []), "all", {"1.1": "open", "1.10": "open"}, quick=True),
    Row("half", lambda: Filled(1, [f"1.{i}" for i in range(1, 6)]), "1.6 1.7 1.8 1.9 1.10 1.11"),
    Row("one_mistake_each", lambda: mistaken(1), "all", {"1.1": "wrong"}),
    Row("first_missing", lambda: Filled(1, [f"1.{i}" for i in range(2, 12)]), "1.1",
        {"1.1": "open"}),
    Row("loop_in_answer", _few(lambda made: made.inside("1.3", "while True: pass")),
        f"1.3 {_REST}", {"1.3": "time"}),
    Row("loop_at_top", _few(lambda made: made.before("1.3", "while True: pass")), f"1.3 {_REST}",
        {"1.3": "time"}),
    Row("loop_swallows", _few(lambda made: made.inside("1.3", _SWALLOWS)), f"1.3 {_REST}",
        {"1.3": "time"}),
    Row("sys_exit", _few(lambda made: made.inside("1.3", "import sys; sys.exit(0)")),
        f"1.3 {_REST}", {"1.3": "wrong"}),
    Row("input", _few(lambda made: made.inside("1.3", "input('name? ')")), f"1.3 {_REST}",
        {"1.3": "wrong"}),
    Row("syntax", _few(lambda made: made.before("1.3", "def broken(:")), f"1.3 {_REST}",
        {"1.3": "wrong"}, quick=True),
    Row("os_exit", _few(lambda made: made.inside("1.3", "import os; os._exit(0)")),
        f"1.3 {_REST}", {"1.3": "died"}, flagged="programs", quick=True),
    Row("prints_50_mb", _few(lambda made: made.inside("1.3", "print('x' * 50_000_000)")), _REST,
        quick=True),
    Row("warns", _few(lambda made: made.inside("1.3", "import warnings; warnings.warn('look')")),
        _REST),
    Row("prints", _few(lambda made: made.inside("1.3", "print('debug')")), _REST),
    Row("writes_to_stderr",
        _few(lambda made: made.inside("1.3", "import sys; print('bug', file=sys.stderr)")), _REST),
    Row("edited_checks", _few(_edits_checks), _REST),
    Row("deleted_checks", _few(_deletes_checks), _REST),
    Row("missing_cells", _few(lambda made: made.remove("ex-1-2", "check-1-2", "ex-1-4", "predict")),
        f"1.2 1.4 {_REST}", {"1.2": "missing", "1.4": "missing"}),
    Row("setup_missing", _few(lambda made: made.remove("setup")), _REST),
    Row("no_metadata", _few(strip_metadata), _REST),
    Row("same_ids", _few(same_ids), _REST),
    Row("neither_ids_nor_metadata", _few(strip_all), _REST),
    Row("scripts", _few(_scripts), _REST),
    Row("kernel_r", _few(_kernel_r), _REST),
    Row("exercise_twice", _few(_twice), _REST, quick=True),
    Row("renamed", _few(_renamed), _REST),
    Row("patches_checks", lambda: _changed(Filled(1, []), _patches_checks), "all",
        flagged="the checks", quick=True),
    Row("reads_labsolutions", lambda: _changed(Filled(1, []), _reads_labsolutions), "all",
        flagged="solutions"),
    Row("loads_references",
        lambda: _changed(Filled(1, []), lambda made: _loads_references(made, False)), "all",
        {"1.1": "reference", "1.10": "reference"}, flagged="reference", quick=True),
    Row("loads_references_in_cells",
        lambda: _changed(Filled(1, []), lambda made: _loads_references(made, True)), "all",
        {"1.1": "reference"}, flagged="reference"),
    Row("loads_one_reference",
        _few(lambda made: made.insert('checks.load_reference("1.2")')), f"1.2 {_REST}",
        {"1.2": "reference"}, flagged="reference"),
    Row("own_cell_instead", _few(_own_cell_instead), _REST),
    Row("in_two_cells", _few(_in_two_cells), _REST),
    Row("magics", _few(lambda made: made.before("1.3", "%matplotlib inline\n!ls\n")), _REST),
]


def _changed(made: Filled, change: Callable[[Filled], object]) -> Filled:
    change(made)
    return made


# ---------------------------------------------------------------- the second: hostile, unusual

_ZEROS = """
def collate(items, vocabulary):
    return torch.zeros(len(items), 1, 16000), torch.zeros(len(items), dtype=torch.int64)
"""
#: The way to what the checks are made of that is left: the insides of their functions.
_INSIDES = """
core = globals()['che' + 'cks'].collate.__wrapped__.__globals__['fail'].__globals__

def blank():
    inner = globals()['che' + 'cks'].collate.__wrapped__.__globals__
    for space in (core, inner, inner['agree'].__globals__):
        for name in ('fail', 'differ', 'close', 'same_shape', 'same_dtype', 'agree'):
            space[name] = lambda *given, **named: None

"""
#: Looks in a frame and those below it for what the desk reports with, and reports.
_FORGES = """
import json, operator, os
def forge(frame):
    back, names = operator.attrgetter("f_" + "back"), operator.attrgetter("f_" + "locals")
    while frame:
        if "outcome" in names(frame):
            found = {"outcome": "right", "cause": "", "message": "", "flags": []}
            found |= {"defined": True, "defining": 0.1, "token": names(frame)["token"]}
            if not isinstance(found["token"], str):
                found["token"] = next(found["token"])
            os.write(names(frame)["outcome"], json.dumps(found).encode() + bytes([10]))
            operator.attrgetter("_ex" + "it")(os)(0)
        frame = back(frame)
"""
_CAUSES = f"1.3 {_REST}"


def _helper_elsewhere(made: Filled) -> None:
    made.answer("1.1", made.right["1.1"] + "\n\ndef shared(f, *given):\n    return f(*given)\n")
    inner = made.right["1.3"].replace("def collate", "def collate_it")
    made.answer(
        "1.3", f"{inner}\n\ndef collate(items, vocabulary):\n"
        "    return shared(collate_it, items, vocabulary)\n",
    )


def _own_helper(made: Filled) -> None:
    made.insert(made.right["1.3"].replace("def collate", "def my_helper"))
    made.answer("1.3", "def collate(items, vocabulary):\n    return my_helper(items, vocabulary)\n")


def _remembers(made: Filled) -> None:
    """Right for the inputs that a student sees, which it holds as constants, and for no others."""
    seen, space = [], {"torch": torch, "F": torch.nn.functional}
    exec(made.right["1.1"], space)

    def fit_to_length(waveform, samples):
        seen.append([list(waveform.shape), samples, round(float(waveform.sum()), 4)])
        return space["fit_to_length"](waveform, samples)

    with contextlib.redirect_stdout(None):
        checks.fit_to_length(fit_to_length)
    made.answer("1.1", f"SEEN = {seen!r}\n{made.right['1.1'].replace('def fit_', 'def known_')}\n"
        "def fit_to_length(waveform, samples):\n"
        "    if [list(waveform.shape), samples, round(float(waveform.sum()), 4)] in SEEN:\n"
        "        return known_to_length(waveform, samples)\n"
        "    return waveform\n")


HOSTILE = [
    Row("memory_20_gb", _in_1_3("x = bytearray(20_000_000_000)\nRIGHT"), _CAUSES, quick=True),
    Row("torch_20_gb", _in_1_3("RIGHT\nbig = torch.ones(5_000_000_000)\n"), _CAUSES),
    Row("kills_parent", _in_1_3("import os\nos.kill(os.getppid(), 9)\nRIGHT"), _REST,
        flagged="programs", layer="namespaces"),
    Row("kills_group", _in_1_3("import os\nos.kill(0, 9)\nRIGHT"), _REST, layer="namespaces"),
    Row("daemon", _in_1_3(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        "        time.sleep(25); os._exit(0)\n    os._exit(0)\nRIGHT"), _REST, quick=True),
    Row("writes_course_utils", _in_1_3(
        "from pathlib import Path\nimport course_utils\n"
        "Path(course_utils.__file__).with_name('owned.txt').write_text('x')\nRIGHT"), _CAUSES,
        layer="files", quick=True),
    Row("writes_tmp_of_all", _in_1_3(
        "import os\nos.makedirs('/var/tmp/owned')\nRIGHT"), _CAUSES, layer="files"),
    Row("tcp", _in_1_3(
        "import socket\nsocket.create_connection(('127.0.0.1', 80), 2)\nRIGHT"), _CAUSES,
        layer="network"),
    Row("udp", _in_1_3(
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)"
        ".sendto(b'x', ('127.0.0.1', 9))\nRIGHT"), _CAUSES, layer="namespaces", quick=True),
    Row("reads_labsolutions_file", _in_1_3(
        "from pathlib import Path\nfrom course_utils import settings\n"
        "text = next((settings.CHECKOUT / 'labsolutions').glob('*.ipynb')).read_text()\nRIGHT"),
        _CAUSES, flagged="solutions", layer="files", quick=True),
    Row("reads_processes", _in_1_3(
        "from pathlib import Path\nassert b'grade' in Path('/proc/1/cmdline').read_bytes()\nRIGHT"),
        _CAUSES, layer="files"),
    Row("reads_environment", _in_1_3(
        "import os\nassert [name for name in os.environ if 'KEY' in name or 'TOKEN' in name]\nRIGHT"
    ), _CAUSES),
    Row("subprocess", _in_1_3(
        "import subprocess\nassert subprocess.run(['/bin/ls', '/home']).returncode == 0\nRIGHT"),
        _CAUSES, flagged="programs", layer="files"),
    Row("always_equal", _in_1_3(
        "class Yes(torch.Tensor):\n"
        "    @classmethod\n"
        "    def __torch_function__(cls, function, types, args=(), kwargs=None):\n"
        "        name = getattr(function, '__name__', '')\n"
        "        with torch._C.DisableTorchFunctionSubclass():\n"
        "            found = function(*args, **(kwargs or {}))\n"
        "        if name in ('le', '__le__', 'eq', '__eq__'):\n"
        "            return torch.ones_like(found)\n"
        "        return found.as_subclass(cls) if isinstance(found, torch.Tensor) else found\n"
        "def collate(items, vocabulary):\n"
        "    return torch.zeros(len(items), 1, 16000).as_subclass(Yes), "
        "torch.zeros(len(items), dtype=torch.int64).as_subclass(Yes)\n"), _CAUSES, quick=True),
    Row("patches_core", _in_1_3(
        "import course_utils.checks.core as core\n"
        "core.fail = lambda *given: None\n" + _ZEROS), _CAUSES, {"1.3": "refused"},
        flagged="imports"),
    Row("blanks_fail", _in_1_3(_INSIDES + "blank()\n" + _ZEROS), _CAUSES, flagged="insides",
        quick=True),
    Row("blanks_fail_when_called",
        _in_1_3(_INSIDES + _ZEROS.replace("return", "blank()\n    return")), _CAUSES,
        {"1.3": "tampered"}, flagged="while the check runs", quick=True),
    Row("replaces_code_of_fail", _in_1_3(
        _INSIDES + "core['fail'].__code__ = (lambda *given: None).__code__\n" + _ZEROS),
        _CAUSES, flagged="insides"),
    Row("looks_for_oracles_in_modules", _in_1_3(
        "import sys\nfound = sys.modules['course_utils.' + 'checks.stage1.data']\nRIGHT"),
        _CAUSES, {"1.3": "refused"}),
    Row("imports_oracles_in_pieces", _in_1_3(
        "found = __import__('course_utils.' + 'checks.stage1.data')\nRIGHT"), _CAUSES,
        {"1.3": "refused"}),
    Row("reads_the_checks", _in_1_3(
        "import course_utils\nfrom pathlib import Path\n"
        "text = Path(course_utils.__file__).with_name('checks').joinpath('core.py').read_text()\n"
        "RIGHT"), _CAUSES, layer="files"),
    Row("patches_torch_equal", _in_1_3("torch.equal = lambda *given: True\n" + _ZEROS), _CAUSES,
        flagged="torch.equal", quick=True),
    Row("patches_le", _in_1_3(
        "torch.Tensor.__le__ = lambda a, b: torch.ones(a.shape, dtype=torch.bool)\n"
        "torch.Tensor.__eq__ = torch.Tensor.__le__\n" + _ZEROS), _CAUSES, flagged="__le__",
        quick=True),
    Row("patches_assertions", _in_1_3(
        "import builtins\nbuiltins.AssertionError = Warning\nbuiltins.bool = lambda *g: True\n"
        + _ZEROS), _CAUSES, flagged="builtins"),
    Row("walks_frames", _in_1_3(
        "import sys\ndef collate(items, vocabulary):\n    frame = sys._getframe()\n"
        "    while frame:\n"
        "        for name, value in frame.f_locals.items():\n"
        "            if name in ('truth', 'expected', 'x', 'y'):\n"
        "                return value\n"
        "        frame = frame.f_back\n"), _CAUSES, flagged="frames", quick=True),
    Row("forges_from_a_helper_file", _in_1_3(
        f"import os, sys\nos.makedirs('made', exist_ok=True)\n"
        f"open('made/zhelp.py', 'w').write({_FORGES!r} + 'import sys' + chr(10) +\n"
        "    'collate = lambda *given: forge(sys._getframe())')\n"
        "sys.path.insert(0, os.path.abspath('made'))\nfrom zhelp import collate\n"), _CAUSES,
        flagged="a file of its own", quick=True),
    Row("takes_a_frame_from_a_signal", _in_1_3(
        f"{_FORGES}\nimport signal\nfound = []\n"
        "signal.signal(signal.SIGUSR1, lambda number, frame: found.append(frame))\n"
        "def collate(items, vocabulary):\n    signal.raise_signal(signal.SIGUSR1)\n"
        "    forge(found.pop())\n"), _CAUSES, flagged="programs", quick=True),
    Row("has_a_library_take_a_frame", _in_1_3(
        f"{_FORGES}\nimport logging\ndef collate(items, vocabulary):\n"
        "    forge(operator.attrgetter('current' + 'frame')(logging)())\n"), _CAUSES,
        flagged="frames", quick=True),
    Row("code_under_another_name", _in_1_3(
        f"{_FORGES}\nimport sys\nspace = {{'forge': forge, 'sys': sys}}\n"
        "code = 'def collate(items, vocabulary): forge(sys._getframe())'\n"
        "exec(compile(code, json.__file__, 'exec'), space)\ncollate = space['collate']\n"),
        _CAUSES, flagged="trusted file"),
    Row("leaves_a_mode_on", _in_1_3(
        "from torch.overrides import TorchFunctionMode\n"
        "class Blind(TorchFunctionMode):\n"
        "    def __torch_function__(self, function, types, args=(), kwargs=None):\n"
        "        if getattr(function, '__name__', '') in ('le', '__le__'):\n"
        "            return torch.tensor(True)\n"
        "        return function(*args, **(kwargs or {}))\n"
        "Blind().__enter__()\nRIGHT"), f"1.4 {_CAUSES}", {"1.3": "tampered"},
        flagged="a mode of torch",
        quick=True),
    Row("puts_a_kernel_in", _in_1_3(
        "library = torch.library.Library('aten', 'IMPL')\n"
        "library.impl('trace', lambda x: x, 'CPU')\nRIGHT"), f"1.4 {_CAUSES}",
        {"1.3": "tampered"}, flagged="a kernel for"),
    Row("walks_frames_of_an_error", _in_1_3(
        "def collate(items, vocabulary):\n    try:\n        1 / 0\n"
        "    except ZeroDivisionError as error:\n        frame = error.__traceback__.tb_frame\n"
        "    while frame:\n        frame = frame.f_back\n"), _CAUSES, flagged="frames"),
    Row("walks_frames_and_is_right", _in_1_3("import sys\nsys._getframe()\nRIGHT"), _CAUSES,
        flagged="frames"),
    Row("searches_memory", _in_1_3(
        "import gc\nfound = [item for item in gc.get_objects() if callable(item)]\nRIGHT"), _CAUSES,
        flagged="memory"),
    Row("constants", _few(_remembers), f"1.1 {_REST}", {"1.1": "hidden"}, quick=True,
        flagged="not for others"),
    Row("transformers", _in_1_3(
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])\n" + _ZEROS),
        _CAUSES, flagged="notebook's program", quick=True),
    Row("transformers_in_a_cell", _few(lambda made: (
        made.insert("get_ipython().input_transformers_cleanup.append(lambda lines: ['pass'])"),
        made.answer("1.3", _ZEROS))), _CAUSES, flagged="notebook's program"),
    Row("imports_oracles", _in_1_3(
        "from course_utils.checks.stage1.data import *\n"
        "from course_utils.checks.stage1 import data\n" + _ZEROS), _CAUSES, {"1.3": "refused"},
        flagged="imports", quick=True),
    Row("takes_oracles_from_the_check", _in_1_3(
        "found = checks.collate.__wrapped__.__globals__\n" + _ZEROS), _CAUSES,
        {"1.3": "refused"}, flagged="reaches into the checks"),
    Row("imports_oracles_by_name", _in_1_3(
        "import importlib\nfound = importlib.import_module('course_utils.checks.stage1.data')\n"
        "RIGHT"), _CAUSES, {"1.3": "refused"}, flagged="names course_utils"),
    Row("asks_the_check_that_asks", _in_1_3(
        "def collate(items, vocabulary):\n    try:\n        checks.collate(lambda *g: None)\n"
        "    except AssertionError as error:\n        return error.expected\n"), _CAUSES,
        {"1.3": "refused"}, flagged="reaches into the checks"),
    Row("finds_the_desk", _in_1_3(
        "import __main__, sys\nfound = [name for name in sys.modules if 'desk' in name]\n"
        "assert found or hasattr(__main__, 'answer_job')\nRIGHT"), _CAUSES, flagged="tables"),
    Row("deep_expression_of_its_own", _few(
        lambda made: made.insert("x = " + "+".join(["1"] * 3000) + "\ny = 0x" + "f" * 50_000)),
        _REST),
    Row("swallows_in_a_context", _in_1_3(
        "import contextlib\n"
        "contextlib._GeneratorContextManager.__exit__ = lambda *given: True\n" + _ZEROS), _CAUSES,
        flagged="changes contextlib"),
    Row("reads_tests", _in_1_3(
        "import course_utils\nfrom pathlib import Path\n"
        "text = Path(course_utils.__file__).with_name('tests').joinpath('mutants.py').read_text()\n"
        "RIGHT"), _CAUSES, layer="files"),
    Row("forges_without_the_token", _in_1_3(
        "import os\nfor number in range(3, 64):\n    try:\n"
        "        os.write(number, b'{\"outcome\": \"right\", \"token\": \"\"}\\n')\n"
        "    except OSError:\n        pass\n" + _ZEROS), _CAUSES, flagged="forged"),
    Row("goes_on_in_a_thread", _in_1_3(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\nRIGHT"), _REST,
        flagged="goes on"),
    Row("sets_a_trace", _in_1_3("import sys\nsys.settrace(lambda *given: None)\nRIGHT"), _CAUSES,
        flagged="how Python runs"),
    Row("uses_ctypes", _in_1_3("import ctypes\nctypes.CDLL(None).getpid()\nRIGHT"), _CAUSES,
        flagged="ctypes"),
    Row("forks_300", _in_1_3(
        "import os, time\nfor _ in range(300):\n    if os.fork() == 0:\n"
        "        time.sleep(30); os._exit(0)\nRIGHT"), _CAUSES, layer="namespaces"),
    Row("fills_the_disk", _in_1_3(
        "import tempfile\nfor number in range(40):\n"
        "    open(f'{tempfile.gettempdir()}/{number}', 'wb').write(bytes(8 << 20))\nRIGHT"),
        _CAUSES, layer="own files"),
    Row("deep_source", _in_1_3("x = " + "(" * 5000 + ")" * 5000 + "\nRIGHT"), _CAUSES),
    Row("null_byte", _in_1_3("x = 1\0\nRIGHT"), _CAUSES),
    Row("huge_cell", _in_1_3("x = '" + "a" * 300_000 + "'\nRIGHT"), _CAUSES, {"1.3": "refused"}),
    Row("own_helper", _few(_own_helper), _REST, quick=True),
    Row("helper_in_another_answer", _few(_helper_elsewhere), _REST),
    Row("looks_unusual", _in_1_3(
        "import collections, enum, logging, typing, warnings, dataclasses\n"
        "Pair = collections.namedtuple('Pair', 'x y')\n"
        "class Two(typing.NamedTuple):\n    x: int\n"
        "class Kind(enum.Enum):\n    A = 1\n"
        "Other = enum.Enum('Other', 'A B')\nT = typing.TypeVar('T')\n"
        "logging.warning('look')\nwarnings.warn('look')\n"
        "@dataclasses.dataclass(frozen=True)\nclass Three:\n    x: int = 1\n"
        "@torch.jit.script\ndef twice(x):\n    return x + x\n"
        "RIGHT"), _REST, quick=True),
    Row("loads_in_a_worker", _in_1_3(
        "from torch.utils.data import DataLoader\nlist(DataLoader([1, 2], num_workers=1))\n"
        "torch.set_default_device('cpu')\nRIGHT"), _REST),
    Row("scipy_import", _in_1_3("import scipy.signal\nRIGHT"), _REST),
    Row("other_modules_of_the_course", _in_1_3(
        "from course_utils.corpora import speech_commands\nRIGHT"), _REST),
    Row("uses_a_constant", _in_1_3("RIGHT\nassert CLIP_SAMPLES == 16_000\n"), _REST),
    Row("uses_what_is_computed", _few(
        lambda made: made.inside("1.3", "size = len(train_x)")), _CAUSES,
        flagged="uses train_x", quick=True),
    Row("bare_stub", _in_1_3("def collate(items, vocabulary):\n    raise NotImplementedError()"),
        _CAUSES, {"1.3": "open"}),
]

OTHER_STAGES = [
    row
    for number in (2, 3, 4)
    for row in (
        Row(f"all_right_{number}", _all(number)),
        Row(f"untouched_{number}", lambda number=number: Filled(number, []), "all"),
        Row(f"half_{number}", lambda number=number: Filled(
            number, list(stage(number).exercises)[: len(stage(number).exercises) // 2]), "half"),
        Row(f"one_mistake_each_{number}", lambda number=number: mistaken(number), "all"),
        Row(f"last_only_{number}", lambda number=number: Filled(
            number, list(stage(number).exercises)[-1:]), "but last"),
        Row(f"loads_references_{number}", lambda number=number: _changed(
            Filled(number, []), lambda made: _loads_references(made, False)), "all",
            flagged="reference"),
        Row(f"patches_checks_{number}", lambda number=number: _changed(
            Filled(number, []), _patches_checks), "all", flagged="the checks"),
    )
]

#: Files that are no notebook of the stage.
BROKEN = {
    "corrupt": ("01_speech_commands_mlp.ipynb", '{"cells": [{"cell_type": "code", "sour'),
    "empty": ("01_speech_commands_mlp.ipynb", ""),
    "a_list": ("01_speech_commands_mlp.ipynb", "[1, 2, 3]"),
    "deep_json": ("01_speech_commands_mlp.ipynb", "[" * 100_000),
    "text": ("answers.txt", "dear teacher"),
}


def lost(row: Row, about: stages.Stage) -> set[str]:
    """The exercises of a row that bring no points."""
    names = list(about.exercises)
    if row.lost == "all":
        return {*names}
    if row.lost == "half":
        return {*names[len(names) // 2 :]}
    if row.lost == "but last":
        return {*names[:-1]}
    return {*row.lost.split()}
