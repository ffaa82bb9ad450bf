"""gpuhunt's catalogue (github.com/dstackai/gpuhunt): one CSV file a provider, prices in US dollars an hour.

Columns: ``instance_name, location, price, cpu, memory, gpu_count, gpu_name, gpu_memory, spot, disk_size, …``; ``price``
is of the whole instance, memory in GB.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from app.catalogue.offer_files import FileError, RawRow

_CARDS: Final[Mapping[tuple[str, int], str]] = {
    ("A2", 16): "a2",
    ("A10", 24): "a10",
    ("A10G", 24): "a10g",
    ("A16", 16): "a16",
    ("A30", 24): "a30",
    ("A40", 48): "a40",
    ("A100", 40): "a100-40gb-pcie",
    ("A100", 80): "a100-80gb-pcie",
    ("A4000", 16): "rtx-a4000",
    ("A4500", 20): "rtx-a4500",
    ("A5000", 24): "rtx-a5000",
    ("A6000", 48): "rtx-a6000",
    ("B200", 180): "b200",
    ("B300", 288): "b300",
    ("GB200", 186): "gb200",
    ("GH200", 96): "gh200-96gb",
    ("H100", 80): "h100-pcie",
    ("H100NVL", 94): "h100-nvl",
    ("H200", 141): "h200-sxm",
    ("L4", 24): "l4",
    ("L40", 48): "l40",
    ("L40S", 48): "l40s",
    ("P100", 16): "p100-pcie",
    ("P40", 24): "p40",
    ("RTX2000ADA", 16): "rtx-2000-ada",
    ("RTX3060", 12): "rtx-3060-12gb",
    ("RTX3060TI", 8): "rtx-3060-ti",
    ("RTX3070", 8): "rtx-3070",
    ("RTX3070TI", 8): "rtx-3070-ti",
    ("RTX3080", 10): "rtx-3080-10gb",
    ("RTX3080", 12): "rtx-3080-12gb",
    ("RTX3080TI", 12): "rtx-3080-ti",
    ("RTX3090", 24): "rtx-3090",
    ("RTX3090TI", 24): "rtx-3090-ti",
    ("RTX4000ADA", 20): "rtx-4000-ada",
    ("RTX4070", 12): "rtx-4070",
    ("RTX4070TI", 12): "rtx-4070-ti",
    ("RTX4080", 16): "rtx-4080",
    ("RTX4090", 24): "rtx-4090",
    ("RTX5000ADA", 32): "rtx-5000-ada",
    ("RTX5080", 16): "rtx-5080",
    ("RTX5090", 32): "rtx-5090",
    ("RTX6000ADA", 48): "rtx-6000-ada",
    ("RTXPRO6000", 96): "rtx-pro-6000-server",
    ("T4", 16): "t4",
    ("V100", 16): "v100-16gb-pcie",
    ("V100", 32): "v100-32gb-pcie",
    ("MI100", 32): "mi100",
    ("MI210", 64): "mi210",
    ("MI250", 128): "mi250",
    ("MI250X", 128): "mi250x",
    ("MI300X", 192): "mi300x",
    ("MI325X", 256): "mi325x",
    ("GAUDI2", 96): "gaudi2",
    ("GAUDI3", 128): "gaudi3",
}
"""Name and GB there to slug here. Where the name leaves the form open, the slower PCIe card is taken and noted."""

_FORM_OPEN: Final = {"a100-40gb-pcie", "a100-80gb-pcie", "h100-pcie", "v100-16gb-pcie", "v100-32gb-pcie"}
_SXM: Final = re.compile(r"sxm|hgx|nvlink", re.IGNORECASE)
_TWO_DEVICES: Final = {"mi250", "mi250x"}
_NEEDED: Final = ("instance_name", "amount", "gpus_per_server", "gpu_name", "gpu_memory")


def gpuhunt_rows(rows: Iterable[RawRow]) -> tuple[list[RawRow], tuple[str, ...]]:
    """The same rows with this catalogue's columns, and the reasons for which others were left out, with their number.

    Raises ``FileError`` for a file of another kind.
    """
    taken: list[RawRow] = []
    reasons: Counter[str] = Counter()
    for row in rows:
        values = row.values
        if not taken and not reasons and not {"gpus_per_server", "instance_name"} <= values.keys():
            raise FileError("this is not gpuhunt's catalogue: it lacks instance_name or gpu_count")
        if values.get("gpus_per_server") == "0":
            reasons["without a card"] += 1
            continue
        missing = [name for name in _NEEDED if name not in values]
        if missing:
            reasons[f"without {missing[0]}"] += 1
            continue
        slug = _slug(values)
        if slug is None:
            reasons[f"with an unknown card ({values['gpu_name']}, {values['gpu_memory']} GB)"] += 1
        else:
            taken.append(RawRow(row.number, _columns(values, slug)))
    return taken, tuple(f"{count} rows {reason}" for reason, count in reasons.most_common())


def _slug(values: Mapping[str, Any]) -> str | None:
    try:
        memory = round(float(values["gpu_memory"]))
    except (ValueError, OverflowError):
        return None
    slug = _CARDS.get((re.sub(r"[\s_-]", "", values["gpu_name"]).upper(), memory))
    if slug in _FORM_OPEN and _SXM.search(values["instance_name"]):
        return slug.replace("-pcie", "-sxm")
    return slug


def _columns(values: Mapping[str, Any], slug: str) -> dict[str, Any]:
    notes = []
    count = values["gpus_per_server"]
    if slug in _TWO_DEVICES and str(count).isdecimal():
        count = str(2 * int(count))
        notes.append("two devices a board")
    if slug in _FORM_OPEN and "pcie" not in values["instance_name"].lower():
        notes.append("form factor not stated, taken as PCIe")
    is_spot = values.get("spot", "").lower() == "true"
    region = values.get("region", "")
    columns = {
        "sku": "/".join(part for part in (values["instance_name"], region, "spot" if is_spot else "") if part),
        "gpu": slug,
        "gpus_per_server": count,
        "amount": values["amount"],
        "currency": "USD",
        "period": "hour",
        "commitment": "spot" if is_spot else "on_demand",
        "region": region,
        "cpu_count": values.get("cpu"),
        "memory_gb": values.get("memory"),
        "disk": f"{values['disk_size']} GB" if values.get("disk_size") else None,
        "source": "gpuhunt's catalogue",
        "source_url": "https://github.com/dstackai/gpuhunt",
        "note": "; ".join([values["instance_name"], *notes]),
    }
    return {name: value for name, value in columns.items() if value}
