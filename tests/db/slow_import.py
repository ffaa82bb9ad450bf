"""Run by a test: an import that stops inside its transaction, to be killed there."""

import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from app.catalogue import changes, importing
from app.catalogue.changes import Mode
from app.catalogue.database import Database
from app.catalogue.importing import FileFormat, import_offers, read_price_list
from app.settings import Settings


def main() -> None:
    """Write everything, say so, and wait for the end."""
    real = changes.apply

    def apply_and_wait(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        print("inside", flush=True)
        time.sleep(600)

    vars(importing)["apply"] = apply_and_wait
    import_offers(
        Database(Settings().database_url),
        read_price_list(Path(sys.argv[1]).read_bytes(), FileFormat.CSV),
        provider="Example Hosting",
        mode=Mode.MERGE,
        actor="killed",
        today=date(2026, 11, 24),
    )


if __name__ == "__main__":
    main()
