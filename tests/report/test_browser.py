"""The report in headless Chromium: no violation of axe-core's rules, usable from a keyboard, fit for a phone.

Chromium comes from the system (`apt-get install chromium`; `.ci/run` does so), axe-core from a wheel.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS = {"desktop": 1280, "phone": 375}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        missing = "NO BROWSER: the report was not tested in one; install Chromium (apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    # As root, as in most containers, Chromium has no sandbox; the page is our own.
    sandbox = [] if os.name == "nt" or os.getuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield chromium
        chromium.close()


@pytest.fixture(params=WIDTHS.values(), ids=list(WIDTHS))
def page(request: pytest.FixtureRequest, browser: Browser, report: Path) -> Iterator[Page]:
    # The page lets no script run, not even axe's; a context that overlooks this is for tests alone.
    context = browser.new_context(viewport={"width": request.param, "height": 800}, bypass_csp=True)
    shown = context.new_page()
    shown.goto(report.as_uri())
    yield shown
    context.close()


def focused(page: Page, attribute: str) -> str | None:
    return page.evaluate("name => document.activeElement.getAttribute(name)", attribute)


def test_axe_finds_no_violation(page: Page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    assert len(found.response["passes"]) > 20, "axe has looked"


def test_axe_finds_what_is_wrong(page: Page):
    page.evaluate("document.querySelectorAll('article > img').forEach(img => img.removeAttribute('alt'))")
    assert [one["id"] for one in Axe().run(page).response["violations"]] == ["image-alt"]


def test_no_page_is_wider_than_its_screen(page: Page):
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide == page.evaluate("document.documentElement.clientWidth")


def test_a_keyboard_reaches_everything(page: Page):
    page.keyboard.press("Tab")
    assert focused(page, "href") == "#descriptions"
    skip = page.locator(".skip").bounding_box()
    assert skip and skip["x"] >= 0, "the link over the menu is seen when it has the focus"
    reached = []
    while (name := focused(page, "href") or focused(page, "aria-label")) is not None:
        reached.append(name)
        page.keyboard.press("Tab")
    every = page.evaluate(
        "[...document.querySelectorAll('a, [tabindex]')]"
        ".map(one => one.getAttribute('href') || one.getAttribute('aria-label'))"
    )
    assert reached == every
    assert "Film strip" in reached and "Findings" in reached


def test_a_description_of_the_strip_leads_to_its_facts(page: Page):
    page.locator("svg a").first.focus()
    ring = page.evaluate("getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth")
    assert ring == "4px"
    page.keyboard.press("Enter")
    assert page.url.endswith("#ad-0001")
    assert page.locator("article:target").count() == 1
    page.keyboard.press("Tab")
    assert focused(page, "href") != "#descriptions", "the focus has moved along"


def test_nothing_is_asked_of_the_network(browser: Browser, report: Path):
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(report.as_uri())
    assert [url for url in asked if not url.startswith("data:")] == [report.as_uri()]
    assert page.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
    page.close()
