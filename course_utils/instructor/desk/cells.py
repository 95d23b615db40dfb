"""A submission as the desk reads it: JSON, never run here, never trusted.

Which cell answers which exercise, which definitions of its own the notebook brings, and what in
it reaches for what an answer must not use.
"""

import ast
import contextlib
import hashlib
import json
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from course_utils.exercises import defines, names_given, predictions, texts, without_magics
from course_utils.instructor.desk.stages import Stage, imports_of, names_of

#: Python counts the depth of syntax trees once for all threads: two that parse at a time may end in
#: "AST constructor recursion depth mismatch".
PARSING = threading.RLock()
#: A cell with more characters holds data, not an answer.
LONGEST_CELL = 200_000


class UnreadableError(ValueError):
    """A file is no notebook of this stage; the message is for the student and the instructor."""


@dataclass(frozen=True)
class Cell:
    """What counts of a cell."""

    kind: str
    id: str
    grade_id: str
    source: str

    @property
    def names(self) -> tuple[str, str]:
        """What it may be known by: nbgrader's name for it first."""
        return self.grade_id, self.id

    @property
    def name(self) -> str:
        """The first of these that there is."""
        return self.id if self.grade_id == "None" else self.grade_id


@dataclass
class Reading:
    """What a notebook holds for the desk.

    Attributes
    ----------
    answers : dict of str to str
        Source of the cell of each exercise that is there.
    steps : list of (str, str)
        In the order of the notebook: an exercise's id and "", or "" and a definition of the
        student's own.
    computed : dict of str to str
        Names that a cell computes, which is not run here, and where.
    refused : dict of str to str
        Exercises whose cell reaches for what it must not use, and what that is.
    references : set of str
        Exercises whose reference the notebook loads.
    notes, flags : dict of str to list of str
        By exercise; under "" what is about all of the notebook.
    texts, predictions : dict of str to str
    """

    answers: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    references: set[str] = field(default_factory=set)
    notes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    flags: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    texts: dict[str, str] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)


def load(path: Path) -> tuple[list[Cell], str]:
    """The cells of a submission, and the SHA-256 of its file.

    ``nbformat`` would mend what students have broken, or raise: this takes what is there.

    Raises
    ------
    UnreadableError
    """
    content = path.read_bytes()
    try:
        notebook = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        empty = not content.strip()
        what = "The file is empty." if empty else f"The file is no notebook ({error})."
        raise UnreadableError(what[:200]) from None
    found = cells_in(notebook)
    if not found:
        raise UnreadableError("The file is no notebook: it has no cells.")
    return found, hashlib.sha256(content).hexdigest()


def cells_in(notebook: object) -> list[Cell]:
    """The cells of what JSON made of a file; none if it is no notebook."""
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        return []
    return [_cell(cell) for cell in cells if isinstance(cell, dict)]


def _cell(cell: dict) -> Cell:
    source = cell.get("source", "")
    if isinstance(source, list):
        source = "".join(map(str, source))
    about = cell.get("metadata")
    grader = about.get("nbgrader") if isinstance(about, dict) else None
    grade_id = grader.get("grade_id") if isinstance(grader, dict) else None
    text = str(source).encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    return Cell(str(cell.get("cell_type")), str(cell.get("id")), str(grade_id), text)


def stage_of(cells: list[Cell]) -> int | None:
    """The stage that most of the exercises belong to, whatever the file is called."""
    found = [
        int(match[1])
        for cell in cells
        for name in {*cell.names}
        if (match := re.fullmatch(r"(?:ex|check|task)-(\d+)-\d+", name))
    ]
    return max(set(found), key=found.count) if found else None


def understand(cells: list[Cell], stage: Stage) -> Reading:
    """Find the answers in a notebook, and what is to be said of it.

    An exercise's cell is the one with nbgrader's name, else with its id, else those that define
    its names. What is there twice counts as its last.
    """
    reading = Reading()
    places = _find(cells, stage, reading)
    release = {source.strip() for source in stage.cells.values()}
    for exercise, found in places.items():
        reading.answers[exercise] = "\n\n".join(plain(cells[place].source) for place in found)
        if len(cells[found[-1]].source) > LONGEST_CELL:
            reading.refused[exercise] = f"its cell has more than {LONGEST_CELL} characters"
    _compare_checks(cells, stage, reading)
    owner = {place: exercise for exercise, found in places.items() for place in found}
    for place, cell in enumerate(cells):
        if cell.kind == "code" and place in owner:
            exercise = owner[place]
            if place == places[exercise][-1]:
                reading.steps.append((exercise, ""))
            if cell.source.strip() not in release:
                _vet_answer(plain(cell.source), exercise, stage, reading)
        elif cell.kind == "code" and cell.source.strip() not in release:
            _own(cell, stage, reading)
        if cell.kind == "code":
            _note_computed(cell, reading)
    shown = {"cells": [{"id": cell.name, "source": cell.source} for cell in cells]}
    reading.texts, reading.predictions = texts(shown), predictions(shown)
    return reading


def plain(source: str) -> str:
    """A cell in plain Python, without its magics; as it is where that does not help."""
    with PARSING:
        return _plain(source)


def _plain(source: str) -> str:
    try:
        ast.parse(source)
        return source
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    try:
        lines = without_magics(source).split("\n")
        kept = "\n".join(line for line in lines if not line.lstrip().startswith("get_ipython()"))
        ast.parse(kept)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    return kept


def parsed(source: str) -> ast.Module:
    """A cell's tree; empty if it is not Python, or too long to be code."""
    try:
        return ast.parse(plain(source)) if len(source) <= LONGEST_CELL else ast.Module([], [])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


# ---------------------------------------------------------------- finding cells


def _find(cells: list[Cell], stage: Stage, reading: Reading) -> dict[str, list[int]]:
    """The places of the cells that answer each exercise."""
    found: dict[str, list[int]] = {}
    code = [place for place, cell in enumerate(cells) if cell.kind == "code"]
    for exercise in stage.exercises.values():
        for by in (0, 1):
            hits = [place for place in code if cells[place].names[by] == exercise.cell("ex")]
            wanted = names_of(exercise.stub)
            if by == 1 and len(hits) > 1:  # all ids may be the same: then the names decide
                hits = [p for p in hits if wanted & _defined(cells[p])] or hits[-1:]
            if hits:
                found[exercise.id] = hits[-1:]
                if len(hits) > 1:
                    reading.notes[exercise.id].append("The cell is there twice: its last counts.")
                break
    used = {place for places in found.values() for place in places}
    released = {source.strip() for source in stage.cells.values()}
    for exercise in stage.exercises.values():
        place = found.get(exercise.id, [None])[0]
        if place is not None and cells[place].source.strip() != exercise.stub.strip():
            continue
        by_name = {
            name: hit
            for hit in code
            if hit not in used and cells[hit].source.strip() not in released
            for name in names_of(exercise.stub) & _defined(cells[hit])
        }
        if by_name:
            found[exercise.id] = sorted(set(by_name.values()))
            used.update(by_name.values())
            why = "lost its id" if place is None else "is as it was given out"
            reading.notes[exercise.id].append(
                f"The exercise's cell {why}: what counts is another cell that defines "
                f"{', '.join(sorted(by_name))}."
            )
    return found


def _defined(cell: Cell) -> set[str]:
    """Functions and classes of a cell, even if it does not parse."""
    tree = parsed(cell.source)
    if tree.body:
        kinds = ast.FunctionDef | ast.ClassDef
        return {node.name for node in tree.body if isinstance(node, kinds)}
    return set(re.findall(r"^(?:def|class)\s+(\w+)", cell.source[:LONGEST_CELL], re.MULTILINE))


def _compare_checks(cells: list[Cell], stage: Stage, reading: Reading) -> None:
    known = {name: cell for cell in cells for name in cell.names}
    for exercise in stage.exercises.values():
        name = exercise.cell("check")
        released = stage.cells[name].strip()
        if name not in known:
            if not any(cell.source.strip() == released for cell in cells):
                reading.notes[exercise.id].append("The check was deleted: the course's counts.")
        elif known[name].source.strip() != released:
            reading.notes[exercise.id].append("The check was changed: the course's counts.")
            for call in _loads(parsed(known[name].source)):
                _note_reference(call, "", stage, reading)


# ---------------------------------------------------------------- the student's own cells


def _own(cell: Cell, stage: Stage, reading: Reading) -> None:
    """Keep the definitions of a cell, and flag what it does beside."""
    tree = parsed(cell.source)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    where = f"cell {cell.id}"
    for call in _loads(tree):
        _note_reference(call, where, stage, reading)
    checks = {exercise.cell("check") for exercise in stage.exercises.values()}
    is_check = any(name in checks for name in cell.names)
    for statement in tree.body:
        refused = forbidden(statement, stage)
        for what in refused if not is_check else []:
            reading.flags[""].append(f"{where} {what}; it was not run")
        for what in suspicious(statement, stage):
            reading.flags[""].append(f"{where} {what}")
        if defines(statement, names) and not refused and not is_check:
            with contextlib.suppress(RecursionError, ValueError):  # nested too deep, too long
                reading.steps.append(("", ast.unparse(statement)))


def _note_computed(cell: Cell, reading: Reading) -> None:
    for statement in parsed(cell.source).body:
        if not defines(statement, ()):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    reading.computed[node.id] = cell.id


# ---------------------------------------------------------------- what an answer must not use


def _vet_answer(source: str, exercise: str, stage: Stage, reading: Reading) -> None:
    tree = parsed(source)
    for call in _loads(tree):
        _note_reference(call, exercise, stage, reading)
    refused = forbidden(tree, stage)
    if refused:
        reading.refused[exercise] = refused[0]
        reading.flags[exercise] += [f"the answer {what}" for what in refused]
    reading.flags[exercise] += [f"the answer {what}" for what in suspicious(tree, stage)]


_LOADS = ("load_reference", "show_reference")


def _loads(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in _LOADS:
            yield node


def _last_name(node: ast.AST) -> str:
    return getattr(node, "attr", getattr(node, "id", ""))


def _note_reference(call: ast.Call, where: str, stage: Stage, reading: Reading) -> None:
    name = _last_name(call.func)
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    asked = given[0].value if given and isinstance(given[0], ast.Constant) else None
    if asked not in stage.exercises:
        reading.flags[""].append(f"calls {name} for exercises that only a run would tell ({where})")
    elif name == "load_reference":
        reading.references.add(asked)
        reading.flags[asked].append("the notebook loads the reference")
    else:
        reading.flags[asked].append("the notebook shows the reference")


#: Where the course keeps what is no student's business: checks, references, marks.
_CLOSED = ("checks", "exercises", "instructor", "tests")
_CLOSED_IMPORT = re.compile(
    rf"(?:from|import) course_utils\.(?:{'|'.join(_CLOSED)})\b"
    rf"|from course_utils import (?:{'|'.join(_CLOSED)})\b|from course_utils import \*"
)

def _uses_of_checks(tree: ast.AST) -> Iterator[int]:
    """The lines in which ``checks`` does more than be asked, as a check cell asks it.

    In a function it has no business: the check would be asked by the answer that it asks.
    """
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, inside = todo.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            if "checks" in _locals(node):
                continue
            inside = True
        call = node.func if isinstance(node, ast.Call) and not inside else None
        if isinstance(call, ast.Attribute) and getattr(call.value, "id", "") == "checks":
            if call.attr.startswith("_"):
                yield node.lineno
            todo += [(part, inside) for part in ast.iter_child_nodes(node) if part is not call]
            continue
        if isinstance(node, ast.Name) and node.id == "checks":
            yield node.lineno
        todo += [(part, inside) for part in ast.iter_child_nodes(node)]


def _locals(function: ast.AST) -> set[str]:
    """Names that are a function's own."""
    shared = {name for node in ast.walk(function) if isinstance(node, ast.Global)
              for name in node.names}
    given = {node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)}
    stored = {node.id for node in ast.walk(function)
              if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return (given | stored) - shared


_CLOSED_NAME = re.compile(rf"course_utils\.(?:{'|'.join(_CLOSED)})[\w.]*")


def forbidden(tree: ast.AST, stage: Stage) -> list[str]:
    """What in an answer, or in a helper, is refused; each in words that follow "the answer"."""
    allowed = stage.imports
    found = [
        f"imports from the course's checks or references ({line})"
        for line in imports_of(tree)
        if _CLOSED_IMPORT.match(line) and line not in allowed
    ]
    found += [f"reaches into the checks (line {line})" for line in _uses_of_checks(tree)]
    for node in ast.walk(tree):
        if getattr(node, "attr", "") in _CLOSED and _last_name(node.value) == "course_utils":
            found.append(f"reaches into course_utils.{node.attr} (line {node.lineno})")
        text = _text(node)
        if text is not None and _CLOSED_NAME.fullmatch(text):
            found.append(f"names {text} (line {node.lineno})")
    return list(dict.fromkeys(found))


def _text(node: ast.AST) -> str | None:
    """A text, also one that is put together from others on the spot."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    parts: list[ast.AST] = []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [node.left, node.right]
    elif isinstance(node, ast.JoinedStr):
        parts = [getattr(value, "value", value) if isinstance(value, ast.FormattedValue) else value
                 for value in node.values]
    elif isinstance(node, ast.Call) and _last_name(node.func) == "join" and node.args:
        given = [getattr(node.func, "value", node), *getattr(node.args[0], "elts", [node])]
        texts = [part.value for part in given if isinstance(part, ast.Constant)]
        whole = len(texts) == len(given) and all(isinstance(part, str) for part in texts)
        return texts[0].join(texts[1:]) if whole else None
    found = [_text(part) for part in parts]
    return "".join(found) if found and None not in found else None


#: Names that no answer needs, and what they are for.
_SUSPICIOUS = {
    "_getframe _current_frames currentframe f_back f_locals f_globals f_code tb_frame gi_frame "
    "getouterframes": "reads the frames of the program",
    "__globals__ __code__ __closure__ __wrapped__ __subclasses__ __builtins__ __self__ "
    "__loader__ __spec__ __mro__ __getattribute__": "reads the insides of functions and classes",
    "get_objects get_referrers get_referents getsource": "looks at what else is in memory",
    "ctypes importlib __import__ run_path run_module pickle marshal": "loads code in another way",
    "modules settrace setprofile addaudithook addsitedir meta_path path_hooks": (
        "changes or reads the program's own tables"
    ),
    "pkgutil resolve_name pydoc mock attrgetter methodcaller get_field": (
        "reaches for names by their text"
    ),
    "get_ipython input_transformers_cleanup input_transformers_post ast_transformers events "
    "set_custom_exc": "changes the notebook's program",
    "subprocess socket fork forkpty popen system kill killpg _exit abort raise_signal "
    "pthread_kill": (
        "starts, stops or calls programs"
    ),
    "Thread Timer setitimer alarm atexit": "goes on beside the answer",
    "labsolutions load_before": "looks for the solutions",
}
_BY_NAME = {name: what for names, what in _SUSPICIOUS.items() for name in names.split()}
_CALLED = {name: "runs text as code" for name in ("exec", "eval", "compile")} | {
    name: "reaches for names by their text"
    for name in ("setattr", "delattr", "globals", "vars", "locals")
}


def suspicious(tree: ast.AST, stage: Stage) -> list[str]:
    """What in a cell is worth a look, in words that follow "the answer"."""
    modules = {names_given(node)[0] for line in stage.imports for node in ast.parse(line).body}
    modules |= {names_given(node)[0] for line in imports_of(tree) for node in ast.parse(line).body}
    found = []
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        name = next((name for name in _names(node) if name in _BY_NAME), "")
        if name and not _harmless(name, node, called):
            found.append(f"{_BY_NAME[name]} ({name}, line {line})")
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in _CALLED:
            found.append(f"{_CALLED[node.func.id]} ({node.func.id}, line {line})")
        elif _gets_by_text(node, called):
            found.append(f"reaches for names by their text (getattr, line {line})")
        elif isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path":
            found.append(f"changes or reads the program's own tables (sys.path, line {line})")
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if getattr(root, "id", "") in modules:
                found.append(f"changes {ast.unparse(node)} (line {line})")
        elif isinstance(node, ast.Constant) and "labsolutions" in str(node.value):
            found.append(f"looks for the solutions (line {line})")
    return list(dict.fromkeys(found))


def _harmless(name: str, node: ast.AST, called: set[ast.AST]) -> bool:
    """Whether a suspicious name stands for something of the answer's own."""
    if name == "modules":  # a network's, not the program's
        return node in called
    return name == "events" and isinstance(node, ast.Name | ast.arg)  # IPython's is an attribute


def _names(node: ast.AST) -> list[str]:
    """The names that a node stands for, also as a text that could become one."""
    if isinstance(node, ast.alias | ast.ImportFrom):
        name = getattr(node, "name", None) or getattr(node, "module", None) or ""
        return [name.split(".")[0], name.split(".")[-1]]
    if isinstance(node, ast.MatchClass):
        return node.kwd_attrs
    text = _text(node)
    if text is not None:
        parts = text.split(".")  # words stand in texts anyway; what is in no word is meant
        return [part for part in parts if "_" in part or not isinstance(node, ast.Constant)]
    return [_last_name(node)]


def _gets_by_text(node: ast.AST, called: set[ast.AST]) -> bool:
    """Whether getattr is asked for a name that only a run would tell, or is handed on."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "getattr":
        return len(node.args) > 1 and not isinstance(node.args[1], ast.Constant)
    return isinstance(node, ast.Name) and node.id == "getattr" and node not in called
