"""A headless Chromium as the tests of the HTML page use it, driven through the machine's own chromedriver."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

# Arbitrary; long enough for a loaded machine.
PATIENCE = 30


class Browser:
    """What the tests ask of the page that is open."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, file: Path) -> None:
        self.driver.get(file.as_uri())

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def texts(self, selector: str) -> list[str]:
        """The text of each, in one go: to ask 300 elements one by one takes seconds."""
        script = "return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent)"
        return list(self.run(script, selector))

    def labelled(self, selector: str, text: str) -> WebElement:
        """The first whose text is just that."""
        return self.all(selector)[self.texts(selector).index(text)]

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, key: str) -> None:
        """Presses a key, such as "ENTER", where the focus is."""
        self.driver.switch_to.active_element.send_keys(getattr(Keys, key))

    def focused(self) -> str:
        """The label of what has the focus."""
        return str(self.driver.switch_to.active_element.get_attribute("aria-label"))

    def point_at(self, element: WebElement) -> None:
        ActionChains(self.driver).move_to_element(element).perform()

    def choose(self, selector: str, choice: str) -> None:
        """Chooses what begins with *choice* from a <select>."""
        select = Select(self.one(selector))
        (text,) = [each.text for each in select.options if each.text.startswith(choice)]
        select.select_by_visible_text(text)

    def until(self, is_true: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, PATIENCE, poll_frequency=0.02).until(lambda _driver: is_true())

    def emulate(self, *, width: int = 1280, scheme: str = "light") -> None:
        metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What the console has said since the last time."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that were asked for since the last time, without those that the page's policy has refused."""
        asked: dict[str, str] = {}
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            event = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                asked[event["requestId"]] = event["request"]["url"]
            elif message["method"] == "Network.loadingFailed" and event.get("blockedReason") == "csp":
                asked.pop(event["requestId"], None)
        return list(asked.values())


def start_browser(chromium: str, driver: str) -> Browser:
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    # No sandbox: root has none. /dev/shm is small in containers.
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return Browser(webdriver.Chrome(options=options, service=Service(driver)))
