"""The command line, as an operator types it, on an SQLite file."""

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.catalogue.bundled import read_data
from app.catalogue.database import Database
from app.cli import app

GOOD = "gpu,gpus,price,currency,period,region\nRTX 4090,1,289.50,GBP,month,London\nrtx-3090,2,0.40,USD,hour,\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'catalogue.db'}")
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    assert runner.invoke(app, ["migrate"]).exit_code == 0
    assert f"{len(read_data('models')['models'])} models" in runner.invoke(app, ["catalogue", "load"]).output
    Path("prices.csv").write_text(GOOD, encoding="utf-8")
    return runner


def _import(run: CliRunner, *options: str) -> tuple[int, str]:
    result = run.invoke(app, ["catalogue", "import", "prices.csv", "--provider", "Example Hosting", *options])
    return result.exit_code, result.output


def test_loading_twice_says_that_nothing_was_to_do(run: CliRunner) -> None:
    assert "loaded already" in run.invoke(app, ["catalogue", "load"]).output


def test_a_dry_run_prints_the_difference_and_changes_nothing(run: CliRunner) -> None:
    code, output = _import(run, "--dry-run")
    assert code == 0
    assert "1 x rtx-4090, London, on_demand: 289.50 GBP/month" in output
    assert "2 added, 0 changed, 0 withdrawn" in output
    assert "Nothing was changed: this was a dry run." in output
    assert run.invoke(app, ["catalogue", "export"]).output.count("\n") == 1


def test_an_import_an_export_and_a_history(run: CliRunner) -> None:
    assert "This is version 2 of the catalogue." in _import(run)[1]
    assert "Nothing changed." in _import(run)[1]
    exported = run.invoke(app, ["catalogue", "export", "--provider", "Example Hosting"]).output
    assert [row["amount"] for row in csv.DictReader(io.StringIO(exported))] == ["0.40", "289.50"]
    Path("prices.csv").write_text(exported.replace("289.50", "299"), encoding="utf-8")
    code, output = _import(run, "--mode", "replace")
    assert code == 0
    (line,) = [line for line in output.splitlines() if line.startswith("~")]
    assert line.endswith("289.50 GBP/month -> 299 GBP/month")
    history = run.invoke(app, ["catalogue", "history", line.split()[1]]).output.splitlines()
    assert ["299 GBP" in history[0], "289.50 GBP" in history[1]] == [True, True]
    assert "by command line (" in history[0]
    assert history[0].endswith("current")


def test_a_bad_row_is_named_and_nothing_changes(run: CliRunner) -> None:
    Path("prices.csv").write_text(GOOD.replace("0.40", "free").replace("GBP", "quid"), encoding="utf-8")
    code, output = _import(run)
    assert code == 1
    assert "row 2, currency: must be a three-letter currency" in output
    assert "row 3, amount: write a number such as 0.35" in output
    assert "2 errors. Nothing was changed." in output
    assert run.invoke(app, ["catalogue", "export"]).output.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"\xff\xff", b"gpu,amount\n"])
def test_a_file_that_is_no_list_is_refused_in_a_sentence(run: CliRunner, content: bytes) -> None:
    Path("prices.csv").write_bytes(content)
    code, output = _import(run)
    assert code == 1
    assert "This price list cannot be used" in output
    assert "Traceback" not in output


def test_missing_things_end_in_a_sentence(run: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = run.invoke(app, ["catalogue", "import", "nowhere.csv", "--provider", "X"])
    assert (missing.exit_code, "nowhere.csv: No such file" in missing.output) == (1, True)
    assert run.invoke(app, ["catalogue", "history", "unknown"]).exit_code == 1
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    lost = run.invoke(app, ["catalogue", "export"])
    assert (lost.exit_code, "The database refused" in lost.output) == (1, True)
    monkeypatch.setenv("DATABASE_URL", "mysql://x")
    unusable = run.invoke(app, ["catalogue", "export"])
    assert (unusable.exit_code, "must begin with sqlite:// or postgresql://" in unusable.output) == (1, True)


def test_rates_are_brought_in(run: CliRunner, tmp_path: Path) -> None:
    Path("rates.csv").write_text("base,currency,rate,observed_on\nEUR,USD,1.1,2026-11-20\n", encoding="utf-8")
    assert "1 EUR = 1.1 USD" in run.invoke(app, ["catalogue", "rates", "rates.csv"]).output
    assert "Nothing changed." in run.invoke(app, ["catalogue", "rates", "rates.csv"]).output
    database = Database(f"sqlite:///{tmp_path / 'catalogue.db'}")
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM currency_rate").scalar_one() == 1
    database.close()


def test_gpuhunts_catalogue_is_brought_in(run: CliRunner) -> None:
    Path("aws.csv").write_text(
        "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size\n"
        "g5.xlarge,us-east-1,1.006,4,16,1,A10G,24.0,False,\nc5.large,us-east-1,0.085,2,4,0,,,False,\n",
        encoding="utf-8",
    )
    output = run.invoke(app, ["catalogue", "import", "aws.csv", "--provider", "AWS", "--format", "gpuhunt"]).output
    assert "left out: 1 rows without a card" in output
    assert "1 x a10g, us-east-1, on_demand: 1.006 USD/hour" in output
