"""The page in a real Chromium: rows, film, heat map, prevalence, CSV, keyboard, accessibility."""

import io
import os
import re
import shutil

import numpy as np
import playwright.sync_api as playwright
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image

from data.sample.dicom import write_dicom
from model.prediction import predict
from page.app import COVERAGE, make_app
from tests.helpers.networks import CLASSES
from tests.helpers.serving import serving
from util.prediction.text_csv_json import csv_lines
from util.script import NOTICE

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
SCRIPT_NAME = "<img src=x onerror=document.title=1>.png"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as player:
        # As root, and in containers, Chromium's own sandbox cannot start.
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, predictor):
    """The page, which has asked nobody but its own server when the test ends, without an error."""
    with serving(make_app(predictor, {"127.0.0.1"}, 3_000_000)) as address:
        context = browser.new_context()
        page = context.new_page()
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        playwright.expect(page.get_by_label("Prevalence of normal")).to_be_visible()
        yield page
        context.close()
        assert {url.removeprefix("blob:")[: len(address)] for url in asked} == {address}
        assert not said


@pytest.fixture
def films(tmp_path):
    """A folder: two PNG, a DICOM file, one that cannot be read, a text, and a name like markup."""
    folder = tmp_path / "films"
    (folder / "b").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.png", "b/c.png", *([SCRIPT_NAME] if os.name == "posix" else [])):
        Image.fromarray(rng.integers(0, 256, (50, 80), np.uint8)).save(folder / name)
    write_dicom(folder / "b" / "d.dcm", rng.integers(0, 256, (90, 60), np.uint8))
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:200])
    (folder / "README").write_text("Dear colleague")
    return folder


def choose(page, *paths, of="#files"):
    playwright.expect(page.get_by_role("button", name="Choose films")).to_be_enabled()
    page.set_input_files(of, paths)
    playwright.expect(page.locator("#status")).to_contain_text("Done: ", timeout=20_000)


def saved(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    return download.value.path().read_text(encoding="utf-8")


def shown(page):
    """The pixels (H, W, 3) of the stage, as the eye sees them, without its round corners."""
    playwright.expect(page.locator("#stage-text")).to_be_empty()
    page.wait_for_timeout(100)  # a frame, which is drawn when the browser likes
    image = Image.open(io.BytesIO(page.locator("#canvas").screenshot()))
    return np.asarray(image.convert("RGB"), int)[20:-20, 20:-20]


def slide(page, label, value):
    page.get_by_label(label, exact=True).evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')) }",
        value,
    )


def script_rows(predictor, folder, coverage=COVERAGE, **settings):
    rows = predict(predictor, folder, batch_size=1, coverage=coverage, **settings)
    return [row | {"file": str(row["file"]).removeprefix(f"{folder.parent}/")} for row in rows]


def test_a_folder_gives_the_rows_of_the_script_to_the_last_digit(page, predictor, films):
    choose(page, films, of="#folder")
    playwright.expect(page.locator("#count")).to_contain_text("1 other file passed over")
    playwright.expect(page.locator("#count")).to_contain_text("1 could not be read")
    wanted = script_rows(predictor, films)
    assert saved(page) == "".join(csv_lines(wanted, CLASSES))
    options = page.get_by_role("option").all_inner_texts()
    assert [option.splitlines()[0] for option in options] == [row["file"] for row in wanted]


def test_prevalence_moves_the_probabilities_as_the_script_does(page, predictor, films):
    choose(page, films, of="#folder")
    stated = {"normal": 0.9, "pneumonia": 0.09, "COVID-19": 0.01}
    for name, share in stated.items():
        page.get_by_label(f"Prevalence of {name}", exact=True).fill(str(share))
    wanted = script_rows(predictor, films, prevalence=stated)
    mapped = page.inner_text("#map-meaning")  # the map does not move
    first = f"{wanted[0]['probabilities']['normal']:.3f}"
    playwright.expect(page.locator("#chances dd").first).to_have_text(first)
    playwright.expect(page.locator("#meaning")).to_contain_text(
        "normal 90 %, pneumonia 9 %, COVID-19 1 %"
    )
    assert page.inner_text("#map-meaning") == mapped
    unmoved = max(
        (row := script_rows(predictor, films)[0])["probabilities"], key=row["probabilities"].get
    )
    assert f"what spoke for {unmoved}, " in mapped
    assert saved(page) == "".join(csv_lines(wanted, CLASSES))
    page.get_by_role("button", name="As in training").click()
    playwright.expect(page.locator("#meaning")).to_contain_text("as common as in training")
    assert saved(page) == "".join(csv_lines(script_rows(predictor, films), CLASSES))


def test_the_set_stands_beside_the_probabilities_and_follows_the_coverage(page, predictor, films):
    choose(page, films, of="#folder")
    for share in (COVERAGE, 0.5, 0.99):
        if share != COVERAGE:
            page.get_by_label("Coverage", exact=True).fill(str(share))
        wanted = script_rows(predictor, films, coverage=share)
        inside = page.locator("dt", has_text="in the set")
        playwright.expect(inside).to_have_count(len(wanted[0]["set"]))
        playwright.expect(page.locator("#set")).to_contain_text(", ".join(wanted[0]["set"]))
        playwright.expect(page.locator("#set")).to_contain_text(f"{100 * share:.0f} % have their")
        assert saved(page) == "".join(csv_lines(wanted, CLASSES))
    playwright.expect(page.locator("#set")).to_contain_text(
        "normal is in every set: 20 of the 99 patients"
    )
    slide(page, "Coverage, slider", "0.7")
    assert page.get_by_label("Coverage", exact=True).input_value() == "0.7"
    page.get_by_label("Coverage", exact=True).fill("7")
    error = page.locator("#coverage-error")
    playwright.expect(error).to_have_text("found 7; expected 0.5 to 0.99")
    playwright.expect(page.locator("#set")).to_contain_text("70 % have their")


def test_a_network_of_an_earlier_version_has_no_sets_and_says_so(page, predictor, films):
    predictor.checkpoint["validation"] = None
    page.reload()
    playwright.expect(page.get_by_text("trained or exported by an earlier version")).to_be_visible()
    assert page.get_by_label("Coverage", exact=True).is_disabled()
    choose(page, films / "a.png")
    playwright.expect(page.locator("#set")).to_be_hidden()
    wanted = script_rows(predictor, films / "a.png", coverage=None)
    assert saved(page).splitlines()[0] == "".join(csv_lines(wanted, CLASSES)).splitlines()[0]


def test_the_card_is_one_click_away_and_an_uncalibrated_network_is_said_to_be(
    page, predictor, films
):
    page.get_by_role("button", name="About the network").click()
    card = page.get_by_role("dialog")
    playwright.expect(card.get_by_role("heading", name="What it must not be used")).to_be_visible()
    table = card.get_by_role("table", name="The network")
    playwright.expect(table.get_by_role("row", name="Classes normal, pneumonia")).to_be_visible()
    assert not Axe().run(page).response["violations"]
    page.get_by_role("button", name="Close").click()
    predictor.checkpoint["temperature"] = 1.0
    page.reload()
    choose(page, films / "a.png")
    playwright.expect(page.locator("#meaning")).to_contain_text("are not calibrated")


def test_films_can_be_chosen_once_the_page_knows_its_network(page):
    held = []
    page.route("**/network", lambda route: held.append(route))
    page.reload()
    button = page.get_by_role("button", name="Choose films")
    for _ in range(1000):
        if held:
            break
        page.wait_for_timeout(10)
    playwright.expect(button).to_be_disabled()
    held[0].continue_()
    playwright.expect(button).to_be_enabled()


def test_a_slider_of_prevalence_divides_the_rest_among_the_other_classes(page):
    slide(page, "Prevalence, slider, of normal", "0.6")
    shares = [
        float(page.get_by_label(f"Prevalence of {name}", exact=True).input_value())
        for name in CLASSES
    ]
    assert shares == [0.6, 0.15, 0.25]  # of 0.2, 0.3, 0.5


def test_shares_that_do_not_add_up_say_so(page, films):
    choose(page, films / "a.png")
    page.get_by_label("Prevalence of normal", exact=True).fill("0.9")
    error = page.locator("#shares-error")
    playwright.expect(error).to_have_text("adds up to 1.7; expected 1")
    playwright.expect(page.locator("#meaning")).to_contain_text("as common as in training")


def test_film_heat_map_window_and_zoom_change_what_is_seen(page, films):
    choose(page, films / "b" / "d.dcm")
    assert np.ptp(shown(page), axis=2).max() > 30  # coloured by the heat map
    slide(page, "Heat map", "0")
    gray = shown(page)
    assert np.ptp(gray, axis=2).max() == 0
    slide(page, "Window", "60")
    assert (np.isin(shown(page), [0, 255])).mean() > (np.isin(gray, [0, 255])).mean() + 0.1
    page.get_by_role("button", name="Reset").click()
    np.testing.assert_array_equal(shown(page), gray)
    page.get_by_role("button", name="1 : 1").click()
    playwright.expect(page.locator("#zoom")).to_have_text("100 %")
    inside = (shown(page).max(2) > 0).sum()
    assert 0.97 * 90 * 60 < inside <= 90 * 60


def test_a_dropped_film_with_a_name_like_markup_is_shown_as_text(page, films):
    transfer = page.evaluate_handle(
        """async ([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        [SCRIPT_NAME, list((films / "a.png").read_bytes())],
    )
    page.dispatch_event("#stage", "drop", {"dataTransfer": transfer})
    playwright.expect(page.locator("#file")).to_have_text(SCRIPT_NAME)
    assert page.locator("main img").count() == 0
    assert page.title() != "1"


def test_a_film_that_is_too_large_is_a_row_and_is_not_sent(page, tmp_path):
    sent = []
    page.on("request", lambda request: sent.append(request.url))
    (tmp_path / "large.png").write_bytes(bytes(3_000_001))
    choose(page, tmp_path / "large.png")
    assert "more than 3,000,000 bytes" in page.get_by_role("option").inner_text()
    assert not sent


def test_a_file_that_is_passed_over_while_it_is_chosen_gives_way_to_the_first_film(page, films):
    held = []
    page.route("**/look?**README**", lambda route: held.append(route))
    page.set_input_files("#folder", films)
    waiting = page.get_by_role("option").filter(has_text="waits")
    playwright.expect(waiting).to_have_count(1, timeout=20_000)
    waiting.click()
    playwright.expect(page.locator("#file")).to_have_text("films/README")
    held[0].continue_()
    playwright.expect(page.locator("#status")).to_contain_text("Done: ")
    first = page.get_by_role("option").first
    playwright.expect(first).to_have_attribute("aria-selected", "true")
    playwright.expect(page.locator("#file")).to_have_text(first.get_attribute("title"))


def test_the_first_film_is_shown_though_the_second_comes_back_before_it(page, films):
    held = []
    page.route("**/look?**a.png**", lambda route: held.append(route))
    page.set_input_files("#files", [films / "a.png", films / "b" / "c.png"])
    first, second = page.get_by_role("option").all()
    playwright.expect(second).not_to_contain_text("waits", timeout=20_000)
    playwright.expect(second).to_have_attribute("aria-selected", "false")
    held[0].continue_()
    playwright.expect(first).to_have_attribute("aria-selected", "true")
    playwright.expect(page.locator("#file")).to_have_text("a.png")


def test_the_list_is_walked_by_keys_and_a_doubt_is_in_plain_sight(page, films):
    Image.new("L", (60, 60), 90).save(films / "blank.png")
    choose(page, films / "a.png", films / "blank.png", films / "cut.png")
    listbox = page.get_by_role("listbox", name="Films")
    listbox.focus()
    page.keyboard.press("ArrowDown")
    second = page.get_by_role("option").nth(1)
    playwright.expect(second).to_have_attribute("aria-selected", "true")
    assert listbox.get_attribute("aria-activedescendant") == second.get_attribute("id")
    assert re.match("Doubtful: blank: nearly all of it", page.inner_text("#doubt"))
    page.keyboard.press("End")
    playwright.expect(page.locator("#class")).to_contain_text("Not read: ")
    page.keyboard.press("PageUp")
    playwright.expect(page.locator("#file")).to_have_text("a.png")
    playwright.expect(page.locator("#doubt")).to_be_hidden()
    page.keyboard.press("PageDown")
    playwright.expect(page.locator("#file")).to_have_text("cut.png")
    page.keyboard.press("Home")
    playwright.expect(page.locator("#file")).to_have_text("a.png")


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", (1440, 900)), ("dark", (390, 844))], ids=["wide", "phone"]
)
def test_axe_finds_no_fault_and_the_notice_is_in_view(page, films, scheme, size):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    faults = Axe().run(page).response["violations"]
    choose(page, films, of="#folder")
    faults += Axe().run(page).response["violations"]
    page.mouse.wheel(0, 5000)
    playwright.expect(page.get_by_text(NOTICE).first).to_be_in_viewport()
    page.get_by_role("button", name="About the network").click()
    playwright.expect(page.get_by_text("32 x 32 pixels")).to_be_visible()
    faults += Axe().run(page).response["violations"]
    assert [(fault["id"], fault["nodes"][0]["html"]) for fault in faults] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
