"""Reload in place of applications as people write them: in this process, without a server."""

from __future__ import annotations

import asyncio
import gc
import importlib
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support import modules
from tests.support.modules import Project

ROOT = Path(__file__).resolve().parents[2]

FASTAPI = {
    "shop/__init__.py": "",
    "shop/routers/__init__.py": "",
    "shop/models.py": """
        from __future__ import annotations
        from pydantic import BaseModel
        class Part(BaseModel):
            number: int
        class Item(BaseModel):
            name: str = "item 1"
            part: Part | None = None
    """,
    "shop/counting.py": "calls = []\ndef count() -> int:\n    calls.append(1)\n    return len(calls)\n",
    "shop/routers/items.py": """
        from __future__ import annotations
        from fastapi import APIRouter, Depends
        from shop.counting import count
        from shop.models import Item
        router = APIRouter()
        @router.get("/items")
        async def get(number: int = Depends(count)) -> Item:
            return Item(part={"number": number})
        @router.post("/items")
        async def post(item: Item) -> str:
            assert type(item) is Item
            return f"{item.name}, router 1"
    """,
    "shop/main.py": """
        from fastapi import FastAPI
        from shop.routers import items
        app = FastAPI()
        app.include_router(items.router)
    """,
}

FLASK = {
    "site_app.py": "from flask import Flask\napp = Flask('site_app')\nimport views\n",
    "views.py": """
        from flask import current_app, request
        from cart import cart
        from site_app import app
        @app.route("/")
        def home():
            return f"home 1 {request.path}"
        app.register_blueprint(cart)
    """,
    "cart.py": """
        from flask import Blueprint
        cart = Blueprint("cart", __name__)
        @cart.route("/cart")
        def show():
            return "cart 1"
    """,
    "prices.py": "from decimal import Decimal\nprice = Decimal(1)\n",
}

DJANGO = {
    "project/__init__.py": "",
    "project/settings.py": "INSTALLED_APPS = ['shop']\nROOT_URLCONF = 'project.urls'\nUSE_TZ = True\n",
    "project/urls.py": "from django.urls import path\nfrom shop.views import home\nurlpatterns = [path('', home)]\n",
    "shop/__init__.py": "",
    "shop/models.py": "from django.db import models\nclass Item(models.Model):\n    name = models.TextField()\n",
    "shop/views.py": "from .models import Item\ndef home(request): ...\n",
    "run.py": """
        import os, sys
        os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        from hornbeamd.errors import CannotSwap
        from hornbeamd.reload.code import Code
        code = Code([os.path.dirname(os.path.abspath(__file__))])
        code.watch()
        import django, importlib
        django.setup()
        importlib.import_module("project.urls")
        for name in ("shop/views.py", "project/settings.py", "shop/models.py"):
            with open(name, "a") as file:
                file.write("# changed")
            try:
                code.begin()
            except CannotSwap as why:
                print(why)
    """,
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with modules.project(tmp_path) as project:
        yield project


def write(project: Project, files: dict[str, str]) -> None:
    for path, text in files.items():
        project.put(path, text)


def change(project: Project, files: dict[str, str], path: str, old: str, new: str) -> tuple[str, ...]:
    """Swap; gives what was loaded anew. The old generation is still there."""
    assert old in files[path]
    project.put(path, files[path].replace(old, new))
    return project.swap().modules


def ask(app: Any) -> tuple[Any, Any]:
    async def talk() -> tuple[Any, Any]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            got = await client.get("/items")
            return got.json(), (await client.post("/items", json={"name": "posted"})).json()

    return asyncio.run(talk())


def test_fastapi_with_routers_and_models(project: Project) -> None:
    write(project, FASTAPI)
    first = project.load("shop.main").app
    assert ask(first) == ({"name": "item 1", "part": {"number": 1}}, "posted, router 1")
    loaded = change(project, FASTAPI, "shop/routers/items.py", "router 1", "router 2")
    assert set(loaded) == {"shop", "shop.main", "shop.routers", "shop.routers.items"}
    second = importlib.import_module("shop.main").app
    assert ask(second) == ({"name": "item 1", "part": {"number": 2}}, "posted, router 2")
    loaded = change(project, FASTAPI, "shop/models.py", "item 1", "item 3")
    assert "shop.models" in loaded
    assert "shop.counting" not in loaded
    third = importlib.import_module("shop.main").app
    assert ask(third) == ({"name": "item 3", "part": {"number": 3}}, "posted, router 2")
    assert ask(first) == ({"name": "item 1", "part": {"number": 4}}, "posted, router 1")
    assert ask(second) == ({"name": "item 1", "part": {"number": 5}}, "posted, router 2")


MODELS = """
from typing import Generic, List, Optional, TypeVar
from fastapi import FastAPI
from pydantic import BaseModel

T = TypeVar("T")

class Page(BaseModel, Generic[T]):
    items: List[T]

class Item(BaseModel):
    name: str = "item"
    parts: Optional[List[int]] = None

    def method(self): pass

app = FastAPI()

@app.get("/items", response_model=Page[Item])
async def items(number: Optional[int] = None):
    return {"items": [Item()]}

@app.post("/items")
async def add(item: Item) -> Optional[Item]:
    return item
"""


def test_fastapi_with_generic_models_is_freed(project: Project) -> None:
    project.write(generic=MODELS)
    items = [weakref.ref(project.load("generic").Item)]
    for number in range(3):
        ask(sys.modules["generic"].app)
        swap = project.swap(generic=f"{MODELS}# {number}")
        items.append(weakref.ref(sys.modules["generic"].Item))
        swap.retire()
        for _ in swap.forget():
            pass
        del swap
    gc.collect()
    assert [item() is None for item in items] == [True, True, True, False]


def test_flask_whose_views_and_app_import_each_other(project: Project) -> None:
    write(project, FLASK)
    project.load("prices")
    first = project.load("site_app").app
    loaded = change(project, FLASK, "views.py", "home 1", "home 2")
    assert set(loaded) == {"site_app", "views"}
    second = importlib.import_module("site_app").app
    loaded = change(project, FLASK, "cart.py", "cart 1", "cart 2")
    assert set(loaded) == {"site_app", "views", "cart"}
    third = importlib.import_module("site_app").app
    for app, home, cart in ((first, 1, 1), (second, 2, 1), (third, 2, 2)):
        client = app.test_client()
        assert (client.get("/").text, client.get("/cart").text) == (f"home {home} /", f"cart {cart}")


def test_a_metric_is_there_once_in_a_process(project: Project) -> None:
    pytest.importorskip("prometheus_client")
    text = "from prometheus_client import Counter\nCOUNTER = Counter('swaps_of_this_test', 'text')\n"
    project.write(metrics=text, orders="import metrics\nvalue = 1")
    project.load("orders")
    assert project.swap(orders="import metrics\nvalue = 2").modules == ("orders",)
    project.write(metrics=f"{text}value = 2")
    swap = project.code.begin()
    with pytest.raises(ValueError, match="swaps_of_this_test"):
        swap.load(lambda: None)
    assert sys.modules["orders"].value == 2


def test_django_needs_another_process(tmp_path: Path) -> None:
    for path, text in DJANGO.items():
        Project(tmp_path).put(path, text)
    env = {"PYTHONPATH": str(ROOT), "PATH": ""}
    command = [sys.executable, "run.py"]
    told = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=30).stdout
    assert told.splitlines() == ["Django has one registry of applications, models and URLs for the whole process"] * 3
