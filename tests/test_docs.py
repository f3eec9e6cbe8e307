"""The documents say what the code does today."""

import ast
import re
import sys

import pytest
from conftest import SCRIPTS, VARIABLES

from common import ROOT
from pulse.contract import read_tables, renewed
from pulse.start import typed

DICTIONARY = (ROOT / "docs" / "KPI_Dictionary.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_tables_of_files_and_columns_are_those_of_tables_toml():
    for path, text in renewed().items():
        assert path.read_text(encoding="utf-8") == text, "run: python -m pulse.contract"
    headings = re.findall(r"^## (\w+)\.csv$", DICTIONARY, flags=re.MULTILINE)
    assert sorted(headings) == sorted(read_tables()), (
        "put a heading ## NAME.csv where it belongs in the dictionary"
    )


def test_the_dictionary_draws_the_segment_grid_as_it_is(analysis):
    rows = re.findall(r"^\| \*\*R (\d)\*\* \| (.+) \|$", DICTIONARY, flags=re.MULTILINE)
    assert {int(score): tuple(names.split(" | ")) for score, names in rows} == analysis.SEGMENTS


def test_readme_shows_what_the_scripts_print(shop):
    folder, printed = shop
    said = "".join(printed[script] for script in SCRIPTS).replace(str(folder), "data")
    for script in SCRIPTS:
        said = said.replace(typed(sys.executable, ROOT / script), f".venv/bin/python {script}")
    assert said in README
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.parametrize(
    "name",
    ["README.md", "data/README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))],
)
def test_links_and_tests_that_a_document_names_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert ((ROOT / name).parent / target).exists(), target
    tests = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").glob("test_*.py"))
    for test in re.findall(r"`(test_\w+)`", text):
        assert f"def {test}(" in tests, test


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_every_requirement_is_locked_with_a_hash(name):
    wanted = "".join((ROOT / f"{each}.txt").read_text() for each in {"requirements", name})
    pins = set(re.findall(r"^([\w-]+==[\w.]+)", wanted.lower(), flags=re.MULTILINE))
    locked = re.split(r"^(?=\S)", (ROOT / f"{name}.lock").read_text(), flags=re.MULTILINE)[1:]
    assert pins <= {entry.split()[0] for entry in locked}
    assert all(" --hash=sha256:" in entry for entry in locked)


def test_env_example_names_every_setting():
    example = re.findall(r"^# (\w+)=", (ROOT / ".env.example").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(example) == sorted(VARIABLES)


def test_no_file_and_no_function_outgrows_its_reader():
    """A script is read in one sitting, a room at a glance, a function without scrolling."""
    limits = {"common.py": 160, **dict.fromkeys(SCRIPTS, 350)}
    for path in (*ROOT.glob("*.py"), *ROOT.glob("pulse/*.py"), *ROOT.glob("pulse/page/*")):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= limits.get(path.name, 260), path.name
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 40, f"{path.name}: {node.name}"
