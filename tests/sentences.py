"""What each text of the dashboard says, from the rows that a choice leaves (a Selection of test_slicers.py)."""

import math
from collections.abc import Callable
from functools import partial

import pandas as pd

NOBODY = "No customers in this choice"
NOT_RUN = "Script 3 has not run"
TOO_EARLY = "Too early: no month after a first order is complete"


def number(value: float, places: int = 0) -> str:
    """Thousands apart; halves are rounded up."""
    return f"{math.floor(round(value * 10**places, 6) + 0.5) / 10**places:,.{places}f}"


def percent(share: float) -> str:
    return f"{number(100 * share, 1)}%"


def count(n: int, thing: str = "customer") -> str:
    return f"{n:,} {thing}" + "s" * int(n != 1)


def name(month: pd.Timestamp, back: int = 0) -> str:
    return f"{month - pd.DateOffset(months=back):%b %Y}"


def known(value) -> bool:
    return value is not None and not pd.isna(value)


# --- the shop, and the changes under the cards ---


def shop_and_day(truth: dict, s) -> str:
    runs = s.files["runs"].set_index("script")
    analysis, churn = runs.loc["2_data_analysis.py"], runs.loc["3_churn_model.py"]
    which = ["as_of", "odd_dates", "orders", "orders_id"]
    assert analysis["state"] == churn["state"] == "complete"
    assert (analysis[which] == churn[which]).all()
    currency = [analysis["currency"]] if known(analysis["currency"]) else []
    month = f"latest complete month {name(s.but('dim_month').last_month)}"
    parts = [analysis["shop"], f"as of {analysis['as_of']:%Y-%m-%d}", *currency, month]
    return " · ".join([*parts, "churn figures of the same orders"])


def latest_month_name(truth: dict, s) -> str:
    return name(s.last_month) if known(s.last_month) else "no complete month"


def changes(base: str, truth: dict, s) -> str:
    if not known(s.last_month):
        return "no month is complete"
    if not known(truth[f"{base}, latest month"](s)):
        return f"none in {name(s.last_month)}"
    said = []
    for before, months in (("month", 1), ("year", 12)):
        change = truth[f"{base}, vs {before} before"](s)
        day = name(s.last_month, months)[: 3 if months == 1 else None]  # the month before needs no year
        sign = "" if not known(change) or abs(change) < 0.0005 else "+" if change > 0 else "-"
        said.append(f"{sign}{percent(abs(change))} on {day}" if known(change) else f"none above 0 in {day}")
    if all(each.startswith("none") for each in said):
        return said[0] + said[1].replace("none above 0 in", " or")
    return ", ".join(said)


# --- a sentence for each page ---


def overview(truth: dict, s) -> str:
    net = truth["Net revenue"](s)
    if not known(net):
        return "No orders in this choice."
    if not known(s.last_month):
        return f"No month of this choice is complete: net revenue is {number(net)} so far."
    latest = s.months_back(0).months
    text = f"Net revenue was {number(latest['net_revenue'].sum())} in {name(s.last_month)}"
    said = []
    for before in ("month", "year"):
        change = truth[f"Net revenue, vs {before} before"](s)
        if known(change):
            said.append(f"{percent(abs(change))} {'below' if change < 0 else 'above'} the {before} before")
    text += ", " * bool(said) + " and ".join(said)
    if latest["refunds"].sum() < 0 < latest["gross_revenue"].sum():
        text += f"; refunds took {percent(-latest['refunds'].sum() / latest['gross_revenue'].sum())}"
    return text + "."


def segments(truth: dict, s) -> str:
    ordered = s.customers.dropna(subset="frequency")
    months = s.but("dim_month").months
    guests = months[months["segment"] == "Guests"]
    if not len(ordered):
        return f"{NOBODY}: guests brought {number(guests['net_revenue'].sum())}." if len(guests) else f"{NOBODY}."
    best = next(each for each in s.files["segments"]["segment"] if each in set(ordered["segment"]))
    everyone = s.but("dim_segment").customers["frequency"].count()
    text = f"{best} are {percent((ordered['segment'] == best).sum() / everyone)} of customers"
    revenue = s.but("dim_month", "dim_segment").months["net_revenue"].sum()
    if revenue > 0:
        text += f" and brought {percent(months.loc[months['segment'] == best, 'net_revenue'].sum() / revenue)}"
        text += " of revenue"
    moved = truth["Customers who moved"](s)
    return text + f"; {count(moved) if moved else 'no customer'} changed segment within a month."


def retention(truth: dict, s) -> str:
    if not known(truth["Customers"](s)):
        return f"{NOBODY}."
    shares = {month: truth[f"Retention, month {month}"](s) for month in (1, 3, 12)}
    if not known(shares[1]):
        return "Too early to say: no month after a first order is complete."
    said = [f"{number(100 * shares[1])} ordered again in the month after"]
    said += [f"{number(100 * shares[n])} in month {n}" for n in (3, 12) if known(shares[n])]
    *first, last = said
    return f"Of each 100 new customers {', '.join(first)}{' and ' * bool(first)}{last}."


def churn(truth: dict, s) -> str:
    if not known(truth["Customers predicted, all"](s)):
        return f"{NOT_RUN}: run 3_churn_model.py."
    predicted = s.customers.dropna(subset="rank")
    if not len(predicted):
        return f"{NOBODY}."
    runs = s.files["runs"].set_index("script")
    days = f"within {runs.loc['3_churn_model.py', 'horizon_days']:.0f} days"
    contacts = truth["Customers worth contacting"](s)
    which = f"{contacts:,} " if contacts > 1 else ""
    advice = "Contacting nobody pays with these costs"
    if contacts:
        advice = f"Contact the first {which}of {count(len(predicted))}: worth "
        advice += f"{number(truth['Campaign profit'](s))} {days}"
    return f"{advice}; {number(predicted['revenue_at_risk'].sum())} of revenue is at risk."


def model(truth: dict, s) -> str:
    right = [percent(truth[each](s)) for each in ("Model accuracy", "Majority baseline", "Recency rule accuracy")]
    text = "Tested on a later window, the model is right for {} of customers; guessing the larger class for {}; "
    return (text + "the recency rule for {}.").format(*right)


def customer(truth: dict, s) -> str:
    months = s.but("dim_month").months
    guests = months.loc[months["segment"] == "Guests", "country"].unique()
    ids = [*s.customers["customer_id"], *(f"guests: {country}" for country in guests)]
    if len(ids) != 1:
        return "Choose one customer." if ids else f"{NOBODY}."
    orders = months["orders"].sum()
    text = f"{ids[0]}: {count(orders, 'order') if orders else 'no completed order'}"
    text += f", net {number(months['net_revenue'].sum(), 2)}"
    for row in s.customers.dropna(subset="last_order_date").to_dict("records"):
        text += f", last on {row['last_order_date']}; {row['segment']}, "
        before = row["previous_segment"]
        same = "as a month before" if before == row["segment"] else f"a month before {before}"
        text += same if known(before) else "new within a month"
        if known(row["churn_probability"]):
            text += f"; churn probability {percent(row['churn_probability'])} ({row['risk_band']})"
    return text + "."


# --- titles ---


def gross_by(column: str, what: str, plural: str, truth: dict, s) -> str:
    if not len(s.drivers):
        return "No orders in this choice"
    unknown = set(s.drivers[column]) == {"Unknown"}
    return f"{plural} are not known" if unknown else f"Gross revenue by {what}"


def net_by(column: str, plural: str, truth: dict, s) -> str:
    if not len(s.months):
        return "No orders in this choice"
    of = s.but("dim_month") if column != "country" else s.but("dim_month", "dim_segment", "dim_customer")
    unknown = {*of.customers[column], *of.months[column]} == {"Unknown"}
    return f"{plural} are not known" if unknown else f"Net revenue by {column.replace('_', ' ')}"


def retention_by(column: str, plural: str, truth: dict, s) -> str:
    ordered = s.customers.dropna(subset="frequency")
    if not len(ordered):
        return NOBODY
    if set(ordered[column]) == {"Unknown"}:
        return f"{plural} are not known"
    early = not known(truth["Retention, month 1"](s))
    return f"Retention by {column.replace('_', ' ')}" + ": too early to say" * early


def retention_curve(truth: dict, s) -> str:
    if not known(truth["Customers"](s)):
        return NOBODY
    early = not known(truth["Retention, month 1"](s))
    return TOO_EARLY if early else "Share that orders, by months since the first order"


def heat_map(truth: dict, s) -> str:
    if not known(truth["Customers"](s)):
        return NOBODY
    if not known(truth["Retention, month 1"](s)):
        return TOO_EARLY
    if s.chosen.get("what_to_show[Shown]") == ["Net revenue"]:
        return "Net revenue of each cohort, of that of its first month"
    return "Share of each cohort that ordered, by month since the first"


def listed(truth: dict, s) -> str:
    if not known(truth["Customers predicted"](s)):
        return NOBODY
    contacts = truth["Customers worth contacting"](s)
    if not contacts:
        return "Contacting nobody pays with these costs"
    return f"Whom to contact, best first: {'500 of ' if contacts > 500 else ''}{count(contacts)}"


def risk_bands(truth: dict, s) -> str:
    return "Customers by risk band" if known(truth["Customers predicted"](s)) else NOBODY


def reasons(truth: dict, s) -> str:
    if not known(truth["Customers predicted"](s)):
        return NOBODY
    some = s.customers["main_reason"].notna().any()
    return "Revenue at risk by main reason" if some else "Nobody in this choice is at risk for a known reason"


def movers(truth: dict, s) -> str:
    if not known(truth["Customers"](s)):
        return NOBODY
    moved = truth["Customers who moved"](s)
    text = f"Who changed segment within a month: {count(moved or 0)}"
    return text if moved else "Nobody changed segment within a month"


def segment_sizes(truth: dict, s) -> str:
    if not len(s.moves):
        return "Segments are known for the last 12 complete months alone"
    return "Customers by segment at each month's end: all customers"


def says(text: str, truth: dict, s) -> str:
    """The same for every choice."""
    return text


SENTENCES: dict[str, Callable] = {
    "Shop and day": shop_and_day,
    "Latest month name": latest_month_name,
    "Insight, overview": overview,
    "Insight, segments": segments,
    "Insight, retention": retention,
    "Insight, churn": churn,
    "Insight, model": model,
    "Insight, customer": customer,
    "Title, by country": partial(net_by, "country", "Countries"),
    "Title, by channel": partial(net_by, "acquisition_channel", "Acquisition channels"),
    "Title, by category": partial(gross_by, "category", "category", "Categories"),
    "Title, by order channel": partial(gross_by, "channel", "order channel", "Order channels"),
    "Title, retention by country": partial(retention_by, "country", "Countries"),
    "Title, retention by channel": partial(retention_by, "acquisition_channel", "Acquisition channels"),
    "Title, retention by first category": partial(retention_by, "first_category", "First categories"),
    "Title, retention curve": retention_curve,
    "Title, heat map": heat_map,
    "Title, repurchase": partial(says, "Share that orders again, by days since: all customers"),
    "Title, list": listed,
    "Title, profit curve": partial(says, "Profit by number contacted"),
    "Title, forecast": partial(says, "Net revenue, forecast and actual: all customers"),
    "Title, risk bands": risk_bands,
    "Title, reasons": reasons,
    "Title, metrics": partial(says, "How good each model is, on a window it had not seen"),
    "Title, calibration": partial(says, "Predicted and observed churn, by tenth of customers"),
    "Title, coefficients": partial(says, "What one step does to the odds of churn, in doublings"),
    "Title, movers": movers,
    "Title, segment sizes": segment_sizes,
}
for base in ("Net revenue", "Completed orders", "Average order value", "Active customers"):
    SENTENCES[f"{base}, changes"] = partial(changes, base)


def sentences(truth: dict[str, Callable]) -> dict[str, Callable]:
    """{measure: what it says of a Selection}, from the figures that `truth` has."""
    return {measure: partial(say, truth) for measure, say in SENTENCES.items()}
