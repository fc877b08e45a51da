"""examples/django_app: the admin, a form, an upload and downloads, as WSGI, as WSGI under a validator, as ASGI."""

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack

import httpx
import pytest

from tests.apps.conftest import EXAMPLES, client_of
from tests.support.daemon import Daemon

SMALL = {
    "project.py": """
import django.conf
from django.core.wsgi import get_wsgi_application

django.conf.settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"])
application = get_wsgi_application()
""",
    "urls.py": """
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("served"))]
""",
}
FOLDER = EXAMPLES / "django_app"
CHECKED = """
from wsgiref.validate import validator
from guestbook.wsgi import application as unchecked
application = validator(unchecked)
"""
KINDS = {
    "wsgi": ("--app", "guestbook.wsgi:application"),
    "wsgi, validated": ("--app", "checked:application"),
    "asgi": ("--app", "guestbook.asgi:application", "--worker-class", "asgi", "--lifespan", "off"),
}


@pytest.fixture(scope="module", params=KINDS)
def client(request, tmp_path_factory):
    """A guest book with an administrator, served by two workers."""
    folder = tmp_path_factory.mktemp("django")
    (folder / "checked.py").write_text(CHECKED)
    env = {"GUESTBOOK_DATA": str(folder / "data"), "DJANGO_SUPERUSER_PASSWORD": "secret"}
    for command in (["migrate"], ["createsuperuser", "--noinput", "--username", "admin", "--email", "a@b.example"]):
        subprocess.run(
            [sys.executable, "-B", FOLDER / "manage.py", *command], env={**os.environ, **env}, check=True, stdout=-3
        )
    path = ("--pythonpath", str(FOLDER), "--pythonpath", str(folder))
    with ExitStack() as stack:
        daemon = Daemon("-c", str(FOLDER / "sys.toml"), *path, *KINDS[request.param], folder=folder, env=env)
        yield client_of(stack.enter_context(daemon), stack)


def token(response: httpx.Response) -> str:
    """The hidden field that protects a form from being sent by another site."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', response.text)
    assert found, response.text
    return found[1]


def write(client, text, file=None):
    form = {"csrfmiddlewaretoken": token(client.get("/")), "name": "Ada", "text": text}
    return client.post("/", data=form, files=file and {"file": file}, follow_redirects=True)


def test_a_form_is_posted(client):
    answer = write(client, "Grüße & <b>")
    assert answer.status_code == 200
    assert [each.status_code for each in answer.history] == [302]
    assert "Grüße &amp; &lt;b&gt;" in answer.text


def test_a_form_without_its_token_is_refused(client):
    assert client.post("/", data={"name": "Eve", "text": "x"}).status_code == 403


def test_an_upload_comes_back_as_it_was(client):
    content = os.urandom(3_000_000)  # above what Django keeps in memory, and what a thread waits for
    answer = write(client, "with a file", ("some name.bin", content))
    link = re.search(r'href="(/download/\d+)"', answer.text)[1]
    download = client.get(link)
    assert download.content == content
    assert download.headers["content-length"] == str(len(content))
    assert "attachment" in download.headers["content-disposition"]
    assert client.head(link).content == b""


def test_a_download_is_streamed(client):
    for number in range(20):
        write(client, f"entry {number}")
    with client.stream("GET", "/entries.csv") as answer:
        assert "content-length" not in answer.headers
        assert answer.headers["transfer-encoding"] == "chunked"
        rows = "".join(answer.iter_text()).splitlines()
    assert rows[0] == "name,text"
    assert {f"Ada,entry {number}" for number in range(20)} <= set(rows)


def test_the_admin_logs_in_and_edits(client):
    with httpx.Client(base_url=client.base_url, follow_redirects=True, trust_env=False) as admin:
        login = admin.get("/admin/")
        assert login.url.path == "/admin/login/"
        form = {"csrfmiddlewaretoken": token(login), "username": "admin", "password": "secret", "next": "/admin/"}
        assert "Site administration" in admin.post("/admin/login/?next=/admin/", data=form).text
        assert "sessionid" in admin.cookies
        page = admin.get("/admin/guestbook/entry/add/")
        form = {"csrfmiddlewaretoken": token(page), "name": "Grace", "text": "from the admin"}
        saved = admin.post("/admin/guestbook/entry/add/", data=form, files={"file": b"x"})
        assert "was added successfully" in saved.text
        assert "Grace" in client.get("/").text


def test_a_wrong_password_does_not(client):
    login = client.get("/admin/login/")
    form = {"csrfmiddlewaretoken": token(login), "username": "admin", "password": "guess"}
    assert "Please enter the correct username" in client.post("/admin/login/", data=form).text


def test_static_files(client):
    style = client.get("/static/admin/css/base.css")
    assert style.status_code == 200
    assert style.headers["content-type"] == "text/css"
    again = client.get(style.url, headers={"If-Modified-Since": style.headers["last-modified"]})
    assert (again.status_code, again.content) == (304, b"")


def test_not_found(client):
    assert client.get("/nothing/here").status_code == 404


def test_urls_that_were_broken_before_the_first_request(tmp_path):
    for name, text in SMALL.items():
        (tmp_path / name).write_text(text)
    env = {"PYTHONDONTWRITEBYTECODE": ""}  # Django is large
    with Daemon("project:application", "--workers", "1", folder=tmp_path, env=env, ready=1) as daemon:
        (tmp_path / "urls.py").write_text("urlpatterns = [")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("reload failed")
        assert "was never closed" in daemon.log
        assert httpx.get(daemon.url, trust_env=False).text == "served"
