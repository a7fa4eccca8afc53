# SPDX-License-Identifier: GPL-2.0-only
"""The HTML report in a real browser (Debian's Chromium, headless), on a desk and on a phone.

Pictures of what it showed are left in build/screenshots.
"""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lkltest.nightly.commands.overview import write_overview
from lkltest.nightly.history.store import History
from lkltest.nightly.report import html
from tests.compiler import ROOT
from tests.nightly.report.test_overview import fill
from tests.nightly.report.views import COMMIT, HOSTILE, OLDER, example_night

SCREENSHOTS = ROOT / "build" / "screenshots"
DESK = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
LIGHT, DARK = "light", "dark"

Show = Callable[[dict[str, Any], str], Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a network: nothing that the page might ask for could come."""
    from selenium import webdriver

    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in programs:
        pytest.skip("no chromium and chromedriver here: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0] or ""
    for word in (
        "--headless=new",
        "--no-sandbox",  # has none as root, and the page is ours
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--proxy-server=127.0.0.1:9",
        "--disable-background-networking",
    ):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(programs[1])
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    path.write_text(html.page(example_night()), encoding="utf-8")
    return path


@pytest.fixture
def show(browser: Any, page: Path) -> Iterator[Show]:
    """Shows the page on a screen, light or dark. Afterwards the console must be silent."""

    def load(screen: dict[str, Any], colours: str) -> Any:
        feature = {"name": "prefers-color-scheme", "value": colours}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.get(page.as_uri())
        return browser

    yield load
    assert browser.get_log("browser") == []


def text(browser: Any, selector: str) -> str:
    """The text of an element that a person sees."""
    found: str = browser.execute_script(
        "return document.querySelector(arguments[0]).innerText", selector
    )
    return found


def colour(browser: Any, selector: str, name: str) -> tuple[int, ...]:
    value = browser.execute_script(
        "const c = document.createElement('canvas').getContext('2d', {willReadFrequently: true});"
        "c.fillStyle = getComputedStyle(document.querySelector(arguments[0]))[arguments[1]];"
        "c.fillRect(0, 0, 1, 1); return [...c.getImageData(0, 0, 1, 1).data]",
        selector,
        name,
    )
    return tuple(value)


def luminance(rgb: tuple[int, ...]) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [value / 255 for value in rgb[:3]]
    red, green, blue = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class TestFacts:
    def test_the_summary_is_on_top(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        assert browser.title == "FAILED: night 2026-11-21T02-00-00"
        assert text(browser, "h1").startswith("FAILED: 1 new failure, 1 vanished, 1 error")
        assert "the history is locked" in text(browser, ".note")
        order = "return [...document.querySelectorAll('header, section')].map(e => e.id || 'top')"
        sections = browser.execute_script(order)
        assert sections == ["top", "changes", "matrix", "skipped", "failures", "trends", "flaky"]

    def test_what_changed_since_which_commit(self, show: Show) -> None:
        row = text(show(DESK, LIGHT), "#changes tr")
        assert "new failure" in row and "disk[ext4]@native#next/readdir" in row
        assert f"{OLDER[:12]}..{COMMIT[:12]}" in row

    def test_the_matrix_is_a_heat_map(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        assert len(browser.find_elements("css selector", "#matrix tbody td")) == 24
        shown = text(browser, "#matrix")
        assert "1 of 10" in shown and "error" in shown and "skipped" in shown
        green, red = (colour(browser, f"#matrix td.{kind}", "backgroundColor")
                      for kind in ("passed", "failed"))  # fmt: skip
        assert green[1] > green[0] and red[0] > red[1]

    def test_a_failure_has_its_log_and_reproducing_line(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        failure = text(browser, "#failures details[open]")
        assert "disk[ext4]@native#next/readdir" in failure
        assert "oops" in failure
        assert "lkltest run 'disk' --host native --build builds/next" in failure

    def test_a_field_leads_to_its_failure(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        browser.find_element("css selector", "#matrix td.failed a").click()
        target = browser.execute_script("return document.querySelector(':target').tagName")
        assert target == "DETAILS"

    def test_trends_mark_the_regression(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        titles = [one.text for one in browser.find_elements("css selector", "figcaption")]
        assert titles == ["suites on native", "suites on qemu"]
        drawn = browser.execute_script(
            "return [...document.querySelectorAll('figure svg')].map(e => e.textContent)"
        )
        assert f"slower {COMMIT[:12]}" in drawn[0] and "slower" not in drawn[1]

    def test_flaky_points(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        row = text(browser, "#flaky tbody tr")
        assert "net[tap]@qemu#stable/tcp" in row and "4 of 30" in row
        assert len(browser.find_elements("css selector", "#flaky .strip i")) == 30


class TestSafety:
    def test_a_hostile_console_is_only_text(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        assert "owned" not in browser.title
        assert browser.find_elements("css selector", "script, img, iframe, link, object") == []
        assert HOSTILE.partition("&")[0] in text(browser, "#failures pre")

    def test_nothing_is_loaded(self, show: Show) -> None:
        browser = show(DESK, LIGHT)
        script = "return performance.getEntriesByType('resource').map(e => e.name)"
        assert browser.execute_script(script) == []


class TestLooks:
    @pytest.mark.parametrize("colours", [LIGHT, DARK])
    @pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
    def test_it_fits_the_screen(self, show: Show, screen: dict[str, Any], colours: str) -> None:
        browser = show(screen, colours)
        width, height = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        picture(browser, screen, height, colours)
        assert width <= screen["width"], "it must not scroll sideways"

    def test_names_have_a_phones_whole_width(self, show: Show) -> None:
        browser = show(PHONE, LIGHT)
        script = "return document.querySelector('#changes td:nth-child(2)').offsetWidth"
        assert browser.execute_script(script) > 340

    @pytest.mark.parametrize("colours", [LIGHT, DARK])
    def test_it_can_be_read(self, show: Show, colours: str) -> None:
        browser = show(PHONE, colours)
        paper = colour(browser, "body", "backgroundColor")
        assert (luminance(paper) > 0.5) is (colours == LIGHT)
        for selector in ("body", "#changes .kind.new", "#changes .dim", ".kind.fixed", "h2"):
            assert contrast(colour(browser, selector, "color"), paper) >= 4.5, selector
        for kind in ("passed", "failed", "error", "skipped"):
            field = f"#matrix td.{kind}"
            back = colour(browser, field, "backgroundColor")
            assert contrast(colour(browser, field, "color"), back) >= 4.5, kind

    def test_plots_have_the_pages_colours(self, show: Show) -> None:
        inks = [colour(show(DESK, colours), "figure svg text", "fill") for colours in (LIGHT, DARK)]
        assert luminance(inks[0]) < 0.2 < luminance(inks[1])


class TestAllNights:
    """The page of all nights, of which the last months are seen and the others folded away."""

    @pytest.fixture
    def page(self, tmp_path: Path) -> Path:
        with History(None) as history:
            fill(history, tmp_path, 200, 20)
            file = write_overview(history, tmp_path, "lab")
        assert file is not None
        return file

    @pytest.mark.parametrize("colours", [LIGHT, DARK])
    @pytest.mark.parametrize("screen", [DESK, PHONE], ids=["desk", "phone"])
    def test_it_fits_and_can_be_read(
        self, show: Show, screen: dict[str, Any], colours: str
    ) -> None:
        browser = show(screen, colours)
        width, height = browser.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        picture(browser, screen, height, colours, "nights")
        assert width <= screen["width"], "it must not scroll sideways"
        for kind in ("failing", "unfinished"):
            day = f"#calendar .days .{kind}"
            back = colour(browser, day, "backgroundColor")
            assert contrast(colour(browser, day, "color"), back) >= 4.5, kind

    def test_a_day_leads_to_its_night(self, show: Show) -> None:
        browser = show(PHONE, LIGHT)
        size = "const b = document.querySelector('.days a').getBoundingClientRect();"
        wide, high = browser.execute_script(f"{size} return [b.width, b.height]")
        assert min(wide, high) >= 24, "a finger has to hit it (WCAG 2.5.8)"
        browser.find_element("css selector", "#calendar .days a").click()
        assert browser.current_url.endswith("/index.html") and "/nights/" in browser.current_url


def picture(
    browser: Any, screen: dict[str, Any], height: int, colours: str, what: str = "night"
) -> None:
    """Keep the whole page as it looks, for people."""
    clip = {"x": 0, "y": 0, "width": screen["width"], "height": height, "scale": 1}
    shot = browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = f"{what}-{'phone' if screen['mobile'] else 'desk'}-{colours}.png"
    (SCREENSHOTS / name).write_bytes(base64.b64decode(shot["data"]))
