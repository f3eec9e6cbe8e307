"""pulse/segments.py: the rules of script 2, and who moved; and the segments they give."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pandas as pd
import pytest
from conftest import SCRIPTS, make_orders

from common import ROOT
from pulse.customer_months import MonthEnd, month_rows, write_part
from pulse.months import add_months
from pulse.segments import count_moves, move_table, require_cut_points, require_segments, segment_table

AS_OF = pd.Timestamp("2024-05-01")
ROW = ("A", "A", "B", "B", "B")
GRID = dict.fromkeys(range(1, 6), ROW)
KNOWN = dict.fromkeys("AB", ("who", "what"))


def said(capsys, check, *args) -> str:
    """The sentence with which a check stops."""
    with pytest.raises(SystemExit) as stopped:
        check(*args)
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("Error: ")


# --- the rules ---


def test_the_rules_that_are_shipped_hold(analysis):
    require_segments(analysis.SEGMENTS, analysis.IF_NOT_NEW, analysis.BEST_FIRST)
    require_cut_points(analysis.CUT_POINTS, analysis.SCORES.values())
    assert segment_table(analysis.BEST_FIRST).loc[9].tolist() == [
        "Hibernating",
        10,
        *analysis.BEST_FIRST["Hibernating"],
    ]


@pytest.mark.parametrize(
    ("grid", "sentence"),
    [
        (dict.fromkeys((1, 2, 4, 5), ROW), "the recency score 3, one for each frequency score: it has None."),
        (GRID | {2: ROW[:4]}, "SEGMENTS must have the names of five segments for the recency score 2"),
        (GRID | {2: "Hello"}, "one for each frequency score: it has 'Hello'."),
        (GRID | {2: {*"ABCDE"}}, "SEGMENTS must have the names of five segments for the recency score 2"),
        (GRID | {2: (["A"],) * 5}, "SEGMENTS must have the names of five segments for the recency score 2"),
        ([ROW] * 5, "SEGMENTS must be written in braces, {...: ..., ...}, as it came: it is [('A',"),
        (GRID | {6: ROW}, "SEGMENTS has a row for the recency score 6: scores are 1 to 5, so take it out."),
        (GRID | {"5": ROW}, "SEGMENTS has a row for the recency score '5': scores are 1 to 5"),
        (GRID | {3: None}, "the recency score 3, one for each frequency score: it has None."),
        (GRID | {1: ("A", "A", "B", "B", "Bs")}, "SEGMENTS names the segment 'Bs', which BEST_FIRST does not"),
    ],
)  # fmt: skip
def test_a_grid_that_is_wrong_gets_a_sentence(grid, sentence, capsys):
    assert sentence in said(capsys, require_segments, grid, {"A": "B"}, KNOWN)


@pytest.mark.parametrize("wrong", [None, ("A", "B"), "A"])
def test_a_rule_that_is_no_dictionary_gets_a_sentence(wrong, capsys):
    """BEST_FIRST was a tuple of names once."""
    for place, rule in enumerate(("SEGMENTS", "IF_NOT_NEW", "BEST_FIRST")):
        rules = [GRID, {}, KNOWN]
        rules[place] = wrong
        assert said(capsys, require_segments, *rules).startswith(f"{rule} must be written in braces")
    assert said(capsys, require_cut_points, wrong, ["monetary"]).startswith("CUT_POINTS must be written in braces")


@pytest.mark.parametrize("rule", [{"A": "C"}, {"C": "A"}])
def test_a_segment_for_who_is_not_new_is_known(rule, capsys):
    sentence = said(capsys, require_segments, GRID, rule, KNOWN)
    assert sentence.startswith(
        "IF_NOT_NEW names the segment 'C', which BEST_FIRST does not describe: add it there"
    )


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"C": "who"}, "BEST_FIRST must say of C who they are and what to do, in two texts: it has 'who'."),
        ({"C": ("who",)}, "BEST_FIRST must say of C who they are and what to do"),
        ({"C": ("who", None)}, "BEST_FIRST must say of C who they are and what to do"),
        ({"C": 5}, "BEST_FIRST must say of C who they are and what to do, in two texts: it has 5."),
        ({7: ("who", "what")}, "BEST_FIRST has a segment called 7: a name is a text"),
        ({" ": ("who", "what")}, "BEST_FIRST has a segment called ' ': a name is a text"),
        (
            {"New": ("who", "what")},
            "No segment can be called New: segment_moves.csv has that for who was no customer, so rename it.",
        ),
    ],
)
def test_a_segment_has_two_texts_and_a_name_of_its_own(more, sentence, capsys):
    assert sentence in said(capsys, require_segments, GRID, {}, KNOWN | more)


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ({"recency": (1, 2, 3, 4)}, "CUT_POINTS has thresholds for 'recency', which is not scored: only"),
        ({"frequency": (1, 2, 3)}, "CUT_POINTS for frequency must be four rising numbers"),
        ({"frequency": (1, 2, 2, 3)}, "CUT_POINTS for frequency must be four rising numbers"),
        ({"monetary": (1, 2, 4, 3)}, "CUT_POINTS for monetary must be four rising numbers"),
        ({"monetary": (1, 2, 4, float("nan"))}, "CUT_POINTS for monetary must be four rising numbers"),
        ({"monetary": ("1", "2", "3", "4")}, "CUT_POINTS for monetary must be four rising numbers"),
        ({"monetary": (1, 2, 3, 10**400)}, "CUT_POINTS for monetary must be four rising numbers"),
        ({"monetary": {1, 2, 3, 4}}, "CUT_POINTS for monetary must be four rising numbers"),
        ({"monetary": 5}, "band begin: it has 5."),
    ],
)  # fmt: skip
def test_thresholds_that_are_wrong_get_a_sentence(points, sentence, capsys):
    assert sentence in said(capsys, require_cut_points, points, ("recency_days", "frequency", "monetary"))


def edited(folder: Path, before: str, after: str):
    """Script 2 with other rules at its top, as its user would write them."""
    text = (ROOT / SCRIPTS[1]).read_text(encoding="utf-8")
    assert text.count(before) == 1
    (folder / SCRIPTS[1]).write_text(text.replace(before, after), encoding="utf-8")
    spec = spec_from_file_location("edited", folder / SCRIPTS[1])
    script = module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


NO_POINTS = "CUT_POINTS: dict[str, tuple[float, ...]] = {}"
POINTS = (
    'CUT_POINTS = {"recency_days": (31, 61, 91, 181), "frequency": (2, 3, 4, 5), "monetary": (10, 20, 30, 40)}'
)


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (NO_POINTS, 'CUT_POINTS = {"monetary": (1, 2)}', "CUT_POINTS for monetary must be four rising numbers"),
        (
            '    "Promising": "Potential Loyalists",',
            '    "Promising": "Old",',
            "IF_NOT_NEW names the segment 'Old'",
        ),
    ],
)
def test_rules_are_checked_before_anything_is_read(tmp_path, monkeypatch, capsys, before, after, sentence):
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("sys.argv", [SCRIPTS[1]])
    assert said(capsys, edited(tmp_path, before, after).main).startswith(sentence)
    assert not (tmp_path / "data").exists()


def test_scores_by_ones_own_thresholds(tmp_path):
    """30 days are the last of score 5, 31 the first of 4; so for orders and money from the other end."""
    script = edited(tmp_path, NO_POINTS, POINTS)
    days = {"a": 30, "b": 31, "c": 90, "d": 91, "e": 180, "f": 181}
    rows = [
        (who, AS_OF - pd.Timedelta(days=gone), 9.99 if k else 0.01)
        for n, (who, gone) in enumerate(days.items())
        for k in range(n + 1)
    ]
    rfm = script.rfm_analysis(script.customer_sums(add_months(make_orders(*rows))), AS_OF)
    assert rfm["r_score"].tolist() == [5, 4, 3, 2, 2, 1]
    assert rfm["f_score"].tolist() == [1, 2, 3, 4, 5, 5]
    assert rfm["monetary"].tolist() == [0.01, 10.0, 19.99, 29.98, 39.97, 49.96]
    assert rfm["m_score"].tolist() == [1, 2, 2, 3, 4, 5]
    assert rfm["segment"].tolist()[:2] == ["New Customers", "Potential Loyalists"]


def test_subscribers_of_two_years_are_not_new(analysis):
    """All have as many orders, which is the lowest fifth; two who came last month are new."""
    months = pd.date_range("2022-05-01", periods=24, freq="MS")
    rows = [(f"s{n}", month + pd.Timedelta(days=n), 5.0) for n in range(10) for month in months]
    rows += [("new", "2024-04-25", 5.0), ("newer", "2024-04-26", 5.0)]
    rfm = analysis.rfm_analysis(analysis.customer_sums(add_months(make_orders(*rows))), pd.Timestamp("2024-05-01"))
    assert rfm.loc[["new", "newer"], "segment"].tolist() == ["New Customers"] * 2
    assert not {"New Customers", "Promising"} & set(rfm.drop(["new", "newer"])["segment"])


@pytest.mark.parametrize(
    ("first", "segment"), [("2024-03-02", "Promising"), ("2024-03-01", "Potential Loyalists")]
)
def test_new_is_who_began_within_the_newest_two_recency_bands(tmp_path, first, segment):
    """By thresholds: 61 days back is the third band."""
    script = edited(tmp_path, NO_POINTS, POINTS.replace("(2, 3, 4, 5)", "(3, 4, 5, 6)"))
    orders = add_months(make_orders(("a", first, 5.0), ("a", "2024-03-31", 5.0)))
    rfm = script.rfm_analysis(script.customer_sums(orders), pd.Timestamp("2024-05-01"))
    assert rfm[["r_score", "f_score", "segment"]].values.tolist() == [[4, 1, segment]]


@pytest.mark.parametrize(("began", "segment"), [(40, "Promising"), (41, "Potential Loyalists")])
def test_new_is_who_began_no_further_back_than_the_last_of_two_fifths(analysis, began, segment):
    """Ten customers of two orders each, the last one 10 to 100 days ago: the fourth is the last of score 4."""
    rows = [(f"c{n:02}", AS_OF - pd.Timedelta(days=gone), 5.0) for n in range(1, 11) for gone in (10 * n, 10 * n)]
    rows[5] = ("c03", AS_OF - pd.Timedelta(days=began), 5.0)
    rfm = analysis.rfm_analysis(analysis.customer_sums(add_months(make_orders(*rows))), AS_OF)
    assert rfm.loc["c03", ["recency_days", "r_score", "f_score", "segment"]].tolist() == [30, 4, 1, segment]


# --- moves ---


def test_a_months_end_is_scored_by_the_days_until_then(tmp_path):
    """From 1 January to the end of the month 31 days pass, which by these thresholds is no longer score 5."""
    script = edited(tmp_path, NO_POINTS, POINTS)
    orders = add_months(make_orders(("a", "2024-01-01", 5.0), ("b", "2024-01-02", 7.0), ("b", "2024-02-29", 1.0)))
    write_part(tmp_path, 0, month_rows(orders))
    moves = script.segment_moves(tmp_path, orders["month"].min(), pd.Timestamp("2024-03-15"))
    assert moves.astype({"month": "str"}).values.tolist() == [
        ["2024-01-01", "New", "New Customers", 1, 7.0],
        ["2024-01-01", "New", "Promising", 1, 5.0],
        ["2024-02-01", "New Customers", "Potential Loyalists", 1, 1.0],
        ["2024-02-01", "Promising", "Promising", 1, 0.0],
    ]


def test_moves_are_counted_by_pair_best_first_and_newcomers_last():
    kinds = pd.CategoricalDtype(["Best", "Worst"])
    before = pd.Series(["Worst", "Best", "Best"], [1, 2, 5], dtype=kinds)
    now = pd.Series(["Best", "Best", "Worst", "Worst", "Best"], [1, 2, 3, 4, 5], dtype=kinds)
    net = pd.Series([-5.0, 1.0, 2.0, 3.0, 4.0, 5.005, 99.0]).to_numpy()  # the first is no customer yet
    end = MonthEnd(648, pd.DataFrame(index=range(7)), net)
    moves = move_table({end.month: count_moves(end, before, now)})
    assert moves.astype({"month": "str"}).values.tolist() == [
        ["2024-01-01", "Best", "Best", 2, 7.0],
        ["2024-01-01", "Worst", "Best", 1, 1.0],
        ["2024-01-01", "New", "Worst", 2, 7.0],
    ]
    assert list(move_table({})) == list(moves)
