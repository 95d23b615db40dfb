"""How the package is built: imports run downwards, and nobody uses what is another module's own.

A rule takes the modules of a package and returns complaints; none means that it is kept. Each is
shown small packages that it must accept, and some in which it must find something.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import course_utils

PACKAGE = Path(course_utils.__file__).parent

#: The floors, each with its modules and packages. Imports run downwards or stay on their floor.
FLOORS = {
    1: ["settings", "files", "audio", "libraries", "recordings", "plotting", "exercises", "layers",
        "costs", "rates", "transcripts", "listening", "endpoints"],
    2: ["device", "corpora", "runs", "results", "interactive", "checks"],
    3: ["__main__", "programs", "instructor"],
}

#: A longer module holds two things.
LONGEST = 500


@dataclass
class Module:
    """A module of a package; a package's ``__init__`` counts as one, too."""

    name: str
    source: str
    is_package: bool

    def __post_init__(self):
        self.tree = ast.parse(self.source)

    @property
    def floor(self) -> int | None:
        """The package itself lies below all of its parts."""
        _, _, part = self.name.partition(".")
        floors = [floor for floor, parts in FLOORS.items() if part.split(".")[0] in parts]
        if not part:
            return 0
        return floors[0] if floors else None


Modules = dict[str, Module]


def modules_in(package: Path) -> Modules:
    """The modules of a package by name, without its tests."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        if "tests" not in parts:
            name = ".".join(parts[:-1] if is_package else parts)
            found[name] = Module(name, path.read_text(encoding="utf-8"), is_package)
    return found


def imports(module: Module) -> Iterator[tuple[str, str]]:
    """What a module imports, wherever it does so: the full name, and what it is called there."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, name.asname or name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.name.split(".")
                kept = parts[: len(parts) - node.level + module.is_package]
                base = ".".join([*kept, base] if base else kept)
            for name in node.names:
                yield f"{base}.{name.name}", name.asname or name.name


def arrows(modules: Modules) -> dict[str, set[str]]:
    """The modules that each module imports, or imports something from."""
    found: dict[str, set[str]] = {name: set() for name in modules}
    for name, module in modules.items():
        for target, _ in imports(module):
            home = target if target in modules else target.rpartition(".")[0]
            if home in modules and home != name:
                found[name].add(home)
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


# The rules


def no_circles(modules: Modules) -> list[str]:
    targets = arrows(modules)

    def reached(start: str) -> set[str]:
        seen, todo = set(), [start]
        while todo:
            new = targets[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    reach = {name: reached(name) for name in modules}
    circles = {
        tuple(sorted(other for other in reach[name] if name in reach[other]))
        for name in modules
        if name in reach[name]
    }
    return [f"a circle: {' <-> '.join(circle)}" for circle in sorted(circles)]


def imports_run_downwards(modules: Modules) -> list[str]:
    complaints = [f"{name} has no floor" for name in modules if modules[name].floor is None]
    for name, targets in arrows(modules).items():
        for target in sorted(targets):
            own, other = modules[name].floor, modules[target].floor
            if own is not None and other is not None and own < other:
                complaints.append(f"{name} on floor {own} imports {target} on floor {other}")
    return complaints


def private_names_stay_at_home(modules: Modules) -> list[str]:
    complaints = []
    for name, module in modules.items():
        inside = name.partition(".")[0] + "."
        called = {}
        for target, alias in imports(module):
            if target.startswith(inside) and target.rpartition(".")[0] != name:
                called[alias] = target
                if any(map(is_private, target.split("."))):
                    complaints.append(f"{name} imports {target}")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                used = ast.unparse(node.value)
                if any(f"{used}.".startswith(f"{alias}.") for alias in called):
                    complaints.append(f"{name} uses {used}.{node.attr}")
    return complaints


def modules_are_short(modules: Modules) -> list[str]:
    lines = {name: len(module.source.splitlines()) for name, module in modules.items()}
    return [f"{name} has {count} lines" for name, count in lines.items() if count > LONGEST]


Function = ast.FunctionDef | ast.AsyncFunctionDef


def definitions(module: Module) -> Iterator[tuple[str, Function | ast.ClassDef, bool]]:
    """Public functions and classes, and the methods of these: name, node, is it a method."""
    for node in module.tree.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, node, False
            for inner in node.body if isinstance(node, ast.ClassDef) else []:
                if isinstance(inner, Function):
                    yield f"{node.name}.{inner.name}", inner, True


def public_names_are_explained(modules: Modules) -> list[str]:
    return [
        f"{module.name}.{name} has no docstring"
        for module in modules.values()
        for name, node, _ in definitions(module)
        if not node.name.startswith("_") and ast.get_docstring(node) is None
    ]


def parameters_have_types(modules: Modules) -> list[str]:
    complaints = []
    for module in modules.values():
        for name, node, is_method in definitions(module):
            if isinstance(node, ast.ClassDef) or is_private(node.name):
                continue
            given = node.args
            known = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            known += [extra for extra in (given.vararg, given.kwarg) if extra is not None]
            bare = [parameter.arg for parameter in known if parameter.annotation is None]
            if is_method:
                bare = [parameter for parameter in bare if parameter not in ("self", "cls")]
            if bare:
                complaints.append(f"{module.name}.{name}: no type for {', '.join(bare)}")
    return complaints


Rule = Callable[[Modules], list[str]]

RULES: tuple[Rule, ...] = (
    no_circles,
    imports_run_downwards,
    private_names_stay_at_home,
    modules_are_short,
    public_names_are_explained,
    parameters_have_types,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule):
    complaints = rule(modules_in(PACKAGE))
    assert not complaints, "\n".join(complaints)


def test_each_floor_is_lived_on():
    modules = modules_in(PACKAGE)
    assert {module.floor for module in modules.values()} >= {0, 1, 2, 3}


# The test itself


def house(folder: Path, **sources: str) -> Modules:
    """The modules of a made-up package; in a name ``__`` stands for a dot."""
    (folder / "house").mkdir()
    for name, source in {"": "", **sources}.items():
        path = folder.joinpath("house", *filter(None, name.split("__")))
        is_package = not name or any(other.startswith(f"{name}__") for other in sources)
        path = path / "__init__.py" if is_package else path.with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return modules_in(folder / "house")


GOOD = {
    "settings": "_folder = 1\ndef folder(name: str = lambda x: x):\n 'Where.'\n return _folder",
    "plotting": "from house.plotting.base import show",
    "plotting__base": "from house import settings\nsettings.__doc__, settings.folder",
    "checks": "import house\nfrom .plotting import show\nself._own = house.__version__",
    "tests__test_checks": "from house.settings import _folder",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_accepts_a_good_house(rule, tmp_path):
    assert rule(house(tmp_path, **GOOD)) == []


UPWARDS = "house.settings on floor 1 imports house.runs on floor 2"

BROKEN = [
    (no_circles, {"a": "import house.b", "b": "from . import a"}, "house.a <-> house.b"),
    (no_circles, {"a": "def f():\n from house import b", "b": "from .a import c"}, "house.a <->"),
    (no_circles, {"p": "from .b import c", "p__b": "from . import d"}, "house.p <-> house.p.b"),
    (no_circles, {"p": "from .b import *", "p__b": "import house.p"}, "house.p <-> house.p.b"),
    (no_circles, {"a": "from .b import d", "b": "import house.c", "c": "import house.a"}, "<->"),
    (imports_run_downwards, {"settings": "import house.runs", "runs": ""}, UPWARDS),
    (imports_run_downwards, {"settings": "def f():\n from . import runs", "runs": ""}, UPWARDS),
    (imports_run_downwards, {"settings": "from .runs import a", "runs": ""}, UPWARDS),
    (imports_run_downwards, {"": "from house import audio", "audio": ""}, "house on floor 0"),
    (imports_run_downwards, {"attic": ""}, "house.attic has no floor"),
    (private_names_stay_at_home, {"a": "from house.b import _c", "b": ""}, "a imports house.b._c"),
    (private_names_stay_at_home, {"a": "def f():\n from .b import _c", "b": ""}, "house.b._c"),
    (private_names_stay_at_home, {"a": "from . import b\nb._c", "b": ""}, "house.a uses b._c"),
    (private_names_stay_at_home, {"a": "import house.b as d\nd.e._c", "b": ""}, "uses d.e._c"),
    (private_names_stay_at_home, {"a": "import house.b\nhouse.b._c()", "b": ""}, "house.b._c"),
    (private_names_stay_at_home, {"p": "from .b import _c", "p__b": "_c = 1"}, "house.p.b._c"),
    (modules_are_short, {"a": "\n" * 501}, "house.a has 501 lines"),
    (public_names_are_explained, {"a": "def f(): 1"}, "house.a.f has no docstring"),
    (public_names_are_explained, {"a": "class C:\n def f(self): 1"}, "house.a.C.f has no doc"),
    (parameters_have_types, {"a": "def f(x, *y: int): 1"}, "house.a.f: no type for x"),
    (parameters_have_types, {"a": "class C:\n def __init__(self, *, x): 1"}, "no type for x"),
    (parameters_have_types, {"a": "class C:\n @staticmethod\n def f(x): 1"}, "no type for x"),
    (parameters_have_types, {"a": "async def f(x: int, /, **y): 1"}, "house.a.f: no type for y"),
]


@pytest.mark.parametrize(("rule", "sources", "complaint"), BROKEN)
def test_rule_notices(rule, sources, complaint, tmp_path):
    assert complaint in "\n".join(rule(house(tmp_path, **sources)) or ["nothing was noticed"])


def test_every_rule_can_fail():
    assert {rule for rule, _, _ in BROKEN} == set(RULES)
