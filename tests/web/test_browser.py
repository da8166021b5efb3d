"""The page in a real browser. Opt-in: DRUSE_BROWSER=1 (or the browser's path), and the extra `browser`.

With Debian's chromium: apt-get install chromium; pip install "druse[browser]"; DRUSE_BROWSER=1 scripts/test tests/web
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from druse.front.base import open_base
from druse.model import VersionStatus
from druse.settings import Workspace

from .conftest import House  # type: ignore[import-not-found]
from .terminal import Terminal, dashboard  # type: ignore[import-not-found]
from .test_dashboard import proposed  # type: ignore[import-not-found]
from .test_versions import kept  # type: ignore[import-not-found]

_ASKED = os.environ.get("DRUSE_BROWSER", "")
_BROWSER = (shutil.which("chromium") or shutil.which("google-chrome")) if _ASKED == "1" else _ASKED or None
async_playwright: Any = None
try:
    async_playwright = importlib.import_module("playwright.async_api").async_playwright
except ImportError:
    _BROWSER = None
pytestmark = [
    pytest.mark.skipif(
        _BROWSER is None, reason="the page was NOT tested: set DRUSE_BROWSER=1, with chromium and playwright"
    ),
]

# Of every visible text: its contrast with what lies behind it (WCAG 2), the lowest first.
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)).reduce((s, c, i) => s + c * [.2126, .7152, .0722][i], 0);
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    if (element.closest(".skip, [disabled], noscript")) continue;
    let behind = element, back = [0, 0, 0, 0];
    while (behind && back[3] < 255) { back = rgb(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; }
    if (back[3] < 255) back = rgb(getComputedStyle(document.documentElement).backgroundColor);
    const style = getComputedStyle(element);
    const front = rgb(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(front), light(back)].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), walk.currentNode.textContent.trim().slice(0, 40)]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 3);
}"""


@asynccontextmanager
async def browser(terminal: Terminal, **options: Any) -> AsyncGenerator[Any]:
    """A page opened by the newest link; nothing may be fetched from elsewhere, nothing may go wrong in its console."""
    link = await terminal.another()
    assert async_playwright is not None
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_BROWSER, args=["--no-sandbox"])
        context = await chromium.new_context(**options)
        page = await context.new_page()
        problems: list[str] = []
        page.on("console", lambda said: problems.append(said.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        elsewhere: list[str] = []
        page.on(
            "request", lambda asked: None if asked.url.startswith(link.split("#")[0]) else elsewhere.append(asked.url)
        )
        await page.goto(link)
        await page.wait_for_selector(".figures")
        yield page
        assert (problems, elsewhere) == ([], [])
        await chromium.close()


@pytest.mark.requirement("H-38")
async def test_a_person_decides_by_keyboard_and_sees_what_happens_meanwhile(house: House) -> None:
    (asked,) = await proposed(house, "mend-bicycles")
    async with dashboard(house.root, house.environment) as terminal:
        await terminal.link()
        async with browser(terminal) as page:
            assert "#pass" not in page.url, "the pass does not stay in the address"
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await page.wait_for_selector("[data-key=approve]")
            assert "How to go about chains and wheels." in await page.inner_text(".sheet")
            await page.keyboard.press("a")
            await page.wait_for_selector("dialog[open]")
            assert await page.evaluate("document.activeElement.textContent") == "Cancel", "Enter alone approves nothing"
            await page.keyboard.press("Escape")
            assert (await house.druse("approvals", "list"))["approvals"]
            await page.keyboard.press("a")
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await page.wait_for_selector(f"text={asked} is approved")
            await page.wait_for_selector("text=Nothing waits for you.")

            nasty = "<img src=x onerror=alert(1)> and [a link](javascript:alert(2))"
            async with house.serve() as http:
                body = {"skill_id": "soup", "description": "All about soup", "content": nasty}
                (await http.post("/skills", json=body)).raise_for_status()
            await page.wait_for_selector("[data-item]")  # without a reload
            await page.click("[data-item]")
            await page.wait_for_selector("[data-key=approve]")
            shown = await page.inner_text(".sheet")
            assert "<img src=x onerror=alert(1)>" in shown
            assert await page.locator(".sheet img, .sheet a").count() == 0

            await page.reload()
            await page.wait_for_selector("text=Looking only.")
            assert await page.locator("[data-key=approve]:not(:disabled)").count() == 0
            kept = await page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])")
            assert list(json.loads(kept)[0]) == ["look"]


@pytest.mark.requirement("H-38")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(320, 640), (1280, 800)], ids=["phone", "desk"])
async def test_every_view_is_readable_in_light_and_dark_on_phone_and_desk(
    house: House, scheme: str, size: tuple[int, int]
) -> None:
    await proposed(house, "mend-bicycles")
    async with dashboard(house.root, house.environment) as terminal:
        await terminal.link()
        async with browser(terminal, color_scheme=scheme, viewport={"width": size[0], "height": size[1]}) as page:
            for view in ("waiting", "tools", "savings", "candidates", "audit", "graph"):
                await page.click(f"[data-key=nav-{view}]")
                await page.wait_for_selector(f"[data-key=nav-{view}][aria-current=page]")
                await page.wait_for_selector("h1")
                lowest = await page.evaluate(CONTRAST)
                assert lowest[0][0] >= 4.5, (view, lowest)
                assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
            await page.click("[data-key=nav-audit]")
            await page.click("[data-key=verify]")
            assert (await page.inner_text("#verdict")).startswith("whole: ")
            await page.click("[data-key=nav-waiting]")
            await page.click("[data-item]")
            await page.wait_for_selector("[data-key=approve]")
            assert (await page.evaluate(CONTRAST))[0][0] >= 4.5
            small = await page.evaluate(
                "[...document.querySelectorAll('button, .views a')].filter((e) => e.checkVisibility())"
                ".map((e) => e.getBoundingClientRect().height).filter((h) => h < 24)"
            )
            assert small == []


@pytest.mark.requirement("H-38")
async def test_what_is_new_does_not_disturb_a_reader_and_every_control_has_a_name(house: House) -> None:
    first, second = await proposed(house, "mend-bicycles", "write-letters")
    workspace = Workspace.find(house.root, environment=house.environment)
    async with open_base(workspace) as base:
        await kept(base, 1, VersionStatus.SUPERSEDED, "def run(call):\n    return -- 1\n", "Read")
        await kept(
            base, 2, VersionStatus.ACTIVE, "def run(call):\n    return ++ 1" + "  # long" * 90 + "\n", "Bash(rm:*)"
        )
    async with dashboard(house.root, house.environment) as terminal:
        await terminal.link()
        async with browser(terminal) as page:
            await page.keyboard.press("2")
            await page.keyboard.press("j")
            await page.keyboard.press("Enter")
            await page.click(".switch button >> text=Changes since v1")
            await page.wait_for_selector(".source.diff")
            shown = await page.inner_text("details[open]")
            assert "-    return -- 1" in shown and "+    return ++ 1" in shown and "1 line new, 1 gone" in shown
            assert await page.inner_text("details[open] .gain") == "Bash(rm:*)"
            reading = page.locator("details[open] .source")
            await reading.evaluate("(e) => { e.scrollLeft = 50; e.read = true; getSelection().selectAllChildren(e); }")
            await house.druse("approvals", "reject", first)
            await page.wait_for_selector(".count.due >> text=1")
            still = await reading.evaluate("(e) => [e.scrollLeft, e.read, getSelection().toString().length > 100]")
            assert still == [50, True, True]
            await page.click("[aria-label='Show v1']")
            await page.wait_for_selector("text=Source of v1")

            # decided elsewhere while it is open
            await page.keyboard.press("1")
            await page.click("[data-item]")
            await page.wait_for_selector("[data-key=approve]")
            await house.druse("approvals", "reject", second)
            await page.wait_for_selector("text=nothing waits here any more")
            assert await page.locator("[data-key=approve]").count() == 0

            # every control and picture has a name for those who do not see it
            tree = await page.context.new_cdp_session(page)
            for key in "123456":
                await page.keyboard.press(key)
                await page.wait_for_selector(f"li:nth-child({key}) > [aria-current=page]")
                nodes = (await tree.send("Accessibility.getFullAXTree"))["nodes"]
                roles = {"button", "link", "textbox", "searchbox", "combobox", "img", "dialog", "region", "navigation"}
                told = [(node["role"]["value"], node["name"]["value"]) for node in nodes if not node["ignored"]]
                assert [role for role, name in told if role in roles and not name] == []


@pytest.mark.requirement("H-38", "X-07")
async def test_a_link_that_is_void_and_a_server_that_is_gone_are_told(house: House) -> None:
    assert async_playwright is not None
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=_BROWSER, args=["--no-sandbox"])
        page = await chromium.new_page()
        asked: list[tuple[str, str | None]] = []
        page.on("request", lambda request: asked.append((request.url, request.headers.get("referer"))))
        async with dashboard(house.root, house.environment) as terminal:
            void = await terminal.link()
            link = await terminal.another()
            await page.goto(void)
            await page.wait_for_selector("text=a newer one took its place")
            await page.goto("about:blank")
            await page.goto(link)
            await page.wait_for_selector(".figures")
        await page.wait_for_selector("text=The server does not answer.")
        assert await page.inner_text("#live") == "reconnecting"
        secrets = [one.partition("=")[2] for one in (void, link)]
        assert not [url for url, _ in asked if any(secret in url.partition("#")[0] for secret in secrets)]
        assert {referer for _, referer in asked} <= {None, ""}
        await chromium.close()
