"""Price lists as files: what is taken, what is refused and how, and the round trip."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalogue.facts import Commitment, Offer, Period
from app.catalogue.importing import FileFormat, export_offers, read_price_list
from app.catalogue.offer_files import FileError, RawRow
from app.catalogue.offer_rows import RowError, RowReader
from app.catalogue.snapshot import Snapshot

TODAY = date(2026, 11, 24)
GOOD: dict[str, object] = {"gpu": "rtx-4090", "amount": "0.35", "currency": "USD", "period": "hour"}


def _read(*rows: Mapping[str, object]) -> tuple[list[Offer], list[RowError]]:
    reader = RowReader(snapshot=Snapshot.bundled(), provider="Example Hosting", today=TODAY)
    return reader.read([RawRow(number, row) for number, row in enumerate(rows, start=2)])


def test_a_full_row_is_read() -> None:
    content = (
        "\ufeffGPU;gpu count;price;currency;period;commitment;minimum term;setup fee;"
        "tax included;region;in stock;date;url\n"
        "\n"
        "RTX 4090;2;289.50;gbp;Monthly;on-demand;3 Months;49;yes;London;no;2026-11-01;https://x.example/o?g={gpu}\n"
    ).encode()
    price_list = read_price_list(content, FileFormat.CSV)
    offers, errors = RowReader(snapshot=Snapshot.bundled(), provider="Example Hosting", today=TODAY).read(
        price_list.rows
    )
    assert errors == []
    (offer,) = offers
    assert (offer.provider, offer.provider_slug) == ("Example Hosting", "example-hosting")
    assert (offer.gpu, offer.gpus_per_server, offer.amount) == ("rtx-4090", 2, Decimal("289.50"))
    assert (offer.currency, offer.period, offer.commitment) == ("GBP", Period.MONTH, Commitment.ON_DEMAND)
    assert (offer.minimum_term, offer.setup_fee, offer.tax_included) == ("3 months", Decimal(49), True)
    assert (offer.region, offer.in_stock, offer.observed_on) == ("London", False, date(2026, 11, 1))
    assert offer.order_url == "https://x.example/o?g={gpu}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("gpu", "rtx-4091", "no card is called"),
        ("amount", "-1", "more than 0"),
        ("amount", "0", "more than 0"),
        ("amount", "NaN", "at most"),
        ("amount", "Infinity", "at most"),
        ("amount", "1e400", "at most"),
        ("amount", "1,50", "a point, not a comma"),
        ("amount", "0.0000000001", "decimal places"),
        ("amount", "free", "write a number"),
        ("amount", True, "write a number"),
        ("amount", {"a": 1}, "write a number"),
        ("currency", "US$", "three-letter"),
        ("currency", "XYZ", "three-letter"),
        ("period", "week", "hour or month"),
        ("commitment", "maybe", "on_demand, spot or reserved"),
        ("minimum_term", "soon", "such as 3 months"),
        ("minimum_term", "0 months", "such as 3 months"),
        ("gpus_per_server", "1.5", "whole number"),
        ("gpus_per_server", "0", "whole number"),
        ("gpus_per_server", "99999", "whole number"),
        ("observed_on", "2027-06-01", "future"),
        ("observed_on", "01/06/2026", "such as 2026-05-24"),
        ("order_url", "javascript:alert(1)", "web address"),
        ("order_url", "https://u:p@x.example/", "web address"),
        ("order_url", "https://x.example/{shop}", "{gpu}, {ref} and {utm}"),
        ("order_url", "https://{ref}.example/", "without placeholders"),
        ("order_url", "https://x.example/\r\nSet-Cookie: a=b", "line breaks"),
        ("order_url", 'https://x.example/"onload=', "web address"),
        ("order_url", "https://[::1", "IPv6"),
        ("region", "a\nb", "line breaks"),
        ("region", "x" * 121, "longer than 120"),
        ("in_stock", "perhaps", "true or false"),
        ("provider", "Somebody Else", "this list is of Example Hosting"),
        ("prise", "1", "not a column"),
    ],
)
def test_a_bad_value_is_refused_by_row_and_field(field: str, value: object, message: str) -> None:
    offers, errors = _read(GOOD, GOOD | {"sku": "second", field: value})
    assert len(offers) == 1
    (error,) = errors
    assert (error.row, error.field) == (3, field)
    assert message in error.message


def test_an_unknown_card_suggests_the_nearest() -> None:
    (error,) = _read(GOOD | {"gpu": "rtx 4091"})[1]
    assert "rtx-4090" in error.suggestions
    (error,) = _read(GOOD | {"gpu": "H100"})[1]
    assert set(error.suggestions) == {"h100-pcie", "h100-sxm", "h100-nvl"}


def test_all_errors_of_all_rows_are_named() -> None:
    _, errors = _read({"gpu": "nothing"}, GOOD, GOOD | {"period": "x", "currency": "y", "sku": "z"})
    assert [(error.row, error.field) for error in errors] == [
        (2, "gpu"), (2, "amount"), (2, "currency"), (2, "period"), (4, "currency"), (4, "period"),
    ]  # fmt: skip


def test_the_same_server_twice_is_refused() -> None:
    _, errors = _read(GOOD, GOOD | {"amount": "0.40"})
    assert [(error.row, error.field) for error in errors] == [(3, "sku")]
    assert not _read(GOOD | {"sku": "a"}, GOOD | {"sku": "b"})[1]


def test_a_server_keeps_its_id_through_prices_links_and_dates() -> None:
    changed = {
        "amount": "9",
        "order_url": "https://x.example/",
        "observed_on": "2026-01-01",
        "note": "n",
        "in_stock": "no",
    }
    ((first,), _), ((second,), _) = _read(GOOD), _read(GOOD | changed)
    assert first.id == second.id
    ((other,), _) = _read(GOOD | {"region": "eu"})
    assert other.id != first.id


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"gpu,gpu\na,b\n",
        b"gpu,amount,currency,period\n",
        b"\xff\xfe\x00",
        b'gpu,amount\n"unclosed,1\n',
    ],
)
def test_a_file_that_is_no_price_list_is_refused(content: bytes) -> None:
    with pytest.raises(FileError):
        read_price_list(content, FileFormat.CSV)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[1]", b"[[]]", b'{"offers": {}}', b"nope", b"[" * 100_000, b'[{"amount": NaN}]', b"[]", b"null"],
)
def test_json_that_is_no_price_list_is_refused(content: bytes) -> None:
    with pytest.raises(FileError):
        read_price_list(content, FileFormat.JSON)


def test_json_numbers_are_read_exactly() -> None:
    price_list = read_price_list(
        b'{"offers": [{"gpu": "rtx-4090", "amount": 0.1000000001e1, "currency": "USD", "period": "hour"}]}',
        FileFormat.JSON,
    )
    offers, errors = RowReader(snapshot=Snapshot.bundled(), provider="X", today=TODAY).read(price_list.rows)
    assert errors == []
    assert offers[0].amount == Decimal("1.000000001")


_words = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30
).map(str.strip).filter(bool) | st.sampled_from(
    ["=1+1", "+1", "-1", "@SUM(A1)", "'=x", "''=x", "'", '"a","b"', "a;b", "0"]
)


@given(
    text=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("region", "cpu", "disk", "network", "software", "note", "sku"), _words)
    ),
    amount=st.decimals(min_value="0.000000001", max_value="9999999", places=9),
    file_format=st.sampled_from([FileFormat.CSV, FileFormat.JSON]),
)
def test_an_export_comes_back_unchanged_and_runs_no_formula(
    text: dict[str, str], amount: Decimal, file_format: FileFormat
) -> None:
    offers, errors = _read(GOOD | text | {"amount": str(amount)})
    assert errors == []
    exported = export_offers(offers, file_format)
    reader = RowReader(snapshot=Snapshot.bundled(), provider="Example Hosting", today=TODAY)
    again, errors = reader.read(read_price_list(exported.encode(), file_format).rows)
    assert errors == []
    assert again == offers
    if file_format is FileFormat.CSV:
        import csv
        import io

        for row in csv.reader(io.StringIO(exported, newline="")):
            assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


GPUHUNT = b"""instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,gpu_vendor,flags
p4de.24xlarge,us-east-1,40.96,96,1152,8,A100,80.0,False,,nvidia,
p4de.24xlarge,us-east-1,12.5,96,1152,8,A100,80.0,True,,nvidia,
H100-SXM-80GB,eu,2.99,26,225,1,H100,80.0,False,100.0,nvidia,
c5.large,us-east-1,0.085,2,4,0,,,False,,,
tpu-v4,us,1.0,1,1,1,v4,0,False,,google,
mi250,eu,3.0,1,1,4,MI250X,128.0,False,,amd,
"""


def test_gpuhunts_catalogue_is_read_and_what_is_left_out_is_said() -> None:
    price_list = read_price_list(GPUHUNT, FileFormat.GPUHUNT)
    offers, errors = RowReader(snapshot=Snapshot.bundled(), provider="AWS", today=TODAY).read(price_list.rows)
    assert errors == []
    assert [(o.gpu, o.gpus_per_server, o.amount, o.commitment) for o in offers] == [
        ("a100-80gb-pcie", 8, Decimal("40.96"), Commitment.ON_DEMAND),
        ("a100-80gb-pcie", 8, Decimal("12.5"), Commitment.SPOT),
        ("h100-sxm", 1, Decimal("2.99"), Commitment.ON_DEMAND),
        ("mi250x", 8, Decimal("3.0"), Commitment.ON_DEMAND),
    ]
    assert "taken as PCIe" in (offers[0].note or "")
    assert "two devices a board" in (offers[3].note or "")
    assert price_list.left_out == ("1 rows without a card", "1 rows with an unknown card (v4, 0 GB)")


def test_another_file_is_not_taken_for_gpuhunts() -> None:
    with pytest.raises(FileError, match="not gpuhunt's"):
        read_price_list(b"gpu,amount\nrtx-4090,1\n", FileFormat.GPUHUNT)


def test_a_suggestion_is_a_sentence_of_its_own() -> None:
    _, (error,) = _read({**GOOD, "gpu": "RTX 4099"})
    assert str(error).startswith("row 2, gpu: no card is called 'RTX 4099'. Did you mean rtx-4090")


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_with_an_exponent_of_many_digits_is_refused_in_words(sign: str) -> None:
    content = f'[{{"gpu": "h100-sxm", "amount": 1e{sign}{"1" * 400}}}]'.encode()
    with pytest.raises(FileError, match=r"not JSON: the number 1e.{1,20}… has too long an exponent"):
        read_price_list(content, FileFormat.JSON)
