import pytest

from hornbeamd.reload.page import opens_page, render, takes_pages

BROWSER = (b"accept", b"text/html,application/xhtml+xml,*/*;q=0.8")


def test_nothing_in_the_text_is_markup():
    page = render("Traceback\n  <script>alert(1)</script>\nKeyError: '<x>'\n", "what & why").decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<title>KeyError: &#x27;&lt;x&gt;&#x27;</title>" in page
    assert "what &amp; why" in page


def test_text_that_is_no_unicode_is_shown_as_well():
    assert rb"ValueError: caf\udce9" in render("ValueError: caf\udce9", "what")


def test_a_page_that_looks_again():
    assert b"refresh" in render("text", "what", again=True)
    assert b"refresh" not in render("text", "what")


def test_who_takes_pages():
    assert takes_pages([(b"host", b"here"), BROWSER])
    assert not takes_pages([(b"accept", b"*/*")])
    assert not takes_pages([])


@pytest.mark.parametrize(
    ("method", "headers", "opens"),
    [
        ("GET", [BROWSER], True),
        ("GET", [BROWSER, (b"sec-fetch-mode", b"navigate")], True),
        ("GET", [BROWSER, (b"sec-fetch-mode", b"cors")], False),
        ("POST", [BROWSER, (b"sec-fetch-mode", b"navigate")], False),
        ("GET", [(b"accept", b"*/*"), (b"sec-fetch-mode", b"navigate")], False),
    ],
)
def test_what_opens_a_page(method, headers, opens):
    assert opens_page(method, headers) is opens
