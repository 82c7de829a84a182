"""The admin's home in a real browser, in front of a real hub with a real (stand-in) provider behind it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from agenthub.demo.management import mapping
from agenthub.demo.standin.script import Script
from agenthub.demo.standin.server import StandIn
from tests.e2e.browser import PHONE, axe_source, chromium, violations, watched
from tests.hub import Hub
from tests.stand_in import standin_in_thread

pytestmark = pytest.mark.timeout(180)

API_KEY = "sk-abcdefghijklmnopwxyz"


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with standin_in_thread() as running:
        yield running


@pytest.fixture(scope="module")
def browser(standin: StandIn) -> Iterator[Browser]:
    """Started after the stand-in and closed before it: it runs a loop on this thread, which the other needs to end."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def busy_hub(tmp_path_factory: pytest.TempPathFactory, standin: StandIn) -> Iterator[Hub]:
    """A hub with a healthy and a cooling backend, a disabled one, and some traffic."""
    with Hub(tmp_path_factory.mktemp("busy")) as hub:
        standin.script("limited", Script(status=429, headers={"retry-after": "600"}))
        for name, pool, enabled in (
            ("limited", "primary", True),
            ("good", "fallback", True),
            ("off", "fallback", False),
        ):
            hub.management.backend_ensure(
                name=name,
                api_base_url=standin.url(name),
                api_key=API_KEY,
                pool=pool,
                enabled=enabled,
                model_mappings={"small": mapping("vendor/small", input_price="0.000001", output_price="0.000002")},
            )
        chat(hub, hub.management.client_key_renew("traffic"), times=5)
        yield hub


def chat(hub: Hub, key: str, *, times: int, model: str = "small") -> None:
    with hub.openai(key) as client:
        for _ in range(times):
            answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello!"}])
            assert answer.choices[0].message.content


def tile(page: Page, name: str) -> Any:
    return page.locator(f"[data-tile={name}] [data-value]")


def test_from_the_first_sign_in_to_traffic_on_the_dashboard(tmp_path: Path, browser: Browser, standin: StandIn) -> None:
    with Hub(tmp_path) as hub, watched(browser, hub) as seen:
        page = seen.sign_in()
        expect(page.get_by_text("No backend yet.")).to_be_visible()
        page.get_by_role("link", name="Add a backend").click()

        # A backend with an inline mapping.
        page.get_by_label("Name", exact=False).first.fill("first")
        page.get_by_label("API base URL").fill(standin.url("first"))
        page.locator("[name=api_key]").fill(API_KEY)
        page.get_by_role("link", name=re.compile("add another model mapping", re.IGNORECASE)).click()
        page.locator("[name=mappings-0-canonical]").fill("small")
        page.locator("[name=mappings-0-native_id]").fill("vendor/small")
        page.locator("[name=mappings-0-price_input_usd]").fill("2.5")
        page.get_by_role("button", name="Save", exact=True).click()

        # Its key is masked wherever it shows.
        page.wait_for_url("**/admin/providers/backend/")
        row = page.get_by_role("row").filter(has_text="first")
        expect(row).to_contain_text("sk-abc****wxyz")
        row.get_by_role("link", name="first").click()
        page.wait_for_url("**/change/")
        assert API_KEY not in page.content()
        assert page.locator("[name=mappings-0-price_input_usd]").input_value() == "2.5"

        # Test connection.
        page.get_by_role("button", name="Save and test connection").click()
        expect(page.get_by_text(re.compile("first: .*Status 200"))).to_be_visible()

        # No request yet; then some, without the page being loaded again.
        page.goto(f"{hub.base_url}/dashboard")
        expect(page.get_by_text("No request yet:")).to_be_visible()
        expect(page.get_by_text(f"{hub.base_url}/v1", exact=True)).to_be_visible()
        chat(hub, hub.management.client_key_renew("traffic"), times=3)
        expect(tile(page, "requests")).to_have_text("3")
        expect(tile(page, "errors")).to_have_text("0%")
        expect(page.get_by_text("No request yet:")).to_be_hidden()
        backend = page.get_by_role("row").filter(has_text="first")
        expect(backend).to_contain_text("healthy")
        expect(backend.locator("[data-minute]")).to_have_text("3")


def test_a_cooling_backend_shows_how_long_and_why(browser: Browser, busy_hub: Hub) -> None:
    with watched(browser, busy_hub) as seen:
        page = seen.sign_in()
        row = page.get_by_role("row").filter(has_text="limited")
        expect(row).to_contain_text(re.compile(r"cooling.*back in (9|10) min", re.DOTALL))
        expect(page.get_by_role("row").filter(has_text="off")).to_contain_text("disabled")
        expect(page.get_by_text("1 of 1 healthy")).to_be_visible()
        expect(page.get_by_role("listitem").filter(has_text="limited")).to_contain_text("rate limited (429)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_both_themes(browser: Browser, busy_hub: Hub, scheme: str) -> None:
    with watched(browser, busy_hub, viewport=PHONE, color_scheme=scheme) as seen:
        page = seen.sign_in()
        expect(page.locator("[data-state=live]")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="good")).to_be_visible()

        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert ("dark" in (page.locator("html").get_attribute("class") or "")) == (scheme == "dark")


def test_charts_of_every_span_by_keyboard(browser: Browser, busy_hub: Hub) -> None:
    with watched(browser, busy_hub) as seen:
        page = seen.sign_in()
        chart = page.get_by_role("img", name=re.compile("^Requests: "))
        for span in ("24 h", "7 d", "30 d", "1 h"):
            with page.expect_response(lambda answer: "/dashboard/series" in answer.url):
                page.get_by_role("button", name=span, exact=True).focus()
                page.keyboard.press("Enter")
            expect(page.get_by_role("button", name=span, exact=True)).to_have_attribute("aria-pressed", "true")
            expect(chart).to_have_attribute("aria-label", re.compile("Requests: [1-9]"))
        figure = page.locator("[data-chart=requests]")
        figure.get_by_text("Show as a table").focus()
        page.keyboard.press("Enter")
        expect(figure.get_by_role("row").nth(59)).to_be_visible()


def test_the_colours_of_charts_follow_the_theme(browser: Browser, busy_hub: Hub) -> None:
    with watched(browser, busy_hub, color_scheme="light") as seen:
        page = seen.sign_in()
        # Until the first figures have come there is no chart, or one without data.
        chart = "Chart.getChart(document.querySelector('[data-chart=requests] canvas'))"
        colour = f"{chart}?.data.datasets[0]?.backgroundColor"
        page.wait_for_function(f"{colour} === '#4f46e5'")
        page.emulate_media(color_scheme="dark")
        page.evaluate("document.documentElement.classList.add('dark')")
        page.wait_for_function(f"{colour} === '#818cf8'")


def test_it_says_when_it_is_stale_and_comes_back(tmp_path: Path, browser: Browser) -> None:
    with Hub(tmp_path) as hub, browser.new_context() as profile:
        page = profile.new_page()
        page.goto(f"{hub.base_url}/dashboard")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("a password for tests")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("status")).to_have_text("Live")

        # An open stream does not hold up the stop.
        assert hub.stop() == 0
        expect(page.get_by_role("status")).to_have_text("Stale: reconnecting…")
        expect(page.get_by_role("alert").filter(has_text="the connection to AgentHub broke off")).to_be_visible()

        hub.start()
        expect(page.get_by_role("status")).to_have_text("Live", timeout=30_000)


def test_who_signs_out_elsewhere_is_told(browser: Browser, busy_hub: Hub) -> None:
    with browser.new_context() as profile:
        page = profile.new_page()
        page.goto(f"{busy_hub.base_url}/dashboard")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("a password for tests")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("status")).to_have_text("Live")
        profile.clear_cookies()
        # The stream ends by itself where its right is checked; here the page is shown again after a while.
        page.evaluate(
            "dispatchEvent(new PageTransitionEvent('pagehide')); dispatchEvent(new PageTransitionEvent('pageshow'))"
        )

        expect(page.get_by_role("status")).to_have_text("Signed out")
        expect(page.get_by_role("link", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_no_accessibility_violation(
    tmp_path_factory: pytest.TempPathFactory, browser: Browser, busy_hub: Hub, scheme: str, width: str
) -> None:
    axe = axe_source(tmp_path_factory.getbasetemp())
    size = {"viewport": PHONE} if width == "phone" else {}
    with watched(browser, busy_hub, color_scheme=scheme, **size) as seen:
        page = seen.sign_in()
        expect(page.get_by_role("row").filter(has_text="good")).to_be_visible()
        expect(page.get_by_role("img", name=re.compile("Requests: [1-9]"))).to_be_visible()

        assert violations(page, axe) == []
        for path in ("providers/backend/", "providers/backend/add/", "providers/usagerecord/", "proxy/clientkey/"):
            page.goto(f"{busy_hub.base_url}/admin/{path}")
            expect(page.get_by_role("main")).to_be_visible()
            assert violations(page, axe) == [], path


def test_the_menu_opens_by_keyboard_on_a_phone(browser: Browser, busy_hub: Hub) -> None:
    with watched(browser, busy_hub, viewport=PHONE) as seen:
        page = seen.sign_in()
        expect(page.get_by_role("link", name="Backends")).to_be_hidden()
        page.get_by_role("button", name="Menu").first.focus()
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Backends").click()
        page.wait_for_url("**/admin/providers/backend/")
