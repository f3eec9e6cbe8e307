"""dashboard.html in a real browser: every figure is pandas', nothing runs that is not ours, all can use it."""

import re
from io import StringIO
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import truth
from conftest import CHOICES, SCRIPTS, load_csv
from dax import split
from pages import ALL_READY, Opened, browser, copy_tables
from report import Chosen, read_report
from shown import show
from star import load_model
from test_slicers import GUESTS, IN_REPORT
from text_fit import reference_labels

from pulse.cells import open_tables
from pulse.dashboard import fill, why_unreadable, write_dashboard

PAGES = ("overview", "segments", "retention", "churn", "model")
IN_ADDRESS = {"acquisition_channel": "channel", "risk_band": "band"}  # the other slicers are as the columns


pytestmark = pytest.mark.slow  # a browser takes its time: .ci/run has them all


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def folder(shop, tmp_path_factory) -> Path:
    """The default shop, with guests."""
    return copy_tables(shop[0], tmp_path_factory.mktemp("guests"), guest_months=pd.read_csv(StringIO(GUESTS)))


@pytest.fixture(scope="module")
def files(folder) -> truth.Shop:
    return truth.Shop(folder)


@pytest.fixture
def view(chromium, folder):
    """The dashboard in a tab; nothing may have gone wrong in it in the end."""
    opened = Opened(chromium, folder)
    yield opened
    assert opened.wrong == []
    opened.tab.close()


def address(choice: dict) -> dict:
    return {IN_ADDRESS.get(name, name): values for name, values in choice.items()}


IN_ORDER = """[...document.querySelectorAll('article.on .plot:not([hidden])')].map(plot =>
    [...plot.querySelectorAll('text, .role-legend-symbol path')].map(each => {
        const {top, left} = each.getBoundingClientRect();
        return [top, left, each.textContent, each.getAttribute('stroke')];
    }).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(each => each.slice(2)))"""  # from above, then from the left


def same(found, expected, where: str) -> None:
    """Texts and lists equal; numbers but for the last digits of a double."""
    if isinstance(expected, list):
        assert len(found) == len(expected), where
        for n, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{where}, {n}")
    elif isinstance(expected, str):
        assert found == expected, where
    elif expected is None:
        assert found == "\u2013", where
    else:
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), where


def compare(parts: dict[str, dict], expected: dict) -> None:
    """Each part of the page that pandas has a figure for."""
    for name, figure in expected.items():
        part = parts[name.removesuffix(" note")]
        if name.endswith(" note"):
            assert part["note"] == figure, name
        else:
            same(part["rows"] if isinstance(figure, list) else part["value"], figure, name)


# --- choices, and Power BI's pages ---

REPORT = {page.name.removesuffix("_and_data_quality"): page for page in read_report().pages}


def chosen_on(page: str, name: str) -> Chosen:
    """What a choice of both dashboards is on a page of Power BI's: of the slicers that it has."""
    on = {field.name for slicer in REPORT[page].slicers for field in slicer.fields("Column")}
    return {split(field): values for field, values in IN_REPORT.get(name, {}).items() if field in on}


def choices_of(page: str) -> list[str]:
    """Those that choose something on a page; ours is of one dimension at a time where it is of retention."""
    most = 1 if page == "retention" else 9
    return ["nothing", *(name for name in CHOICES if 0 < len(chosen_on(page, name)) <= most)]


# --- figures ---


@pytest.mark.parametrize("choice", choices_of("overview"))
def test_each_figure_of_the_overview_is_pandas(view, files, choice):
    choice = CHOICES.get(choice, {})
    compare(view.go("overview", **address(choice)), truth.overview(files, choice))


@pytest.mark.parametrize("choice", choices_of("segments"))
def test_each_figure_of_the_segments_is_pandas(view, files, choice):
    choice = CHOICES.get(choice, {})
    parts, expected = view.go("segments", **address(choice)), truth.segments(files, choice)
    assert {tuple(row) for row in parts["who-moved"]["rows"]} == expected.pop("who-moved")
    compare(parts, expected)
    by_kind = [row[2:4] for row in expected["table"]]
    assert [row[2] for row in parts["shares"]["rows"]] == pytest.approx(
        [share for pair in by_kind for share in pair]
    )


@pytest.mark.parametrize(
    ("by", "values"),
    [
        ("country", []),
        ("country", ["Germany", "Spain"]),
        ("acquisition_channel", ["email"]),
        ("first_category", ["Books"]),
    ],
)
def test_each_figure_of_retention_is_pandas(view, files, by, values):
    parts = view.go("retention", by=by, **{IN_ADDRESS.get(by, by): values})
    expected = truth.retention(files, by, values)
    curves = {
        (name, since): rate
        for name, since, rate, _ in parts["curve"]["rows"]
        if name not in ("All", "Those chosen")
    }
    known = {(name, since): rate for name, since, rate in expected.pop("curve")}
    assert len({name for name, _ in curves}) == min(6, len({name for name, _ in known}))
    assert curves == pytest.approx({key: known[key] for key in curves})
    compare(parts, expected)
    category = values[0] if by == "first_category" else "All"
    rows = load_csv(files.folder / "repurchase.csv").dropna(subset="share")
    rows = rows[rows["first_category"] == category]
    assert [row[2] for row in parts["repurchase"]["rows"]] == pytest.approx(rows["share"].tolist())


@pytest.mark.parametrize("choice", choices_of("churn"))
def test_each_figure_of_churn_is_pandas(view, files, choice):
    choice = CHOICES.get(choice, {})
    parts, expected = view.go("churn", **address(choice)), truth.churn(files, choice)
    worth = expected.pop("worth")
    compare(parts, expected)
    assert parts["list"]["note"] == (f"Worth {worth:,.0f}." if worth else "")
    forecast = load_csv(files.folder / "revenue_forecast.csv").query("part == 'all'")
    assert [row[3] for row in parts["forecast"]["rows"]] == [*forecast["forecast"], *forecast["actual"].dropna()]


@pytest.mark.parametrize("population", ["all", "established"])
def test_each_figure_of_the_model_is_pandas(view, files, population):
    compare(view.go("model", population=population), truth.model(files, population))


# --- Power BI's pages: the same questions, words and figures; parts are called as the visuals there are ---


@pytest.mark.parametrize(("page", "choice"), [(page, name) for page in PAGES for name in choices_of(page)])
def test_both_dashboards_say_the_same(view, folder, page, choice):
    parts, theirs = view.go(page, **address(CHOICES.get(choice, {}))), REPORT[page]
    model, chosen, compared = load_model(folder), chosen_on(page, choice), 0
    if page == "retention":  # one chart with the dimension that is chosen; curves for it too
        by_category = "first_category" in CHOICES.get(choice, {})
        parts["by-category" if by_category else "by-country"] = parts.pop("by-value")
        parts["" if by_category else "repurchase"] = parts.pop("repurchase")
    for visual in theirs.visuals:
        shown = show(read_report(), theirs, visual, model, chosen)
        columns, measures = visual.fields("Column"), visual.fields("Measure")
        title, subtitle = (shown.said(visual.wears(each, "text")) for each in ("title", "subTitle"))
        if visual.name.endswith("_header"):
            assert [view.text(f"#{page} h2"), view.text(f"#{page} .insight")] == [title, subtitle]
            assert view.text("#state") == shown.text(*measures)
        part = parts.get(visual.name.removeprefix(f"{theirs.name}_").replace("_", "-"))
        if not part:
            continue
        compared += 1
        if visual.kind == "cardVisual":
            same(part["value"], shown.figure(*measures), visual.name)
            assert part["title"] == shown.said(visual.says("label", "text", "", "default"))
            labels = [label for _, label, _ in reference_labels(visual, *measures)]
            assert part["note"] == " ".join(shown.text(each) for label in labels for each in label)
            continue
        assert part["title"].startswith(title), visual.name
        assert not subtitle or part["note"] == subtitle, visual.name
        if visual.kind == "clusteredBarChart" and len(measures) == 1:
            (name,), (measure,) = (split(column.name) for column in columns), measures
            cells = {cell[name][0]: shown.figure(measure, cell) for cell in shown.cells(columns)}
            cells = {label: figure for label, figure in cells.items() if figure is not None}
            assert {row[0]: row[1] for row in part["rows"]} == pytest.approx(cells), visual.name
    assert compared >= 8


# --- other costs of a contact ---


def contact_profit(
    rows: pd.DataFrame, contact_cost=1.0, offer_cost=5.0, success_rate=0.1, margin=0.4
) -> pd.Series:
    """What pulse/contacts.py says a contact brings."""
    p, lost = rows["churn_probability"], rows["revenue_if_staying"].where(rows["risk_band"] != "gone", 0)
    saved = (margin * lost - offer_cost).where(lost > 0, 0)
    return p * success_rate * saved - (1 - p) * offer_cost - contact_cost


def set_cost(view: Opened, name: str, value: str) -> dict:
    view.tab.fill(f"#cost-{name}", value)
    view.tab.press(f"#cost-{name}", "Tab")
    return view.read()


def test_other_costs_move_rank_stop_and_worth(view, files):
    view.go("churn", country=["Germany"])
    parts = set_cost(view, "success_rate", "0.3")
    rows = files.predictions.query("country == 'Germany'")
    mine = rows.assign(profit=contact_profit(rows, success_rate=0.3).round(2)).query("profit > 0")
    mine = mine.sort_values(["profit", "customer_id"], ascending=[False, True])
    assert len(mine) > 10
    found = pd.DataFrame(parts["list"]["rows"])
    assert found[1].tolist() == mine["customer_id"].head(500).tolist()
    assert found[0].tolist() == mine["profit"].rank(method="min", ascending=False).head(500).tolist()
    assert found[6].tolist() == pytest.approx(mine["profit"].head(500).tolist(), abs=0.011)
    assert f"{len(mine):,} customers" in parts["list"]["title"]
    assert "success_rate=0.3" in view.tab.url
    view.tab.get_by_role("button", name="Costs as script 3 has them").click()
    compare(view.read(), {"list": truth.churn(files, {"country": ["Germany"]})["list"]})


def test_beyond_5000_customers_worth_and_stop_are_approximate(chromium, folder, tmp_path):
    tables = {
        name: load_csv(folder / f"{name}.csv") for name in ("customers", "rfm_analysis", "churn_predictions")
    }
    twice = {
        name: pd.concat([table, table.assign(customer_id="B" + table["customer_id"])])
        for name, table in tables.items()
    }
    scored = twice["churn_predictions"].sort_values(["contact_profit", "customer_id"], ascending=[False, True])
    scored["rank"] = range(1, len(scored) + 1)
    view = Opened(chromium, copy_tables(folder, tmp_path, **twice | {"churn_predictions": scored}))
    yes = scored[scored["contact"] == "yes"]
    exact = view.go("churn")["list"]
    assert exact["title"].endswith(f"{len(yes):,} customers") and "approximate." in exact["note"]
    assert f"Worth {yes['contact_profit'].sum():,.0f}." in exact["note"]
    assert len(exact["rows"]) == min(500, len(yes))
    found = set_cost(view, "margin", "0.8")["list"]
    profit = contact_profit(scored, margin=0.8)
    many, worth = (
        re.search(r"about ([\d,]+) customers", found["title"]),
        re.search(r"about ([\d,]+) \(approx", found["note"]),
    )
    assert int(many[1].replace(",", "")) == pytest.approx((profit > 0).sum(), rel=0.05)
    assert int(worth[1].replace(",", "")) == pytest.approx(profit[profit > 0].sum(), rel=0.02)
    assert view.wrong == []


def test_the_list_is_sorted_searched_and_taken_away(view, files):
    rows = view.go("churn")["list"]["rows"]
    view.tab.locator("#churn-list").get_by_role("button", name="Customer").click()
    assert [row[1] for row in view.read()["list"]["rows"]] == sorted(row[1] for row in rows)
    view.tab.locator("#churn-list").get_by_role("button", name="Rank").click()
    view.tab.fill("#search", rows[3][1].lower())
    assert view.read()["list"]["rows"] == [row for row in rows if rows[3][1] in row[1]]
    view.tab.fill("#search", "")
    with view.tab.expect_download() as saved:
        view.tab.get_by_role("button", name="Download as CSV").click()
    taken = load_csv(saved.value.path()).rename(columns={"id": "customer_id"})
    expected = files.predictions.query("contact == 'yes'")[["customer_id", "contact_profit", "revenue_at_risk"]]
    found = taken[["customer_id", "profit", "at_risk"]].set_axis(expected.columns, axis=1)
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))


# --- for people ---


def test_a_keyboard_is_enough(view, files):
    view.go("overview")
    keys = view.tab.keyboard

    def tab_to(words: str) -> None:
        for _ in range(40):
            keys.press("Tab")
            if view.tab.evaluate(
                "(document.activeElement.textContent || document.activeElement.value).trim()"
            ).startswith(words):
                return
        raise AssertionError(f"{words} is not reached")

    tab_to("Country")
    keys.press("Enter")
    keys.press("Tab")
    keys.press("Space")
    first = sorted(files.customers["country"].unique())[0]
    compare(view.read(), {"card-net-revenue": truth.overview(files, {"country": [first]})["card-net-revenue"]})
    keys.press("Escape")
    assert view.tab.evaluate("document.activeElement.tagName") == "SUMMARY"
    tab_to("Reset")
    keys.press("Enter")
    compare(view.read(), {"card-net-revenue": truth.overview(files, {})["card-net-revenue"]})
    view.tab.evaluate("document.querySelector('nav a').focus()")
    tab_to("Retention")
    keys.press("Enter")
    view.tab.locator("body[data-ready^=retention]").wait_for()
    view.tab.locator("#retention-heat-map td[tabindex='0']").focus()
    keys.press("ArrowRight")
    assert ", month 2: " in view.text("#tip")


def test_a_choice_stays_over_pages_and_in_the_address(view, files):
    view.go("overview", country=["Spain"])
    view.tab.get_by_role("link", name="Segments").click()
    view.tab.locator("body[data-ready^=segments]").wait_for()
    expected = truth.segments(files, {"country": ["Spain"]})
    compare(view.read(), {"card-customers": expected["card-customers"]})
    view.tab.reload()
    compare(view.read(), {"card-customers": expected["card-customers"]})
    view.tab.go_back()
    compare(view.read(), {"card-net-revenue": truth.overview(files, {"country": ["Spain"]})["card-net-revenue"]})
    view.tab.get_by_role("button", name="Reset all slicers").click()
    assert "Spain" not in view.tab.url


def test_an_address_that_names_what_is_not_there_chooses_nothing(view, files):
    parts = view.go("nowhere", country=["Atlantis", "<b>"], margin=["-1"], by=["x"])
    compare(parts, {"card-net-revenue": truth.overview(files, {})["card-net-revenue"]})


def test_numbers_and_months_are_in_the_language_of_the_browser(chromium, folder):
    view = Opened(chromium, folder, locale="de-DE")
    parts = view.go("overview")
    assert re.fullmatch(r"\d{3}\.\d{3}", parts["card-net-revenue"]["text"])
    assert "Dez. 2025" in parts["revenue-by-month"]["rows"][-1][0]
    assert view.wrong == []


def test_what_a_page_leaves_out_it_says(view):
    view.go("retention", country=["Spain"], segment=["Champions"])
    assert "Left out here: the choice of Segment" in view.text("#retention .left")
    view.go("segments", month=["2025-03-01"])
    assert view.text("#segments .left") == "Left out here: the choice of Month. Segments are of one day."
    view.go("overview", band=["high"], first_category=["Books"])
    assert view.text("#overview .left").strip() == "Left out here: the choice of Risk band, First category."


def test_what_is_clicked_draws_what_its_address_draws(view):
    """Labels and legends in the same order, in the same colours."""
    for page, choice in (("overview", "Hibernating"), ("retention", "Spain"), ("churn", "About to Sleep")):
        view.go(page)
        slicer = view.tab.locator("[data-slicer=segment]:visible, [data-slicer=country]:visible").last
        slicer.locator("summary").click()
        slicer.get_by_role("checkbox", name=choice).check()
        view.tab.locator(ALL_READY).wait_for()
        clicked = view.tab.evaluate(IN_ORDER)
        view.tab.reload()
        view.tab.locator(ALL_READY).wait_for()
        assert view.tab.evaluate(IN_ORDER) == clicked, page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1920])
def test_no_page_is_wider_than_its_window(chromium, folder, scheme, width):
    view = Opened(chromium, folder, color_scheme=scheme, viewport={"width": width, "height": 800})
    for page in PAGES:
        view.go(page)
        assert view.tab.evaluate("document.documentElement.scrollWidth") <= width, page
        drawn = view.tab.evaluate("document.querySelectorAll('article.on .plot svg').length")
        assert drawn == view.tab.evaluate("document.querySelectorAll('article.on .plot:not([hidden])').length")
    assert view.wrong == []


def test_it_prints_five_pages(view):
    view.go("churn")
    view.tab.locator(ALL_READY).wait_for()
    assert len(re.findall(rb"/Type\s*/Page\b", view.tab.pdf(prefer_css_page_size=True))) == len(PAGES)
    view.tab.emulate_media(media="print", color_scheme="dark")
    found = "[...document.querySelectorAll('article')].map(each => getComputedStyle(each).breakBefore)"
    assert view.tab.evaluate(found) == ["auto", "page", "page", "page", "page"]
    assert view.tab.evaluate("getComputedStyle(document.body).color") == "rgb(34, 34, 34)"  # on white paper
    assert view.tab.locator("#churn-list tbody tr:visible").count() == 14


@pytest.mark.parametrize(("name", "value"), [("success_rate", "5"), ("margin", ""), ("contact_cost", "-1")])
def test_a_cost_that_cannot_be_is_told_and_not_used(view, files, name, value):
    before = view.go("churn", **{name: [value]})["list"]
    assert before["note"] == f"Worth {truth.churn(files, {})['worth']:,.0f}."
    assert set_cost(view, name, value)["list"] == before
    said = "from 0 to 1" if name != "contact_cost" else "0 or more"
    assert view.tab.get_by_role("alert").inner_text().endswith(f" has to be {said}: nothing was changed.")


def test_a_printed_page_says_what_it_is_of(view):
    view.go("churn", country=["Spain", "Poland"], month=["2025-03-01"], band=["high"], margin=["0.9"])
    view.tab.locator(ALL_READY).wait_for()
    view.tab.emulate_media(media="print")
    said = [view.text(f"#{page} .chosen") for page in PAGES]
    both = "Country: Spain, Poland"
    assert said[:2] == [f"{both}; Month: Mar 2025", both]
    assert said[3] == f"{both}; Risk band: high; Contact cost: 1; Offer cost: 5; Success rate: 0.1; Margin: 0.9"
    assert said[4] == "Customers tested: all"
    assert [view.text(f"#{page} .paper") for page in PAGES[1:]] == [view.text("#state")] * 4


def test_a_disk_that_is_full_is_no_damaged_file(tmp_path):
    with open_tables(tmp_path, 2, tmp_path) as con, pytest.raises(duckdb.Error) as full:
        con.execute("SET memory_limit = '10MB'; SET max_temp_directory_size = '1MB'")
        con.execute("CREATE TABLE large AS SELECT random() FROM range(10_000_000)")
    with pytest.raises(duckdb.OutOfMemoryException):
        why_unreadable(full.value, SCRIPTS[1])
    with open_tables(tmp_path, 2, tmp_path) as con, pytest.raises(duckdb.Error) as damaged:
        con.execute("SELECT 'spoilt'::DOUBLE").fetchall()
    assert why_unreadable(damaged.value, SCRIPTS[1]) == (
        "Script 2's files cannot be read: run 2_data_analysis.py again."
    )


# --- hostile and hard shops ---

RUNS = "window.ran = true"
HOSTILE = [
    f"</script><script>{RUNS}</script>",
    f"<img src=x onerror='{RUNS}'>",
    f"\"><svg onload='{RUNS}'>",
    "{{SCRIPT}} ${1} \u202egnp.exe\u202c",
    "javascript:" + RUNS,
    "Z" * 10_000,
]


def test_hostile_texts_are_shown_and_never_run(chromium, folder, tmp_path):
    """In every text of every file that an order can bring."""
    tables = {path.stem: load_csv(path) for path in folder.glob("*.csv")}
    customers, texts = tables["customers"], pd.Series(HOSTILE)
    for name in ("country", "acquisition_channel", "first_category", "first_channel"):
        customers[name] = texts.take(customers.index % len(texts)).to_numpy()
    for name in ("country", "channel", "category"):
        tables["revenue_drivers"][name] = texts.take(tables["revenue_drivers"].index % len(texts)).to_numpy()
    tables["cohort_breakdown"]["value"] = texts.take(tables["cohort_breakdown"].index % len(texts)).to_numpy()
    renamed = dict(zip(tables["churn_predictions"]["customer_id"], HOSTILE, strict=False))
    for name in ("customers", "rfm_analysis", "customer_months", "churn_predictions"):
        tables[name]["customer_id"] = tables[name]["customer_id"].replace(renamed)
    for name, column in (
        ("runs", "shop"),
        ("alerts", "sentence"),
        ("data_quality", "check"),
        ("churn_predictions", "main_reason"),
        ("segments", "what_to_do"),
        ("churn_coefficients", "meaning"),
    ):
        tables[name][column] = HOSTILE[0] + HOSTILE[1]
    view = Opened(chromium, copy_tables(folder, tmp_path, **tables))
    for page in PAGES:
        parts = view.go(page, by="first_category")
        assert not view.tab.evaluate("window.ran"), page
        assert parts
        for figure in view.tab.locator("article.on .plot svg, article.on .heat td").all()[:12]:
            figure.hover(force=True)
        assert not view.tab.evaluate("window.ran"), page
    assert [row[1] for row in view.go("churn")["list"]["rows"][: len(HOSTILE)]] == HOSTILE
    assert {row[0] for row in view.go("overview")["revenue-by-country"]["rows"]} == {
        *HOSTILE,
        "Germany",
        "Unknown",
    }
    assert view.wrong == []


MISSING = {  # what is changed, what is said of it, and the pages that show nothing then
    "no file at all": ({}, "Script 2 has not run: run 2_data_analysis.py.", PAGES),
    "script 3 has not run": ({"3": None}, "Script 3 has not run: run 3_churn_model.py.", ["churn"]),
    "script 3 was stopped": ({"3": {"state": "writing"}}, "Script 3 has not finished", ["churn"]),
    "script 2 was stopped": ({"2": {"state": "writing"}}, "Script 2 has not finished", PAGES),
    "other orders": ({"3": {"orders": "5"}}, "of other orders than script 2's", ["churn"]),
}


@pytest.mark.parametrize(("changed", "says", "pages"), MISSING.values(), ids=MISSING)
def test_what_is_missing_is_said_and_nothing_else_shown(chromium, folder, tmp_path, changed, says, pages):
    if changed:
        runs = load_csv(folder / "runs.csv").astype("str").replace("nan", "")
        for number, cells in changed.items():
            row = runs["script"].str.startswith(number)
            runs = (
                runs.assign(**{name: runs[name].mask(row, value) for name, value in cells.items()})
                if cells
                else runs[~row]
            )
        copy_tables(folder, tmp_path, runs=runs)
    else:
        write_dashboard(tmp_path)
    view = Opened(chromium, tmp_path)
    for page in PAGES:
        parts = view.go(page)
        assert (parts == {}) == (page in pages), page
        assert (says in view.text(f"#{page} .insight")) == (page in (*pages, "model")), page
        assert page != "model" or {*parts} <= {"data-quality", "runs"}
    assert says in view.text("#state")
    assert view.wrong == []


@pytest.mark.parametrize(
    ("name", "spoilt"), [("churn_predictions", None), ("rfm_analysis", None), ("campaign", "a\n1,2\n")]
)
def test_a_file_that_is_gone_or_not_as_it_was_written_is_named(chromium, folder, tmp_path, name, spoilt):
    copy_tables(folder, tmp_path)
    (tmp_path / f"{name}.csv").unlink()
    if spoilt:
        (tmp_path / f"{name}.csv").write_text(spoilt)
    write_dashboard(tmp_path)
    view = Opened(chromium, tmp_path)
    view.go("churn")
    says = "files cannot be read: run 3_churn_model.py again" if spoilt else f"{name}.csv is missing: run"
    assert says in view.text("#churn .insight")
    assert view.wrong == []


def without_countries(tables: dict[str, pd.DataFrame]) -> None:
    for name in ("customers", "revenue_drivers", "guest_months"):
        tables[name]["country"] = "Unknown"
    cells = tables["cohort_breakdown"]
    whole = tables["cohort_retention"].assign(dimension="country", value="Unknown")[cells.columns]
    tables["cohort_breakdown"] = pd.concat([whole, cells[cells["dimension"] != "country"]])


def in_its_first_month(tables: dict[str, pd.DataFrame]) -> None:
    first = tables["monthly_kpis"]["month"].min()
    for name in ("monthly_kpis", "customer_months", "revenue_drivers", "guest_months"):
        tables[name] = tables[name][tables[name]["month"] == first].assign(is_complete=False)
        tables[name] = tables[name] if name == "monthly_kpis" else tables[name].drop(columns="is_complete")
    for name in ("cohort_retention", "cohort_breakdown"):
        tables[name] = tables[name][tables[name]["activity_month"] == first].assign(cell_state="in progress")
    for name in ("segment_moves", "revenue_forecast", "alerts"):
        tables[name] = tables[name].iloc[:0]
    tables["repurchase"] = tables["repurchase"].assign(share=None, low=None, high=None)


def with_nobody_to_contact(tables: dict[str, pd.DataFrame]) -> None:
    tables["churn_predictions"]["contact"] = "no"


def with_a_model_that_cannot_rank(tables: dict[str, pd.DataFrame]) -> None:
    with_nobody_to_contact(tables)
    tables["churn_model_metrics"].loc[tables["churn_model_metrics"]["metric"] == "roc_auc", "low"] = 0.4


HARD = [  # a shop, and by page: its sentence's beginning, the titles of some parts
    (without_countries, "overview", "Net revenue was", {"revenue-by-country": "Countries are not known"}),
    (without_countries, "retention", "Of each 100 new", {"by-value": "Countries are not known"}),
    (
        in_its_first_month,
        "overview",
        "No month of this choice is complete",
        {
            "customers-by-month": "Customers by month: no month is complete",
            "changes": "Too early to say what is usual: no month is complete",
        },
    ),
    (
        in_its_first_month,
        "segments",
        "Champions",
        {"sizes": "Segments are known for the last 12 complete months alone"},
    ),
    (
        in_its_first_month,
        "retention",
        "Too early to say",
        {
            "curve": "Too early: no month after a first order is complete",
            "repurchase": "Too early to say who orders again",
            "heat-map": "Too early: no month after a first order is complete",
            "by-value": "Retention by country: too early to say",
            "revenue-per-customer": "Too early: their first month is not complete",
        },
    ),
    (in_its_first_month, "churn", "Contact the first", {"forecast": "No forecast: the shop is too young"}),
    (
        with_nobody_to_contact,
        "churn",
        "Contacting nobody pays",
        {"list": "Contacting nobody pays with these costs"},
    ),
    (
        with_a_model_that_cannot_rank,
        "churn",
        "Contact nobody",
        {"list": "Contact nobody: the model ranks no better than chance"},
    ),
]


@pytest.mark.parametrize(("change", "page", "says", "titles"), HARD)
def test_a_shop_that_has_less_is_told_so(chromium, folder, tmp_path, change, page, says, titles):
    tables = {path.stem: load_csv(path) for path in folder.glob("*.csv")}
    change(tables)
    view = Opened(chromium, copy_tables(folder, tmp_path, **tables))
    parts = view.go(page)
    assert view.text(f"#{page} .insight").startswith(says)
    assert {part: parts[part]["title"] for part in titles} == titles
    if change is in_its_first_month and page == "overview":
        assert parts["card-net-revenue"]["note"] == "no month is complete"
    assert view.wrong == []


def test_countries_beyond_twelve_are_together(chromium, folder, tmp_path):
    customers = load_csv(folder / "customers.csv")
    customers["country"] = [f"Country {n % 500}" if n % 2 else "Spain" for n in customers.index]
    view = Opened(chromium, copy_tables(folder, tmp_path, customers=customers))
    shown = [row[0] for row in view.go("overview")["revenue-by-country"]["rows"]]
    assert len(shown) == 13 and "Other values" in shown and "Spain" in shown
    assert view.wrong == []


# --- the file ---


def test_it_is_one_small_file_and_the_same_again(folder):
    path = folder / "dashboard.html"
    before = path.read_bytes()
    assert len(before) < 3_000_000
    write_dashboard(folder)
    assert path.read_bytes() == before
    assert not [*folder.glob(".*.tmp"), *(folder / ".cache").glob(".*")]


def test_it_allows_no_script_but_its_own(chromium, folder, tmp_path):
    text = (folder / "dashboard.html").read_text(encoding="utf-8")
    (tmp_path / "dashboard.html").write_text(
        text.replace("<header>", f"<header><script>{RUNS}</script>"), encoding="utf-8"
    )
    view = Opened(chromium, tmp_path)
    view.go("overview")
    assert not view.tab.evaluate("window.ran")
    assert any("Content Security Policy" in words for words in view.wrong)


def test_what_a_part_holds_is_not_taken_for_a_part():
    assert fill("a{{A}}b{{B}}c", {"A": "{{B}}", "B": "{{A}}"}) == "a{{B}}b{{A}}c"
