"""What people do on the page, in a real browser against the real service."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.bundles import ANOMALOUS_ROW, NORMAL_ROW, press_line_bundle
from tests.serving.pages.service import OpenPage, application, running

HEADER = "timestamp,vibration,current,sound"
WIDTHS = [360, 1400]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("rows")
    press_line_bundle(folder / "bundle")
    with running(application(folder, folder / "bundle")) as address:
        yield f"{address}try"


@pytest.fixture(scope="module")
def windowed_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("windows")
    press_line_bundle(folder / "bundle", window_length=3)
    with running(application(folder, folder / "bundle")) as address:
        yield f"{address}try"


def _fill(page: Page, row: list[float]) -> None:
    for name, value in zip(("vibration", "current", "sound"), row, strict=True):
        page.get_by_label(name, exact=True).fill(str(value))


def _file(folder: Path, rows: list[str], encoding: str = "utf-8", header: str = HEADER) -> Path:
    path = folder / "日 報.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding=encoding)
    return path


def _line(number: int, row: list[float]) -> str:
    return f"2026-11-23T08:00:{number:02d}Z," + ",".join(map(str, row))


def _sideways(page: Page) -> int:
    """Pixels by which the page is wider than its window."""
    width: int = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return width


def test_the_example_in_the_form_is_judged_normal(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#verdict .word")).to_have_text("Normal")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("language", "word"), [("en", "Anomaly"), ("ja", "異常")])
def test_an_anomaly_shows_its_score_rarity_and_each_sensors_share(
    service: str, open_page: OpenPage, width: int, language: str, word: str
) -> None:
    page = open_page(service, width=width, language=language)
    _fill(page, ANOMALOUS_ROW)
    page.locator("#row-form button[type=submit]").click()
    verdict = page.locator("#verdict")
    expect(verdict.locator(".word")).to_have_text(word)
    expect(verdict.locator(".shares li")).to_have_count(3)
    shares = [
        float(text.removesuffix("\u00a0%")) for text in verdict.locator(".amount").all_inner_texts()
    ]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert "{" not in page.locator("main").inner_text()
    expect(page.locator("#histogram-mark line")).to_have_count(1)
    assert _sideways(page) <= 0


def test_a_row_is_scored_with_the_keyboard_alone_and_said_aloud(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service)
    page.get_by_label("vibration", exact=True).focus()
    for value in ANOMALOUS_ROW:
        page.keyboard.press("ControlOrMeta+A")
        page.keyboard.type(str(value))
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Score", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#said[role=status]")).to_contain_text("Anomaly. Score")


def test_the_first_tab_stop_leads_past_the_header_to_the_content(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_a_reading_beyond_the_instrument_is_an_anomaly_and_named(
    service: str, open_page: OpenPage
) -> None:
    page = open_page(service)
    page.get_by_label("sound", exact=True).fill("99")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict .note")).to_contain_text("sound: beyond the instrument's limits")


def test_what_is_no_number_is_said_beside_its_field(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    _fill(page, NORMAL_ROW)
    page.get_by_label("current", exact=True).fill("0,9")
    page.get_by_label("sound", exact=True).fill("high")
    page.keyboard.press("Enter")
    expect(page.locator("#wrong-1")).to_have_text("“0,9”: write the decimal sign as a point.")
    expect(page.locator("#wrong-2")).to_have_text("“high” is not a number.")
    expect(page.get_by_label("current", exact=True)).to_be_focused()
    expect(page.locator("#verdict .word")).to_have_count(0)


def test_full_width_digits_are_digits(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    page.get_by_label("vibration", exact=True).fill("１．２")
    page.keyboard.press("Enter")
    expect(page.locator("#verdict .word")).to_have_text("Normal")


def test_a_row_pasted_into_the_first_field_fills_all(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    page.get_by_label("vibration", exact=True).evaluate(
        """(field) => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text", "1.5\\t0.7\\t1.3\\n");
            field.dispatchEvent(new ClipboardEvent("paste", { clipboardData, cancelable: true }));
        }"""
    )
    expect(page.get_by_label("sound", exact=True)).to_have_value("1.3")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_csv_file_shows_its_counts_its_chart_and_its_anomalies(
    service: str, open_page: OpenPage, tmp_path: Path, width: int
) -> None:
    rows = [_line(number, NORMAL_ROW) for number in range(20)]
    rows[7] = _line(7, ANOMALOUS_ROW)
    page = open_page(service, width=width)
    page.locator("#file").set_input_files(_file(tmp_path, rows))
    expect(page.locator("#file-said")).to_have_text("日 報.csv: rows 20, anomalies 1.")
    expect(page.locator(".summary .figure")).to_have_text(["20", "1", "5 %"])
    expect(page.locator("#file-scores .drawing .dot")).to_have_count(1)
    expect(page.locator("#file-scores .drawing .limit")).to_have_count(1)
    cells = page.locator("#file-scores tbody tr td")
    expect(cells.nth(0)).to_have_text("7")
    expect(cells.nth(1)).to_have_text("9")
    expect(cells.nth(2)).to_have_text("2026-11-23T08:00:07Z")
    assert _sideways(page) <= 0


def test_a_row_of_a_file_can_be_explained(
    service: str, open_page: OpenPage, tmp_path: Path
) -> None:
    rows = [_line(0, NORMAL_ROW), _line(1, ANOMALOUS_ROW)]
    page = open_page(service)
    page.locator("#file").set_input_files(_file(tmp_path, rows))
    page.get_by_role("button", name="Explain row 1").click()
    expect(page.locator("#verdict .word")).to_have_text("Anomaly")
    expect(page.get_by_label("sound", exact=True)).to_have_value(str(ANOMALOUS_ROW[2]))


def test_the_scored_file_keeps_its_columns_and_adds_two(
    service: str, open_page: OpenPage, tmp_path: Path
) -> None:
    rows = [
        f'"a ""note"", on\ntwo lines",{",".join(map(str, NORMAL_ROW))}',
        _line(1, ANOMALOUS_ROW),
    ]
    page = open_page(service)
    page.locator("#file").set_input_files(_file(tmp_path, rows))
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the scored CSV").click()
    assert download.value.suggested_filename == "日 報-scored.csv"
    with Path(download.value.path()).open(encoding="utf-8-sig", newline="") as file:
        scored = list(csv.DictReader(file))
    assert [row["status"] for row in scored] == ["normal", "anomaly"]
    assert scored[0]["timestamp"] == 'a "note", on\ntwo lines'
    assert float(scored[1]["score"]) > float(scored[0]["score"])


def test_a_shift_jis_file_is_read_and_said_to_be_one(
    service: str, open_page: OpenPage, tmp_path: Path
) -> None:
    header = "機械,vibration,current,sound"
    rows = [f"プレス,{','.join(map(str, ANOMALOUS_ROW))}"]
    page = open_page(service, language="ja")
    page.locator("#file").set_input_files(_file(tmp_path, rows, "shift_jis", header))
    expect(page.locator("#file-scores .note")).to_contain_text("Shift_JIS")
    expect(page.locator("#file-scores tbody td").nth(2)).to_have_text("プレス")


def test_every_problem_of_a_file_is_listed_with_row_and_sensor(
    service: str, open_page: OpenPage, tmp_path: Path
) -> None:
    rows = [_line(number, NORMAL_ROW) for number in range(6)]
    rows[2] = "x,n/a,1,1"
    rows[4] = "x,1,,1"
    page = open_page(service)
    page.locator("#file").set_input_files(_file(tmp_path, rows))
    expect(page.locator("#file-said")).to_have_text("日 報.csv cannot be scored")
    listed = page.locator("#file-scores tbody tr")
    expect(listed).to_have_count(2)
    expect(listed.nth(0).locator("td")).to_have_text(
        ["2", "4", "vibration", "“n/a” is not a number."]
    )
    expect(listed.nth(1).locator("td")).to_have_text(["4", "6", "current", "The cell is empty."])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x,1,abc,1", "「abc」は数値ではありません。"),
        ("x,1,,1", "セルが空です。"),
        ("x,1,1", "この行のセルは 3 個、見出しの行は 4 個です。"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_the_readers_language(
    service: str, open_page: OpenPage, tmp_path: Path, line: str, said: str
) -> None:
    page = open_page(service, language="ja")
    page.locator("#file").set_input_files(_file(tmp_path, [_line(0, NORMAL_ROW), line]))
    expect(page.locator("#file-scores tbody tr td").last).to_have_text(said)


def test_a_file_dropped_on_the_frame_is_scored(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    page.locator("#drop").evaluate(
        """(frame, text) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], "dropped.csv"));
            frame.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        f"{HEADER}\n{_line(0, NORMAL_ROW)}\n",
    )
    expect(page.locator("#file-said")).to_have_text("dropped.csv: rows 1, anomalies 0.")


def test_the_switch_changes_the_language_and_it_stays(service: str, open_page: OpenPage) -> None:
    page = open_page(service)
    page.get_by_role("link", name="日本語").click()
    expect(page.get_by_role("heading", name="判定結果")).to_be_visible()
    page.goto(service)
    expect(page.get_by_role("heading", name="判定結果")).to_be_visible()


def test_a_window_is_scored_from_its_rows(windowed_service: str, open_page: OpenPage) -> None:
    page = open_page(windowed_service)
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#verdict .word")).to_have_text("Normal")
    window = page.get_by_label("Rows, values separated by commas")
    window.fill("\n".join(["1.2 0.9 1.1", "1.2\t0.9\t1.1", "1, 2, 3"]))
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#verdict .word")).to_have_text("Anomaly")


def test_a_window_with_too_few_rows_says_how_many_are_needed(
    windowed_service: str, open_page: OpenPage
) -> None:
    page = open_page(windowed_service)
    page.get_by_label("Rows, values separated by commas").fill("1.2, 0.9, 1.1")
    page.get_by_role("button", name="Score", exact=True).click()
    expect(page.locator("#wrong-window")).to_have_text(
        "Rows given: 1. This model judges windows of 3."
    )


def test_the_first_rows_of_a_file_have_no_verdict_with_windows(
    windowed_service: str, open_page: OpenPage, tmp_path: Path
) -> None:
    rows = [_line(number, NORMAL_ROW) for number in range(10)]
    rows[9] = _line(9, ANOMALOUS_ROW)
    page = open_page(windowed_service)
    page.locator("#file").set_input_files(_file(tmp_path, rows))
    expect(page.locator(".summary .figure")).to_have_text(["10", "1", "12.5 %", "2"])
    page.get_by_role("button", name="Explain row 9").click()
    expect(page.locator("#verdict .word")).to_have_text("Anomaly")


def test_the_page_without_a_model_opens_by_itself_when_there_is_one(
    tmp_path: Path, open_page: OpenPage
) -> None:
    with running(application(tmp_path, tmp_path / "bundle")) as address:
        page = open_page(f"{address}try")
        expect(page.get_by_role("heading", level=1)).to_contain_text("no model to judge with")
        expect(page.locator("#reason")).to_contain_text(str(tmp_path / "bundle"))
        press_line_bundle(tmp_path / "made")
        (tmp_path / "made").rename(tmp_path / "bundle")
        expect(page.locator("#row-form")).to_be_visible()
        page.get_by_role("button", name="Score", exact=True).click()
        expect(page.locator("#verdict .word")).to_have_text("Normal")


def test_a_page_says_when_another_model_has_begun_to_serve(
    tmp_path: Path, open_page: OpenPage
) -> None:
    press_line_bundle(tmp_path / "bundle")
    with running(application(tmp_path, tmp_path / "bundle")) as address:
        page = open_page(f"{address}try")
        new = press_line_bundle(tmp_path / "bundle", seed=1)
        page.get_by_role("button", name="Show the new model").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text(new.hash[:12])
