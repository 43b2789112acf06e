"""The page of the service in a real browser: Chromium, where there is one."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

from selenium import webdriver
from selenium.webdriver.chrome.service import Service as Driver
from selenium.webdriver.support.ui import WebDriverWait

from core.line.service.application import Service
from core.line.service.models import Shelf
from tests.core.line.service_runs import DEFECT, GOOD, TOKEN, running, shelf_in

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="Chromium or its driver is not installed"),
    pytest.mark.timeout(300),  # a browser on a busy machine
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # selenium leaves its driver's pipes to the collector
]
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
NARROW, WIDE = (390, 844), (1280, 800)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    return shelf_in(tmp_path_factory.mktemp("models"), "part", "other")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    assert CHROMIUM is not None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={WIDE[0]},{WIDE[1]}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Driver(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def wait(browser: webdriver.Chrome, script: str) -> None:
    WebDriverWait(browser, 30).until(lambda found: found.execute_script(f"return {script}"))


def shown(browser: webdriver.Chrome, name: str) -> str:
    element = browser.find_element("id", name)
    return element.text if element.is_displayed() else ""


def complaints(browser: webdriver.Chrome) -> list[str]:
    """What the browser's console holds but for the answers that were to be refused."""
    messages = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    return [message for message in messages if "Failed to load resource" not in message]


def test_that_an_image_is_inspected_and_its_verdict_heat_map_and_errors_are_shown(
    browser: webdriver.Chrome, shelf: Shelf, tmp_path: Path
) -> None:
    files = {"good": GOOD, "defect": DEFECT, "text": b"this is no picture"}
    for name, data in files.items():
        (tmp_path / f"{name}.png").write_bytes(data)
    with running(Service(shelf)) as (host, port):
        browser.get(f"http://{host}:{port}/")
        wait(browser, "document.getElementById('model').options.length === 2")
        chosen = browser.find_element("id", "file")
        chosen.send_keys(str(tmp_path / "defect.png"))
        wait(browser, "document.getElementById('image').naturalWidth === 48")
        assert shown(browser, "word") == "Defect"
        assert float(shown(browser, "score")) > float(shown(browser, "threshold"))
        assert shown(browser, "regions") == "1"
        for width, height in (WIDE, NARROW):
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
            )
            assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        chosen.send_keys(str(tmp_path / "text.png"))
        wait(browser, "!document.getElementById('error').hidden")
        assert "no picture of a known kind" in shown(browser, "sentence")
        assert shown(browser, "word") == "", "an old verdict stands beside an error"
        chosen.send_keys(str(tmp_path / "good.png"))
        wait(browser, "document.getElementById('word').textContent === 'Good'")
        assert shown(browser, "sentence") == ""
        assert complaints(browser) == []


def test_that_the_page_asks_for_the_token_and_goes_on_with_it(
    browser: webdriver.Chrome, shelf: Shelf, tmp_path: Path
) -> None:
    (tmp_path / "defect.png").write_bytes(DEFECT)
    with running(Service(shelf, token=TOKEN)) as (host, port):
        browser.get(f"http://{host}:{port}/")
        wait(browser, "!document.getElementById('entry').hidden")
        assert "The token is missing or wrong" in shown(browser, "sentence")
        browser.find_element("id", "token").send_keys(TOKEN + "\n")
        wait(browser, "document.getElementById('model').options.length === 2")
        assert shown(browser, "sentence") == shown(browser, "entry") == ""
        browser.find_element("id", "file").send_keys(str(tmp_path / "defect.png"))
        wait(browser, "document.getElementById('word').textContent === 'Defect'")
        kept = browser.execute_script("return [location.href, document.cookie, {...localStorage}]")
        assert TOKEN not in json.dumps(kept)
