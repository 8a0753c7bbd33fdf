"""The floors of the house, read from the imports with `ast`: docs/architecture.md says why they are as they are.

A module imports only from lower floors; siblings on a floor do not import each other, except inside one package.
Imports inside functions and under TYPE_CHECKING count.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gekeras"
FLOORS = {
    **dict.fromkeys(["config", "files", "formats", "messages"], 0),
    **dict.fromkeys(["images", "models", "operators", "solve", "networks"], 1),
    **dict.fromkeys(["metrics", "perceptual", "plots", "data", "pictures", "generative_encoder"], 2),
    **dict.fromkeys(["training", "restore"], 3),
    **dict.fromkeys(["beam", "evaluation", "importing", "service", "serving"], 4),
    **dict.fromkeys(["layers", "study", "volumes"], 5),
    "cli": 6,
}
ONLY = {
    "solve": {"config"},
    "networks": {"config", "files", "messages"},
}  # stricter than the floor: the solver takes callables
EXEMPT = {"__init__", "_version"}  # the public names (lazily), one constant

CLASSIC = {"tensorflow_addons", "tensorflow_gan"}  # they import on the classic line only
WITHOUT_CLASSIC = set(FLOORS) - {"training"}  # presets, solving, scoring: the current line has neither
HEAVY = CLASSIC | {"tensorflow", "tensorflow_probability", "keras"}  # seconds to import
LIGHT = [
    "cli",
    "config",
    "evaluation",
    "images",
    "networks",
    "restore",
    "serving",
    "study",
    "volumes",
]  # for `--help`, and to check a call

SOURCES = {path: path.read_text(encoding="utf-8") for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {path: ast.parse(source, filename=str(path)) for path, source in SOURCES.items()}


def room_of(path):
    """The table's name of a file: `config.py` -> config, `models/pgan.py` -> models."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def walk(node, functions):
    """Every node below `node`; with `functions` false, only what runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if functions or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from walk(child, functions)


def imports(path, functions=True):
    """The absolute dotted names a file imports, `from a import b` as a.b, relative ones resolved."""
    package = ("gekeras", *path.relative_to(PACKAGE).parent.parts)
    for node in walk(TREES[path], functions):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


def rooms_used(path):
    """The rooms of gekeras a file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("gekeras.")} - EXEMPT - {"__version__"}


def libraries(path, functions=True):
    """The top-level packages a file imports."""
    return {name.split(".")[0] for name in imports(path, functions)}


def offenders(found_in):
    """File -> what `found_in` finds in it, where it finds something."""
    found = ((path.relative_to(PACKAGE).as_posix(), found_in(path)) for path in SOURCES)
    return {name: what for name, what in found if what}


def test_imports_only_from_lower_floors():
    def wrong(path):
        room = room_of(path)
        if room in EXEMPT:
            return []
        used = rooms_used(path) - {room}
        unknown = [f"{name} has no floor" for name in {room, *used} - set(FLOORS)]
        higher = [f"{other} is no lower floor" for other in used & set(FLOORS) if FLOORS[other] >= FLOORS[room]]
        return [*unknown, *higher, *(f"{other} is not for {room}" for other in used - ONLY.get(room, used))]

    assert not offenders(wrong)


def test_addons_and_gan_stay_in_the_classic_line():
    def wrong(path):
        return libraries(path) & CLASSIC if room_of(path) in WITHOUT_CLASSIC else set()

    assert not offenders(wrong)


def module_of(path):
    """The dotted name of a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


@pytest.mark.parametrize("room", LIGHT)
def test_starts_without_tensorflow(room):
    """Followed through module-level imports: none of the modules reached may import TensorFlow or Keras."""
    reached, waiting = set(), {"gekeras", f"gekeras.{room}"}
    while waiting:
        module = waiting.pop()
        reached.add(module)
        assert not libraries(MODULES[module], functions=False) & HEAVY, f"importing gekeras.{room} imports {module}"
        for name in imports(MODULES[module], functions=False):
            parents = [".".join(name.split(".")[:k]) for k in range(1, name.count(".") + 2)]
            waiting |= {parent for parent in parents if parent in MODULES} - reached


def test_files_are_short_and_documented_and_do_not_assert():
    """Library code raises ValueError: `python -O` leaves asserts out."""
    assert not offenders(lambda path: len(SOURCES[path].splitlines()) > 350)
    assert not offenders(lambda path: not ast.get_docstring(TREES[path]))
    assert not offenders(lambda path: [node.lineno for node in ast.walk(TREES[path]) if isinstance(node, ast.Assert)])
