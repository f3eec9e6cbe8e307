"""Whoever sees little, or not all colours, can read both dashboards."""

import json
import re
from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np
import pytest
from conftest import ROOT
from star import MEASURES

from pulse.specs import MANY

REPORT = ROOT / "powerbi" / "ECommercePulse.Report"
THEME = json.loads((REPORT / "StaticResources" / "RegisteredResources" / "Pulse.json").read_text(encoding="utf-8"))
STYLES = THEME["visualStyles"]
STYLE = (ROOT / "pulse" / "page" / "style.css").read_text(encoding="utf-8")  # of dashboard.html
PAGE = STYLES["page"]["*"]["background"][0]["color"]["solid"]["color"]
VISUALS = sorted(REPORT.rglob("visual.json"))
# properties that colour a text, what it stands on, and data (not text: borders, gridlines)
TEXT = re.compile(r"font\w*color|labelcolor|titlecolor|foreground", flags=re.IGNORECASE)
GROUND = re.compile(r"back(ground)?\w*color|background", flags=re.IGNORECASE)
DATA = re.compile(r"(dataPoint|lineStyles|error|trend|\w+Line)\.(\w*fill|\w*color)", flags=re.IGNORECASE)
# How an eye without one kind of cone sees linear RGB: Machado, Oliveira and Fernandes, A Physiologically-based
# Model for Simulation of Color Vision Deficiency, IEEE TVCG 15 (2009), at full severity.
EYES = {
    "all cones": np.eye(3),
    "no long": [(0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)],
    "no medium": [(0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)],
    "no short": [(1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)],
}
XYZ = np.array([(0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)])  # of linear sRGB


def channels(colour: str) -> np.ndarray:
    return np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])


def linear(colour: str) -> np.ndarray:
    part = channels(colour)
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Contrast ratio of relative luminances: https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    dark, light = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(colour: str, eye) -> np.ndarray:
    """CIELAB under D65: of two colours 2 apart, a trained eye can just say that they differ."""
    x = XYZ @ np.clip(eye @ linear(colour), 0, 1) / [0.95047, 1, 1.08883]
    x = np.where(x > 0.008856, np.cbrt(x), 7.787 * x + 16 / 116)
    return np.array([116 * x[1] - 16, 500 * (x[0] - x[1]), 200 * (x[1] - x[2])])


def in_style(name: str, scheme: int = 0) -> str:
    """A colour of dashboard.html: 0 in the light, 1 in the dark."""
    return re.findall(rf"--{name}: (#\w{{6}})", STYLE)[scheme]


NAMES = [colour[6:-1] for colour in MANY]  # var(--name)
LINES, LINES_IN_THE_DARK = ([in_style(name, scheme) for name in NAMES] for scheme in (0, 1))


def literals(node) -> list[str]:
    """Every colour said below a JSON node: one, the stops of a gradient, those of a rule or of a measure."""
    if isinstance(node, str):
        return re.findall(r"^'?(#[0-9A-Fa-f]{6})'?$", node)
    if isinstance(node, list):
        return [colour for part in node for colour in literals(part)]
    if not isinstance(node, dict):
        return []
    if "Measure" in node:
        return re.findall(r'"(#[0-9A-Fa-f]{6})"', MEASURES[node["Measure"]["Property"]].source)
    return [colour for part in node.values() for colour in literals(part)]


def between(stops: list[str]) -> list[str]:
    """The stops of a gradient, and ten steps from each to the next."""
    steps = [
        channels(one) + (channels(other) - channels(one)) * at / 10
        for one, other in pairwise(stops)
        for at in range(11)
    ]
    return ["#" + "".join(f"{round(255 * part):02X}" for part in step) for step in steps] or stops


def legible(objects: dict[str, list[dict]]) -> Iterator[tuple[str, list[str], str]]:
    """(formatting object, the colours that a text may have, what it stands on), for each text or ground said."""
    whole = [colour for entry in objects.get("background", []) for colour in literals(entry.get("color"))]
    for thing, entries in objects.items():
        for entry in entries:
            said = {name: found for name, value in entry.items() if (found := literals(value))}
            texts = [found for name, found in said.items() if TEXT.search(name)]
            texts += [said["color"]] if thing in ("labels", "categoryLabels") and "color" in said else []
            grounds = [step for name, found in said.items() if GROUND.search(name) for step in between(found)]
            for text in texts or ([[THEME["foreground"]]] if grounds else []):
                for ground in grounds or [*whole, THEME["background"], PAGE]:
                    yield thing, text, ground


def of_visual(path) -> dict[str, list[dict]]:
    """The properties of its formatting objects, those of one selector together."""
    visual = json.loads(path.read_text(encoding="utf-8"))["visual"]
    objects: dict[str, dict[str, dict]] = {}
    for part in ("objects", "visualContainerObjects"):
        for thing, entries in visual.get(part, {}).items():
            for entry in entries:
                at = json.dumps(entry.get("selector"), sort_keys=True)
                objects.setdefault(thing, {}).setdefault(at, {}).update(entry.get("properties", {}))
    for at, entry in objects.get("fill", {}).items():  # of a button: what its text stands on, state by state
        if at in objects.get("text", {}) and "fillColor" in entry:
            objects["text"][at]["background"] = entry["fillColor"]
    return {thing: [*entries.values()] for thing, entries in objects.items()}


def test_contrast_is_that_of_wcag_and_the_colours_before_fail():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.005)
    for colour, ratio in (("#E69F00", 2.25), ("#56B4E9", 2.31), ("#9AA0A6", 2.64)):
        assert contrast(colour, "#FFFFFF") == pytest.approx(ratio, abs=0.005)
    assert contrast("#222222", "#0072B2") == pytest.approx(3.07, abs=0.005)  # a heat map's dark end


def test_colours_of_data_stand_out():
    """3:1 for what is not text: https://www.w3.org/TR/WCAG22/#non-text-contrast."""
    for colour in (*THEME["dataColors"], *(THEME[name] for name in ("good", "neutral", "bad", "tableAccent"))):
        assert contrast(colour, THEME["background"]) >= 3, colour


@pytest.mark.parametrize("eye", EYES)
def test_colours_of_data_differ_whatever_cone_is_missing(eye):
    for palette in (THEME["dataColors"], LINES, LINES_IN_THE_DARK):
        for one, other in combinations(palette, 2):
            assert np.linalg.norm(lab(one, EYES[eye]) - lab(other, EYES[eye])) > 15, (one, other)


def test_both_dashboards_have_one_palette():
    assert THEME["dataColors"][: len(MANY)] == LINES
    assert all(contrast(colour, in_style("panel", 1)) >= 3 for colour in LINES_IN_THE_DARK)


def test_every_text_of_the_theme_can_be_read():
    """4.5:1 for text, https://www.w3.org/TR/WCAG22/#contrast-minimum: on a visual, and on the page behind it."""
    texts = {each["color"] for each in THEME["textClasses"].values()}
    texts |= {value for name, value in THEME.items() if name.startswith("foreground") or "yperlink" in name}
    for text in texts:
        for ground in (THEME["background"], PAGE):
            assert contrast(text, ground) >= 4.5, (text, ground)
    things = set()
    for kind, presets in STYLES.items():
        for thing, (text,), ground in legible(presets["*"]):
            assert contrast(text, ground) >= 4.5, (kind, thing, text, ground)
            things.add(thing)
    assert {"title", "items", "value", "columnHeaders", "values", "categoryAxis", "filterCard"} <= things


def test_every_colour_that_a_visual_says_itself_can_be_read():
    """All along the colours of a heat map, too; where its text has several colours, by one of them."""
    found = set()
    for path in VISUALS:
        objects = of_visual(path)
        for thing, texts, ground in legible(objects):
            assert max(contrast(text, ground) for text in texts) >= 4.5, (path.parent.name, thing, texts, ground)
            found.add(path.parent.name)
        for thing, entry in ((thing, entry) for thing, entries in objects.items() for entry in entries):
            for colour in (
                each for name in entry if DATA.fullmatch(f"{thing}.{name}") for each in literals(entry[name])
            ):
                assert contrast(colour, THEME["background"]) >= 3, (path.parent.name, thing, colour)
    assert "retention_heat_map" in found
