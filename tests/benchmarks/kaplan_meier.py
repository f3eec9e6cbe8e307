"""How soon CDNOW's customers come back: pulse/repurchase.py beside the library lifelines.

    python tests/benchmarks/kaplan_meier.py write FOLDER      our estimates and the log, in the project's venv
    python tests/benchmarks/kaplan_meier.py compare FOLDER    where lifelines is installed: it pins pandas below 3

`compare` counts the days from the log itself, and ends with exit code 1 where an estimate or a limit is over
1e-9 away.
"""

import shutil
import sys
from pathlib import Path

import pandas as pd

AS_OF = pd.Timestamp("1998-07-01")  # the midnight after the last order


def write(folder: Path) -> None:
    """ours.csv: order_number, day, share, low, high, median_days; and log.csv, the orders."""
    sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]
    from conftest import find_log

    from pulse.repurchase import gap_sums, repurchase, return_curve

    log = find_log(folder)
    if not log:
        print("skipped: the CDNOW log is not here")
        return
    orders = pd.read_csv(log, dtype={"customer_id": "category"}, parse_dates=["order_date"])
    sums = gap_sums(orders.assign(completed=True), pd.Series(dtype="str"), AS_OF)
    table = repurchase(sums).query("first_category == 'All'").drop_duplicates("order_number")
    parts = []
    for number, median in enumerate(table["median_days"], start=1):
        curve = return_curve(sums.reset_index().query("order_number == @number"))
        parts.append(curve.rename_axis("day").reset_index().assign(order_number=number, median_days=median))
    pd.concat(parts).to_csv(folder / "ours.csv", index=False)
    shutil.copyfile(log, folder / "log.csv")


def compare(folder: Path) -> None:
    """Print the largest difference of estimates and limits at any day, for each order_number."""
    from lifelines import KaplanMeierFitter

    if not (folder / "ours.csv").exists():
        return
    log = pd.read_csv(folder / "log.csv", dtype={"customer_id": str}, parse_dates=["order_date"])
    log = log.sort_values(["customer_id", "order_date"])
    by_customer = log.groupby("customer_id")["order_date"]
    later, number = by_customer.shift(-1), (by_customer.cumcount() + 1).clip(upper=4)
    # known to have stayed away until the end of the day before AS_OF
    days = (later.fillna(AS_OF - pd.Timedelta(days=1)) - log["order_date"]).dt.days
    agree = True
    for each, ours in pd.read_csv(folder / "ours.csv").groupby("order_number"):
        peer = KaplanMeierFitter().fit(days[number == each], later.notna()[number == each])
        low, high = peer.confidence_interval_.T.to_numpy()
        theirs = pd.DataFrame({"low": 1 - high, "high": 1 - low}, peer.timeline)
        theirs["share"] = 1 - peer.survival_function_.iloc[:, 0]
        columns = ["share", "low", "high"]
        theirs = theirs.reindex(ours["day"], method="ffill")[columns].to_numpy()
        off = (ours[columns] - theirs).abs().max().max()
        median = ours["median_days"].fillna(float("inf")).iloc[0]
        medians = f"medians {median} {peer.median_survival_time_}"
        print(f"order {each}: {len(ours)} days, at most {off:.1e} apart, {medians}")
        agree &= off <= 1e-9 and median == peer.median_survival_time_
    sys.exit(not agree)


if __name__ == "__main__":
    {"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2]))
