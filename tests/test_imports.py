"""Who may import whom: the scripts import pulse and common, pulse imports common, and nobody goes in circles.

And an import does nothing: no hook, no signal handler, no environment variable, no thread.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT, SCRIPTS

BY_NAME = ("import_module", "__import__", "find_spec", "run_module")  # functions that import what a text names


# --- the checker ---


def read_sources(root: Path) -> dict[str, str]:
    """{module: its source} of common, pulse and the scripts."""
    paths = (root / "common.py", *sorted((root / "pulse").rglob("*.py")), *sorted(root.glob("[0-9]_*.py")))
    return {module_name(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}


def module_name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_script(module: str) -> bool:
    return module[0].isdigit()


def is_pulse(module: str) -> bool:
    return module.partition(".")[0] == "pulse"


def imports_of(module: str, sources: dict[str, str]) -> set[str]:
    """The modules among `sources` that this one imports: anywhere, in functions and under TYPE_CHECKING too."""
    return {ours for name in named_imports(module, sources) if (ours := owner(name, sources))} - {module}


def named_imports(module: str, sources: dict[str, str]) -> Iterator[str]:
    """What is imported, as written; a name out of a module comes with the module's before it."""
    is_package = any(other.startswith(module + ".") for other in sources)
    for node in ast.walk(ast.parse(sources[module])):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")
            above = above[: len(above) - node.level + is_package] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and called_name(node.func) in BY_NAME:
            yield from (
                arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            )


def called_name(function: ast.expr) -> str:
    return getattr(function, "id", "") or getattr(function, "attr", "")


def owner(name: str, sources: dict[str, str]) -> str | None:
    """The longest part of a dotted name that is a module of ours."""
    parts = name.split(".")
    candidates = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((candidate for candidate in candidates if candidate in sources), None)


def wrong_imports(sources: dict[str, str]) -> list[str]:
    """A sentence for each import in a wrong direction, and one for a circle."""
    graph = {module: imports_of(module, sources) for module in sources}
    wrong = [
        f"{module} imports {other}"
        for module, others in graph.items()
        for other in sorted(others)
        if is_script(other) or (module == "common" and is_pulse(other))
    ]
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        wrong.append(f"a circle: {' imports '.join(reversed(error.args[1]))}")
    return wrong


def in_import_order(sources: dict[str, str]) -> list[str]:
    """All modules but the scripts, each after those that it imports."""
    graph = {module: imports_of(module, sources) for module in sources if not is_script(module)}
    return list(TopologicalSorter(graph).static_order())


SOURCES = read_sources(ROOT)


def test_imports_go_one_way_and_in_no_circle():
    assert wrong_imports(SOURCES) == []


def test_the_checker_sees_every_module():
    assert {f"{name}.py" for name in SOURCES if is_script(name)} == set(SCRIPTS)
    assert sum(map(is_pulse, SOURCES)) == len(list((ROOT / "pulse").rglob("*.py")))
    assert imports_of("pulse.planning", SOURCES) >= {"common", "pulse.columns", "pulse.database", "pulse.ranges"}
    assert "pulse.evaluation" in imports_of("3_churn_model", SOURCES)  # from pulse import evaluation


CLEAN = {
    "common": "import os",
    "pulse": "",
    "pulse.a": "from common import x\nfrom pulse.b import y",
    "pulse.b": "import common",
    "1_script": "import common\nfrom pulse import a",
    "2_script": "import pulse.b",
}


@pytest.mark.parametrize(
    ("module", "line", "says"),
    [
        ("common", "import pulse", "common imports pulse"),
        ("common", "import pulse.a as a", "common imports pulse.a"),
        ("common", "from pulse import b", "common imports pulse.b"),
        ("common", "from pulse.b import y", "common imports pulse.b"),
        ("common", "from pulse import *", "common imports pulse"),
        ("common", "def f():\n    from pulse.b import y", "common imports pulse.b"),
        ("common", "if TYPE_CHECKING:\n    from pulse.b import y", "common imports pulse.b"),
        ("common", "try:\n    import pulse.b\nexcept ImportError:\n    pass", "common imports pulse.b"),
        ("common", "import_module('pulse.b')", "common imports pulse.b"),
        ("common", "import_module('1_script')", "common imports 1_script"),
        ("pulse.b", "importlib.import_module('1_script')", "pulse.b imports 1_script"),
        ("pulse.b", "def f():\n    __import__('2_script')", "pulse.b imports 2_script"),
        ("pulse", "import_module('2_script')", "pulse imports 2_script"),
        ("2_script", "import_module('1_script')", "2_script imports 1_script"),
    ],
)
def test_the_checker_finds_an_import_in_the_wrong_direction(module, line, says):
    assert wrong_imports(CLEAN) == []
    assert says in wrong_imports(CLEAN | {module: f"{CLEAN[module]}\n{line}"})


@pytest.mark.parametrize(
    "line",
    [
        *("from pulse.a import x", "from pulse import a", "import pulse.a", "from . import a", "from .a import x"),
        *("def f():\n    from pulse import a", "if TYPE_CHECKING:\n    from pulse.a import x"),
    ],
)
def test_the_checker_finds_a_circle(line):
    (found,) = wrong_imports(CLEAN | {"pulse.b": f"{CLEAN['pulse.b']}\n{line}"})
    circle = found.removeprefix("a circle: ").split(" imports ")
    assert circle in (["pulse.a", "pulse.b", "pulse.a"], ["pulse.b", "pulse.a", "pulse.b"])


def test_the_checker_finds_a_circle_of_three_and_one_through_the_package():
    three = {"pulse.b": "import pulse.c", "pulse.c": "def f():\n    from pulse.a import x"}
    (found,) = wrong_imports(CLEAN | three)
    assert sorted(set(found.removeprefix("a circle: ").split(" imports "))) == ["pulse.a", "pulse.b", "pulse.c"]
    (found,) = wrong_imports(CLEAN | {"pulse": "from . import b", "pulse.b": "import pulse"})
    assert sorted(set(found.removeprefix("a circle: ").split(" imports "))) == ["pulse", "pulse.b"]


def test_the_checker_lets_other_packages_be():
    other = "import pulse_of_others, commonly\nfrom pulsejet import common\nimport_module('seaborn')"
    assert wrong_imports(CLEAN | {"common": f"{other}\nprint('1_script')"}) == []


# --- an import does nothing ---

PROBE = """
import importlib, json, os, signal, sys, threading

def state():
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return {
        "sys.excepthook": sys.excepthook,
        "signal handlers": handlers,
        "os.environ": dict(os.environ),
        "threads": threading.enumerate(),
    }

changed = {}
for name in sys.argv[1:]:
    before = state()
    importlib.import_module(name)
    after = state()
    changed[name] = [part for part in before if after[part] != before[part]]
print(json.dumps(changed))
"""


def changes_at_import(*modules: str, folder: Path = ROOT) -> dict[str, list[str]]:
    """{module: what its import changes}, imported in this order in one fresh process that sees the folder."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *modules], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    *said, answer = done.stdout.splitlines()
    assert said == []
    return {name: changed for name, changed in json.loads(answer).items() if changed}


def test_importing_common_and_pulse_changes_nothing():
    """Each is imported for the first time here, after those that it needs."""
    assert changes_at_import(*in_import_order(SOURCES)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("module", [name for name in SOURCES if not is_script(name)])
def test_importing_one_module_alone_changes_nothing(module):
    assert changes_at_import(module) == {}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sys.excepthook = print", "sys.excepthook"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "signal handlers"),
        ("signal.signal(signal.SIGINT, lambda *_: None)", "signal handlers"),
        ("os.environ['MONGO_DB'] = 'x'", "os.environ"),
        ("os.environ.pop('PATH')", "os.environ"),
        ("threading.Thread(target=time.sleep, args=(0.5,)).start()", "threads"),
    ],
)
def test_the_probe_finds_what_an_import_changes(tmp_path, line, says):
    (tmp_path / "quiet.py").write_text("x = 1")
    (tmp_path / "loud.py").write_text(f"import os, signal, sys, threading, time\n{line}")
    assert changes_at_import("quiet", "loud", folder=tmp_path) == {"loud": [says]}
