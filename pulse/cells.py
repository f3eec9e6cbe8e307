"""What the dashboard's figures are added up from: cells of the CSV files, few enough for one page at any size.

A table is {column: list}. Money is in the currency's smallest unit, so that sums are exact. The same files give
the same cells.
"""

from datetime import date
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulse.contract import read_tables
from pulse.customer_months import DIALECT, MEMORY_MB
from pulse.dimensions import OTHER, fold_values

if TYPE_CHECKING:  # slow to import
    from duckdb import DuckDBPyConnection

Table = dict[str, list]

MOST_LISTED = 5_000  # customers in the list; of more the LISTED best, and bins of all
LISTED = 500
MOST_BINS = 30_000
COHORTS = 24  # the latest, and months of each, in the heat map
NO_ORDER, GUESTS = "No order yet", "Guests"  # segments beside those of segments.csv, as Power BI's pages say it
KINDS = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "date": "DATE", "boolean": "BOOLEAN"}
WHO = "country, channel, segment"  # the slicers of a customer
# country, channel and category with few customers or little revenue are folded into OTHER
COUNTED = {
    "country": "SELECT country, count(r.customer_id) FROM customers LEFT JOIN rfm_analysis r USING (customer_id) "
    "GROUP BY 1 UNION ALL SELECT country, 0 FROM guest_months UNION ALL SELECT country, 0 FROM revenue_drivers",
    "channel": "SELECT acquisition_channel, count(r.customer_id) FROM customers "
    "LEFT JOIN rfm_analysis r USING (customer_id) GROUP BY 1",
    "category": "SELECT category, sum(revenue) FROM revenue_drivers GROUP BY 1",
    "order_channel": "SELECT channel, sum(revenue) FROM revenue_drivers GROUP BY 1",
}
HOME = f"""
CREATE TABLE home AS
SELECT customer_id, cohort_month, fold_country.shown AS country, fold_channel.shown AS channel,
    coalesce(r.segment, '{NO_ORDER}') AS segment, previous_segment AS previous, r_score AS r, f_score AS f,
    frequency, recency_days, monetary
FROM customers c LEFT JOIN rfm_analysis r USING (customer_id)
JOIN fold_country ON c.country = fold_country.value
JOIN fold_channel ON c.acquisition_channel = fold_channel.value
"""
COHORT_CELLS = """
CREATE TABLE cohort_cells AS
SELECT dimension, value, cohort_month AS cohort, months_since_first AS since, cohort_size AS customers,
    active_customers AS active, net_revenue AS net, cell_state = 'complete' AS complete,
    sum(net_revenue) OVER (PARTITION BY dimension, value, cohort_month ORDER BY months_since_first) AS so_far
FROM (SELECT 'all' AS dimension, 'All' AS value, * FROM cohort_retention
    UNION ALL BY NAME FROM cohort_breakdown)
"""
SUMS = "sum(orders) AS orders, money(sum(gross_revenue)) AS gross, money(sum(refunds)) AS refunds"
ANALYSIS = {  # table of the page: how it comes out of script 2's files
    "kpis": "SELECT month, is_complete FROM monthly_kpis",
    "months": f"""SELECT month, {WHO}, {SUMS}, count_if(orders > 0) AS active,
            count_if(orders > 0 AND month = cohort_month) AS new
        FROM customer_months JOIN home USING (customer_id) GROUP BY ALL
        UNION ALL BY NAME SELECT month, shown AS country, '{GUESTS}' AS channel, '{GUESTS}' AS segment, {SUMS},
            0 AS active, 0 AS new
        FROM guest_months g JOIN fold_country ON g.country = value GROUP BY ALL""",
    **{
        name: f"""SELECT month, fold_country.shown AS country, f.shown AS value, money(sum(revenue)) AS revenue
        FROM revenue_drivers d JOIN fold_country ON d.country = fold_country.value
        JOIN fold_{fold} f ON d.{column} = f.value GROUP BY ALL"""
        for name, fold, column in (
            ("categories", "category", "category"),
            ("order_channels", "order_channel", "channel"),
        )
    },
    "people": f"""SELECT {WHO}, r, f, count(*) AS customers, count_if(frequency > 1) AS repeated,
            sum(recency_days) AS recency, sum(frequency) AS orders, money(sum(monetary)) AS monetary
        FROM home WHERE frequency > 0 GROUP BY ALL""",
    "moves": f"SELECT {WHO}, previous, count(*) AS customers FROM home WHERE previous <> segment GROUP BY ALL",
    "segments": "SELECT segment_order, segment, meaning, what_to_do FROM segments",
    "sizes": "SELECT month, to_segment AS segment, sum(customers) AS customers FROM segment_moves GROUP BY ALL",
    "cohort_sizes": "SELECT dimension, value, sum(customers) AS customers FROM cohort_cells WHERE since = 0 "
    "GROUP BY ALL",
    "curves": """SELECT dimension, value, since, sum(customers) AS customers, sum(active) AS active,
            money(sum(so_far)) AS so_far
        FROM cohort_cells WHERE complete GROUP BY ALL""",
    "heat": f"""SELECT dimension, value, cohort, since, customers, active, money(net) AS net
        FROM cohort_cells WHERE complete AND since <= {COHORTS} AND cohort IN (SELECT DISTINCT cohort
            FROM cohort_cells WHERE complete AND since > 0 ORDER BY 1 DESC LIMIT {COHORTS})""",
    "repurchase": "SELECT order_number, first_category, within_days, orders, share, low, high FROM repurchase",
    "alerts": "SELECT row_number() OVER () AS place, state, sentence FROM alerts",
    "quality": 'SELECT row_number() OVER () AS place, "check", status, rows, money(amount) AS amount '
    "FROM data_quality",
}
MODEL = {  # out of script 3's, by themselves
    "metrics": "SELECT row_number() OVER () AS place, model, population, metric, value, low, high "
    "FROM churn_model_metrics",
    "calibration": "SELECT bin, customers, mean_predicted, observed_rate FROM churn_calibration",
    "coefficients": "SELECT row_number() OVER () AS place, meaning, odds_ratio, low, high FROM churn_coefficients",
    "profit_curve": "SELECT customers_contacted, money(expected_profit) AS profit, is_best "
    "FROM churn_profit_curve",
    "campaign": "SELECT * FROM campaign",
    "forecast": """SELECT window_start, window_end, money(forecast) AS forecast, money(low) AS low,
            money(high) AS high, money(actual) AS actual
        FROM revenue_forecast WHERE part = 'all'""",
}
SCORED = "(SELECT * EXCLUDE (segment) FROM churn_predictions) p JOIN home USING (customer_id)"
WON = "if(risk_band = 'gone', 0, churn_probability * revenue_if_staying)"  # at risk, before it was rounded
CHURN = {  # out of both
    "risks": f"""SELECT {WHO}, risk_band AS band, main_reason AS reason, contact, count(*) AS customers,
            money(sum(expected_revenue)) AS expected, money(sum(revenue_at_risk)) AS at_risk,
            money(sum(contact_profit)) AS profit
        FROM {SCORED} GROUP BY ALL""",
    "list": f"""SELECT rank, customer_id AS id, {WHO}, risk_band AS band, churn_probability AS probability,
            money(revenue_if_staying) AS staying, money(revenue_at_risk) AS at_risk,
            money(contact_profit) AS profit, contact, main_reason AS reason, second_reason AS second
        FROM {SCORED} WHERE rank <= $listed""",
    "bins": f"""SELECT {WHO}, risk_band AS band, count(*) AS customers,
            round(sum(churn_probability), 6) AS probability, money(sum({WON})) AS at_risk
        FROM {SCORED} WHERE risk_band <> 'gone'
        GROUP BY {WHO}, band, floor($fine * churn_probability), floor($fine * ln(greatest({WON}, 0.01)))""",
}


def open_tables(folder: Path, places: int, scratch: Path) -> "DuckDBPyConnection":
    """The folder's CSV files as views by their names; money(x) is an amount in units of so many decimals."""
    import duckdb

    config: dict = {"memory_limit": f"{MEMORY_MB}MB", "threads": 2, "temp_directory": str(scratch)}
    con = duckdb.connect(config=config)
    con.execute("SET enable_progress_bar = false")
    con.execute(f"CREATE MACRO money(x) AS round(x * 1e{places})")
    for name, table in read_tables().items():
        if (path := folder / f"{name}.csv").exists():
            columns = {column: KINDS[text.kind] for column, text in table["columns"].items()}
            con.read_csv(escape(str(path)), columns=columns, **DIALECT).create_view(name)
    return con


def analysis_cells(con: "DuckDBPyConnection") -> dict[str, Table]:
    """The tables of ANALYSIS, and slicers: the values of country, channel and segment, in the order shown."""
    slicers = {name: fold(con, name, counts) for name, counts in COUNTED.items()}
    con.execute(HOME)
    con.execute(COHORT_CELLS)
    tables = {name: read(con, query) for name, query in ANALYSIS.items()}
    found = {*tables["months"]["segment"], *tables["people"]["segment"]}
    segments = [*tables["segments"]["segment"], NO_ORDER, GUESTS]
    guests = [GUESTS] if GUESTS in found else []
    return tables | {
        "slicers": {
            "country": slicers["country"],
            "channel": slicers["channel"] + guests,
            "segment": [name for name in segments if name in found],
        }
    }


def fold(con: "DuckDBPyConnection", name: str, counts: str) -> list[str]:
    """Make the table fold_<name> (value, shown) of a query's values and counts, the small ones as OTHER; returns
    what is shown, by the alphabet."""
    found = con.sql(counts).df().set_axis(["value", "n"], axis=1).groupby("value")["n"].sum()
    shown = fold_values(found).rename("shown").rename_axis("value").reset_index()
    con.register("folded", shown)
    con.execute(f"CREATE TABLE fold_{name} AS FROM folded")
    return sorted({*shown["shown"]}, key=lambda text: (text == OTHER, text))


def churn_cells(con: "DuckDBPyConnection") -> dict[str, Table]:
    """The tables of MODEL and CHURN, after analysis_cells; bins of a large shop alone, MOST_BINS at most."""
    (customers,) = con.sql("SELECT count(*) FROM churn_predictions").fetchall()[0]
    large = customers > MOST_LISTED
    tables = {name: read(con, query) for name, query in MODEL.items()} | {
        "risks": read(con, CHURN["risks"]),
        "list": read(con, CHURN["list"].replace("$listed", f"{LISTED if large else customers}")),
    }
    for fine in (40, 20, 10, 5, 2) if large else ():
        tables["bins"] = read(con, CHURN["bins"].replace("$fine", f"{fine}"))
        if len(tables["bins"]["customers"]) <= MOST_BINS:
            break
    return tables


def read(con: "DuckDBPyConnection", query: str) -> Table:
    """The query's columns, its rows in order of the first of them."""
    found = con.sql(f"{query} ORDER BY ALL")
    rows = found.fetchall()
    columns = zip(*rows, strict=True) if rows else ([] for _ in found.columns)
    return {name: [*map(plain, column)] for name, column in zip(found.columns, columns, strict=True)}


def plain(value: Any) -> Any:
    """The value as JSON has it: a day as text, a whole number without .0."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value.isoformat() if isinstance(value, date) else value
