"""What axe-core finds wrong with the dashboard for people with disabilities: every page, light and dark.

    python .ci/axe.py data/dashboard.html node_modules/axe-core/axe.min.js

Exit code 1 over a serious fault; skipped where there is no Chromium.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = ("overview", "segments", "retention", "churn", "model")
SERIOUS = ("serious", "critical")


def main(dashboard: str, axe: str) -> int:
    if not (chromium := shutil.which("chromium")):
        print("skipped: Chromium is not installed")
        return 0
    faults = 0
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for scheme in ("light", "dark"):
            # the page's own policy would not let axe in
            tab = browser.new_page(
                color_scheme=scheme, bypass_csp=True, offline=True, viewport={"width": 1440, "height": 900}
            )
            for page in PAGES:
                tab.goto("about:blank")
                tab.goto(f"{Path(dashboard).resolve().as_uri()}#page={page}")
                tab.locator("body[data-ready$=all]").wait_for()
                tab.evaluate(Path(axe).read_text(encoding="utf-8"))
                for fault in tab.evaluate("axe.run().then(found => found.violations)"):
                    faults += fault["impact"] in SERIOUS
                    print(f"{scheme} {page}: {fault['impact']} {fault['id']}: {fault['help']}")
                    print(*(f"    {node['html'][:150]}" for node in fault["nodes"][:3]), sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
