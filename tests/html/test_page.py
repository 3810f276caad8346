"""The HTML page in a real browser: at 10,000 greenlets, and with names that are meant to do harm."""

import re
from pathlib import Path

import pytest
from big_snapshots import HOSTILE, VERDICT, big_snapshot, hostile_snapshot

from manhole._snapshot import _html
from manhole._snapshot._html import format_html

COUNT = 10_000
# The main thread's stack is in the graph too; the manhole's own thread is not, nor is the greenlet that has no stack.
IN_GRAPH = COUNT + 1
IN_LIST = COUNT + 3


def write_page(folder: Path, snapshot, verdict=VERDICT) -> Path:
    file = folder / "page.html"
    with file.open("w", encoding="ascii") as out:
        out.writelines(format_html(snapshot, verdict))
    return file


@pytest.fixture(scope="module")
def big_file(tmp_path_factory) -> Path:
    return write_page(tmp_path_factory.mktemp("big"), big_snapshot(COUNT))


@pytest.fixture
def page(browser, big_file):
    """The page of 10,000 greenlets. Whatever is done to it: nothing on the console, no request."""
    browser.open(big_file)
    assert browser.run("return document.documentElement.dataset.ready")
    yield browser
    assert browser.complaints() == []
    assert browser.requests() == [big_file.as_uri()]


def count_in(text: str) -> int:
    return int(re.search(r"[\d,]+", text)[0].replace(",", ""))


def listed(page) -> int:
    return count_in(page.one("#status").text)


def search(page, query: str) -> None:
    page.one("#query").send_keys(query)
    page.until(lambda: query in page.one("#status").text)


# --- what is on it


def test_10_000_greenlets_are_shown_at_once(page, big_file):
    ready = page.run("return document.documentElement.dataset.ready")
    print(f"\n{COUNT} greenlets, {big_file.stat().st_size} bytes: interactive after {ready} ms")
    assert listed(page) == IN_LIST
    assert len(page.all(".group")) == 50
    assert not page.all(".unit")


def test_the_verdict_is_on_top(page):
    assert page.texts("#verdict p") == list(VERDICT)
    assert page.one("#verdict").rect["y"] < page.one("#graph").rect["y"] < page.one("#groups").rect["y"]


def test_a_link_in_a_deadlock_leads_to_its_unit(page):
    page.one("#deadlocks button").click()
    assert listed(page) == 1
    page.until(lambda: page.texts(".unit .name") == ["worker-1"])


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_window_and_the_colour_scheme(browser, big_file, width, scheme):
    browser.emulate(width=width, scheme=scheme)
    browser.open(big_file)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    background, text = (
        sum(map(int, re.findall(r"\d+", browser.run("return getComputedStyle(document.body)[arguments[0]]", name))))
        for name in ("backgroundColor", "color")
    )
    assert (background > text) == (scheme == "light")


# --- the graph


def test_the_graph_counts_every_unit_that_has_a_stack(page):
    assert page.one(".node.all").text == f"all {IN_GRAPH:,} units"


def test_children_are_as_wide_as_their_share(page):
    box = page.one("#graph").rect["width"]
    for number in range(6):
        node = page.labelled(".node", f"Handler{number}.dispatch")
        count = count_in(re.search(r", ([\d,]+) of", node.get_attribute("aria-label"))[1])
        assert node.rect["width"] == pytest.approx(box * count / IN_GRAPH, abs=1)


def test_a_click_zooms_and_narrows_the_list_and_reset_shows_all(page):
    node = page.labelled(".node", "Handler3.dispatch")
    below = count_in(node.get_attribute("aria-label").partition(",")[2])
    assert 0 < below < IN_GRAPH
    node.click()
    assert page.labelled(".node", "Handler3.dispatch").rect["width"] == pytest.approx(
        page.one("#graph").rect["width"], abs=1
    )
    assert "Handler2.dispatch" not in page.texts(".node")
    assert listed(page) == below
    page.one("#reset").click()
    assert "Handler2.dispatch" in page.texts(".node")
    assert listed(page) == IN_LIST


def test_the_tooltip_has_the_whole_frame_and_its_count(page):
    tip = page.one("#tip")
    assert not tip.is_displayed()
    page.point_at(page.labelled(".node", "Tracing.__call__"))
    page.until(tip.is_displayed)
    assert tip.text.split("\n")[:2] == ["Tracing.__call__", "/srv/app/app/middleware.py:31"]
    assert f"{IN_GRAPH:,} of {IN_GRAPH:,} units" in tip.text
    page.point_at(page.one("h1"))
    page.until(lambda: not tip.is_displayed())


def test_the_graph_can_be_walked_with_the_keyboard(page):
    page.one("#clear").click()
    page.press("TAB")
    assert page.focused().startswith("all ")
    for _ in range(5):
        page.press("ARROW_DOWN")
    assert page.focused().startswith("Handler0.dispatch")
    page.press("ARROW_RIGHT")
    assert page.focused().startswith("Handler1.dispatch")
    assert "handlers.py:34" in page.one("#tip").text
    page.press("ENTER")
    assert page.focused().startswith("Handler1.dispatch")
    assert "below Handler1.dispatch" in page.one("#status").text
    page.press("ARROW_UP")
    assert page.focused().startswith("Tracing.__call__")
    page.press("ESCAPE")
    assert listed(page) == IN_LIST


# --- search and filters


def test_a_search_filters_the_list_and_marks_the_graph(page):
    search(page, "stock.LOAD_7")
    assert 0 < listed(page) < IN_LIST
    assert page.texts(".node.found") == ["Stock.load_7"]
    # Those of load_70 to load_79 are too narrow to be drawn.
    assert page.all(".rest.found")
    page.one(".group summary").click()
    page.until(lambda: page.all(".stack li.found"))
    assert "Stock.load_7" in page.one(".stack li.found").text


@pytest.mark.parametrize("query", ["worker-4711", "0x7f1300126700"])
def test_a_search_finds_one_unit_by_its_name_and_its_ident(page, query):
    search(page, query)
    assert listed(page) == 1
    page.until(lambda: page.texts(".unit .name") == ["worker-4711"])


def test_a_search_finds_wait_reasons(page):
    search(page, "JoinableQueue")
    assert 0 < listed(page) < IN_LIST
    assert all("JoinableQueue" in each for each in page.texts(".group .wait"))


def test_a_search_that_finds_nothing_says_so(page):
    search(page, "no such thing")
    assert listed(page) == 0
    assert not page.all(".group")


def test_filters_narrow_the_graph_and_the_list_and_clear_undoes_them(page):
    page.choose("#state", "not started")
    assert listed(page) == 1
    assert page.texts(".node") == ["all 0 units"]
    page.one("#clear").click()
    assert listed(page) == IN_LIST
    page.choose("#kind", "thread")
    assert listed(page) == 2
    assert page.one(".node.all").text == "all 1 unit"
    page.one("#clear").click()
    page.choose("#thread", "manhole")
    assert listed(page) == 1


# --- the list


def test_opening_a_group_shows_its_stack_and_its_units_in_pages(page):
    group = page.one(".group")
    count = count_in(group.text)
    page.one(".group > summary").click()
    page.until(lambda: page.all(".group .unit"))
    assert len(page.all(".unit")) == 50
    assert page.texts(".stack .function")[:2] == ["Greenlet.run", "WSGIServer.handle"]
    more = page.one(".units > .more")
    assert count_in(more.text.partition("other")[2]) == count - 50
    more.click()
    assert len(page.all(".unit")) == 100


def test_opening_a_unit_shows_all_that_is_known_of_it(page):
    page.one(".group > summary").click()
    page.until(lambda: page.all(".unit"))
    page.all(".unit > summary")[1].click()
    page.until(lambda: page.all(".unit .facts"))
    facts = dict(zip(page.texts(".unit .facts dt"), page.texts(".unit .facts dd"), strict=True))
    assert facts["waits"] == "to read from descriptor 8, 10.0.0.7:40000 \N{LEFT RIGHT ARROW} 10.0.0.9:5432"
    assert facts["thread"] == "MainThread 0x7f1234567000"
    assert facts["spawned by"] == "worker-0 0x7f1300000000"
    assert "main" in page.texts(".unit .stack .function")


def test_groups_are_the_largest_first_and_come_in_pages(page):
    counts = [count_in(each) for each in page.texts(".group .count")]
    assert counts == sorted(counts, reverse=True)
    page.one("#groups > .more").click()
    assert len(page.all(".group")) == 100


# --- names that are meant to do harm


def is_harmed(browser) -> bool:
    return bool(browser.run("return window.harmed !== undefined || document.title.includes('HARMED')"))


def open_all(browser) -> None:
    """Opens whatever can be opened, and what comes to light by that."""
    script = """
        const all = [...document.querySelectorAll("details")];
        for (const each of all) each.open = true;
        return all.every((each) => each.childElementCount > 1);
    """
    browser.until(lambda: browser.run(script))


def shown(name: str) -> str:
    """A name as the page shows it."""
    unseen = "[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
    return re.sub(unseen, lambda found: f"\\u{ord(found[0]):04x}", name)


@pytest.mark.parametrize("width", [1280, 400])
def test_hostile_names_are_shown_and_do_nothing(browser, tmp_path, width):
    browser.emulate(width=width)
    file = write_page(tmp_path, hostile_snapshot(), list(HOSTILE.values()))
    browser.open(file)
    open_all(browser)
    assert browser.all(".unit .facts")
    for node in browser.all(".node")[:20]:
        browser.point_at(node)
    assert not is_harmed(browser)
    assert browser.all("img, iframe, link, object, embed, [onerror]") == []
    assert len(browser.all("script")) == 2
    verdict = browser.texts("#verdict p")
    names = browser.texts(".unit .facts dd")
    for key, name in HOSTILE.items():
        if key != "long":
            assert shown(name) in verdict
            assert shown(name) in names
    assert max(map(len, verdict)) < 2_000
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.complaints() == []
    assert browser.requests() == [file.as_uri()]


def test_a_hostile_name_can_be_searched_for(browser, tmp_path):
    browser.open(write_page(tmp_path, hostile_snapshot()))
    search(browser, HOSTILE["image"])
    assert listed(browser) > 0
    assert not is_harmed(browser)


def test_were_escaping_to_fail_the_policy_would_still_let_nothing_run(browser, tmp_path, monkeypatch):
    real = _html._escape
    monkeypatch.setattr(_html, "_escape", lambda value: real(value).replace("\\u003c", "<").replace("\\u003e", ">"))
    verdict = [HOSTILE[each] for each in ("script", "image", "link")]
    browser.open(write_page(tmp_path, big_snapshot(1, stacks=1), verdict))
    # That it did fail.
    assert "harmed" in browser.texts("script")[1]
    assert len(browser.all("img, link, iframe")) == 3
    assert not is_harmed(browser)
    assert len(browser.requests()) == 1
