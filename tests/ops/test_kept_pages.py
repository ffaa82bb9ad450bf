"""Pages that were made before: sent without the framework, and still counted, limited, logged and safe."""

import pytest

from tests.ops.conftest import Caller

PAGE = "/glossary"
SCRIPT = {"origin": "https://shop.example"}


def test_a_kept_page_is_the_first_one_again_with_every_header(caller: Caller) -> None:
    visitor = caller(rate_limit="9/minute")
    first, second = visitor.get(PAGE), visitor.get(PAGE)
    assert second.content == first.content
    differing = {"x-request-id", "ratelimit"}
    assert set(second.headers) == set(first.headers)
    assert {name for name in first.headers if first.headers[name] != second.headers[name]} <= {*differing, "vary"}
    # What names no origin is answered before the rules for scripts, which say the same once more.
    assert {word.strip() for word in second.headers["vary"].split(",")} == {"Accept-Encoding", "Origin"}
    assert "default-src 'self'" in second.headers["content-security-policy"]
    assert [page.headers["ratelimit"].split(";")[1] for page in (first, second)] == ["r=8", "r=7"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_kept_page_is_refused_beyond_the_limit(caller: Caller) -> None:
    visitor = caller(rate_limit="2/minute")
    assert [visitor.get(PAGE).status_code for _ in range(4)] == [200, 200, 429, 429]


@pytest.mark.parametrize("headers", [{}, SCRIPT], ids=["a visitor", "a script"])
def test_a_host_that_is_not_ours_gets_no_kept_page(caller: Caller, headers: dict[str, str]) -> None:
    visitor = caller(trusted_hosts=("testserver",))
    assert [visitor.get(PAGE, headers=headers).status_code for _ in range(2)] == [200, 200]
    assert visitor.get(PAGE, headers={**headers, "host": "other.example"}).status_code == 400


def test_a_script_gets_the_kept_page_under_the_rules_for_scripts(caller: Caller) -> None:
    visitor = caller(rate_limit="9/minute", cors_origins=("https://shop.example",))
    first = visitor.get(PAGE)
    kept = visitor.get(PAGE, headers=SCRIPT)
    assert kept.content == first.content
    assert kept.headers["access-control-allow-origin"] == SCRIPT["origin"]
    assert kept.headers["ratelimit"].split(";")[1] == "r=7", "it is counted once"
    assert "access-control-allow-origin" not in visitor.get(PAGE, headers={"origin": "https://other.example"}).headers


def test_requests_for_kept_pages_are_counted_by_their_route(caller: Caller) -> None:
    visitor = caller(metrics_from=("203.0.113.0/24",))

    def counted() -> float:
        line = f'vram_fit_responses_total{{method="GET",route="{PAGE}",status="200"}} '
        return next(
            (float(text[len(line) :]) for text in visitor.get("/metrics").text.splitlines() if text.startswith(line)), 0
        )

    before = counted()
    for headers in ({}, {}, SCRIPT):
        visitor.get(PAGE, headers=headers)
    assert counted() == before + 3
