"""Every example of the documentation runs, as it is written, against a service."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright._impl._driver import compute_driver_executable

from tests.conftest import missing

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/api-examples.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```(sh|python|javascript)\n(.*?)^```$", TEXT, flags=re.M | re.S)
WRITTEN = "http://127.0.0.1:8000"


def _node() -> str:
    """The one that comes with Playwright, so that the tests need no other."""
    return str(compute_driver_executable()[0])


@pytest.mark.parametrize(
    ("language", "source"), EXAMPLES, ids=[f"{number}-{language}" for number, (language, _) in enumerate(EXAMPLES)]
)
def test_it_runs_as_written(service: str, tmp_path: Path, language: str, source: str) -> None:
    if language == "sh" and shutil.which("curl") is None:
        missing("curl", "apt-get install curl")
    assert WRITTEN in source
    file = tmp_path / {"sh": "example.sh", "python": "example.py", "javascript": "example.mjs"}[language]
    file.write_text(source.replace(WRITTEN, service), encoding="utf-8")
    words = {"sh": ["sh", "-eu"], "python": [sys.executable], "javascript": [_node()]}[language]
    ended = subprocess.run([*words, str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_each_language_has_examples() -> None:
    assert {language for language, _ in EXAMPLES} == {"sh", "python", "javascript"}
