"""The scatter of the accuracy page: every measured run is a point, and the line is where both figures are the same."""

import re

from starlette.testclient import TestClient

from app.services.accuracy import accuracy
from app.web.accuracy_scatter import BOTTOM_PX, TOP_PX, scatter
from app.web.language import formatter


def test_every_measured_run_is_a_point(site: TestClient) -> None:
    runs = accuracy()["memory"]["measured"]["runs"]
    assert len(runs) >= 80
    html = site.get("/accuracy").text
    plot = html[html.index('aria-labelledby="scatter"') :]
    plot = plot[: plot.index("</svg>")]
    assert plot.count("<circle") == len(runs)
    assert plot.count('class="pt"') == sum(run["statistic"] == "allocated" for run in runs)


def test_a_run_that_is_met_lies_on_the_line() -> None:
    runs = [
        {"statistic": "allocated", "estimated_bytes": size, "measured_bytes": size} for size in (5 * 10**9, 60 * 10**9)
    ] + [{"statistic": "reserved", "estimated_bytes": 20 * 10**9, "measured_bytes": 40 * 10**9}]
    found = scatter(runs, formatter("en-GB", "gib"))

    def along(x: str) -> float:
        low, high, value = (float(re.sub("%", "", text)) for text in (found.same.x1, found.same.x2, x))
        return (value - low) / (high - low)

    for dot in found.dots[:2]:
        height = (found.same.y1 - dot.y) / (found.same.y1 - found.same.y2)
        assert abs(height - along(dot.x)) < 0.01
    assert (found.same.y1, found.same.y2) == (BOTTOM_PX, TOP_PX)
    above = found.dots[2]
    assert (found.same.y1 - above.y) / (found.same.y1 - found.same.y2) > along(above.x)
    assert not above.is_allocated
