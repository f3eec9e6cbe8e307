"""The dashboard as a browser shows it: opened from disk, without a network, and read back as figures."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import pytest

from pulse.dashboard import write_dashboard

CHROMIUM = shutil.which("chromium")  # Debian's; Playwright brings none
READY, ALL_READY = "body[data-ready]", "body[data-ready$=all]"  # the page that is shown; the others too
READ = """() => {
    const value = node => {
        const data = node.querySelector("data");
        return data ? Number(data.value) : node.textContent;
    };
    const rows = table => [...table.tBodies[0].rows].map(row => [...row.cells].map(value));
    const parts = [...document.querySelectorAll("article.on .part:not([hidden])")].map(part => {
        const table = part.querySelector("table"), figure = part.querySelector(".figure");
        return [part.id.replace(/^[a-z]+-/, ""), {
            title: part.querySelector("h3").textContent,
            note: part.querySelector(".note").textContent,
            value: figure && value(figure), text: figure && figure.textContent,
            rows: table && rows(table),
        }];
    });
    return Object.fromEntries(parts);
}"""


@contextmanager
def browser() -> Iterator:
    """The system's Chromium; the test is skipped where it is not, or where nothing drives it."""
    driver = pytest.importorskip(
        "playwright.sync_api", reason="pip install -r requirements-dev.txt brings Playwright"
    )
    if not CHROMIUM:
        pytest.skip("Chromium is not installed")
    with driver.sync_playwright() as started:
        yield started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


class Opened:
    """The dashboard of a folder in a tab of its own, and what went wrong in it."""

    def __init__(self, chromium, folder: Path, **settings) -> None:
        self.address = (folder / "dashboard.html").as_uri()
        self.wrong: list[str] = []  # what the console says, and what is asked of a network
        self.tab = chromium.new_page(
            offline=True, **{"locale": "en-US", "viewport": {"width": 1440, "height": 900}} | settings
        )
        self.tab.on("console", lambda message: self.wrong.append(message.text))
        self.tab.on("pageerror", lambda error: self.wrong.append(f"{error}"))
        self.tab.on("request", lambda request: self.note_request(request.url))

    def note_request(self, url: str) -> None:
        if url.split("#", maxsplit=1)[0] != self.address and not url.startswith("blob:"):
            self.wrong.append(f"asks for {url}")

    def go(self, page: str, **choices) -> dict[str, dict]:
        """Open a page with these choices; returns its parts: title, note, value, rows of its table."""
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.address}#{urlencode({'page': page} | choices, doseq=True)}")
        return self.read()

    def read(self) -> dict[str, dict]:
        """The parts of the page that is shown, every table opened."""
        self.tab.locator(READY).wait_for()
        self.tab.evaluate(
            "for (const of of document.querySelectorAll('article.on .part:not([hidden]) details')) of.open = true"
        )
        self.tab.wait_for_timeout(100)
        return self.tab.evaluate(READ)

    def text(self, selector: str) -> str:
        return self.tab.locator(selector).first.inner_text()


def copy_tables(source: Path, place: Path, **changed: pd.DataFrame) -> Path:
    """The CSV files of a folder in another, those that are changed as given, with their dashboard."""
    for path in source.glob("*.csv"):
        shutil.copy(path, place)
    for name, table in changed.items():
        table.to_csv(place / f"{name}.csv", index=False)
    if (source / ".cache").exists():
        shutil.copytree(source / ".cache", place / ".cache", dirs_exist_ok=True)
    write_dashboard(place)
    return place
