"""The calculator driven as people drive it: with and without scripts, on a phone and a desktop, by keyboard alone."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage

pytestmark = pytest.mark.browser

SCREENS = [(390, False), (390, True), (1280, False), (1280, True)]


def heading(page: Page) -> str:
    return page.locator("h1").inner_text()


@pytest.mark.parametrize(("width", "dark"), SCREENS)
@pytest.mark.parametrize("scripts", [False, True])
def test_choosing_another_run_changes_the_answer(open_page: OpenPage, width: int, dark: bool, scripts: bool) -> None:
    page = open_page("/", width=width, dark=dark, scripts=scripts)
    before = heading(page)
    page.locator("#f-sequence_length").fill("4096")
    page.locator("#f-model").fill("Mistral 7B v0.1")
    page.keyboard.press("Tab")
    page.locator(".seg").get_by_text("LoRA", exact=True).click()
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#method-lora")).to_be_visible()
    expect(page.locator("article.on h3")).to_have_text("LoRA")
    expect(page.locator(".say p")).to_contain_text("Mistral 7B v0.1, 4 × 4,096 tokens")
    assert heading(page) != before
    assert "model=" in page.url
    assert "sequence_length=4096" in page.url
    assert page.locator("#f-sequence_length").input_value() == "4096"


def test_the_answer_follows_the_typing_and_the_address_the_answer(open_page: OpenPage) -> None:
    page = open_page("/")
    before = heading(page)
    page.locator("#f-micro_batch_size").fill("16")
    expect(page.locator("h1")).not_to_have_text(before)
    expect(page).to_have_url(re.compile(r"/\?model=llama-3-8b&method=qlora&micro_batch_size=16&gpu=rtx-3090$"))
    expect(page.get_by_role("status")).to_have_text(heading(page))
    assert page.locator("#permalink").input_value() == page.url
    after = heading(page)
    page.reload()
    assert heading(page) == after


def test_a_wrong_value_is_answered_at_its_field_without_losing_anything(open_page: OpenPage) -> None:
    page = open_page("/")
    field = page.locator("#f-micro_batch_size")
    field.fill("0")
    expect(page.locator("#f-micro_batch_size-error")).to_contain_text("It takes a whole number from 1 to 65,536.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    field.fill("2")
    expect(page.locator("#f-micro_batch_size-error")).to_be_empty()
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(page.locator("h1")).to_contain_text("Fits")


def test_without_a_script_a_wrong_value_comes_back_with_its_message(open_page: OpenPage) -> None:
    page = open_page("/", scripts=False)
    page.locator("#f-sequence_length").fill("0")
    page.get_by_role("button", name="Update").click()
    expect(page.locator("h1")).to_have_text("One field needs another look")
    expect(page.locator("#f-sequence_length-error")).to_contain_text("You wrote “0”")
    assert page.locator("#f-sequence_length").input_value() == "0"


def test_a_result_moves_nothing_but_what_it_changes(open_page: OpenPage) -> None:
    for width in (390, 1280):
        page = open_page("/", width=width)
        field = page.locator("#f-micro_batch_size")
        field.scroll_into_view_if_needed()
        top = field.bounding_box()
        before = heading(page)
        field.fill("64")
        expect(page.locator("h1")).not_to_have_text(before)
        after = field.bounding_box()
        assert top
        assert after
        assert abs(top["y"] - after["y"]) < 2
        assert page.evaluate("window.shift") < 0.02


def test_the_model_search_works_by_keyboard_alone(open_page: OpenPage) -> None:
    page = open_page("/")
    search = page.get_by_role("combobox", name="Model")
    search.focus()
    page.keyboard.type("qwen2.5 14b")
    options = page.get_by_role("option")
    expect(options.first).to_contain_text("Qwen2.5 14B")
    expect(search).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowDown")
    chosen = options.first.evaluate("option => option.dataset.name")
    expect(search).to_have_attribute("aria-activedescendant", "model-option-0")
    page.keyboard.press("Enter")
    expect(search).to_have_value(chosen)
    expect(page.locator(".say p")).to_contain_text(chosen)
    search.focus()
    page.keyboard.type("llama")
    expect(options.first).to_be_visible()
    page.keyboard.press("Escape")
    expect(options.first).to_be_hidden()


def test_the_keyboard_reaches_everything_in_order(open_page: OpenPage) -> None:
    page = open_page("/")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the result")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.locator("summary", has_text="Adapters").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#f-lora_rank")).to_be_visible()
    page.get_by_role("radio", name="QLoRA").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("article.on h3")).to_have_text("LoRA")


def test_a_suggestion_is_applied_by_one_click(open_page: OpenPage) -> None:
    for scripts in (False, True):
        page = open_page("/?model=llama-3-8b&method=lora&stack=plain&gpu=rtx-3090", scripts=scripts)
        expect(page.locator("h1")).to_contain_text("Does not fit a 24 GB card")
        page.get_by_role("link", name="Turn on gradient checkpointing").click()
        expect(page.locator("h1")).to_contain_text("Fits a 24 GB card")
        assert "gradient_checkpointing=full" in page.url


def test_cards_show_six_then_all_on_a_page_of_their_own(open_page: OpenPage) -> None:
    page = open_page("/?model=llama-3-8b&method=lora&gpu=rtx-4090", width=390, scripts=False)
    rows = page.locator("#cards table.cards tbody tr:visible")
    assert rows.count() == 6
    cheapest = rows.first.inner_text()
    page.get_by_role("link", name=re.compile("^Every card: ")).click()
    held, of = re.match(r"(\d+) of (\d+) cards hold this run", page.locator("h1").inner_text()).groups()  # type: ignore[union-attr]
    assert page.locator("main section tbody tr, main ul.names li").count() == int(of) > int(held) > 6
    assert page.locator("tbody tr").first.inner_text() == cheapest


def test_open_folds_stay_open_when_the_result_changes(open_page: OpenPage) -> None:
    page = open_page("/")
    fold = page.locator("#results details", has_text="What we assume")
    fold.locator("summary").click()
    before = heading(page)
    page.locator("#f-micro_batch_size").fill("8")
    expect(page.locator("h1")).not_to_have_text(before)
    expect(fold.locator("li").first).to_be_visible()


def test_copy_buttons_show_only_where_they_work(open_page: OpenPage) -> None:
    assert open_page("/", scripts=False).get_by_role("button", name="Copy link").count() == 0
    page = open_page("/")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#permalink").input_value()


def test_from_a_phone_this_card_at_this_price_needs_one_tap(open_page: OpenPage) -> None:
    page = open_page("/", width=390)
    page.get_by_role("link", name=re.compile("Compare .* cards")).click()
    first = page.locator("#cards tbody tr").first
    expect(first).to_be_in_viewport()
    assert re.search(r"US\$[\d.]+ an hour", first.inner_text())


def test_what_was_tried_is_kept_for_the_visit(open_page: OpenPage) -> None:
    page = open_page("/")
    assert page.locator("#visit").is_hidden()
    page.locator("#f-micro_batch_size").fill("8")
    expect(page.locator("#visit li")).to_have_count(2)
    page.locator("#visit summary").click()
    page.locator("#visit li a").last.click()
    expect(page.locator("#f-micro_batch_size")).to_have_value("4")
    expect(page.locator("#visit li")).to_have_count(2)
