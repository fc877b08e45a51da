"""What may be called, and how an action becomes a call (node/handlers.py)."""

import functools
import threading

import pytest

from hornbeamd.node.handlers import Hook, Single, is_async, load


class Model:
    made = 0

    def __init__(self):
        type(self).made += 1

    dimension = 384

    def encode(self, text, *, upper=False):
        return text.upper() if upper else text

    async def encode_later(self, text):
        return text

    async def tokens(self, text):
        yield text

    @classmethod
    def name(cls):
        return cls.__name__

    @staticmethod
    def add(one, two):
        return one + two

    @property
    def costly(self):
        raise AssertionError("a property is no action")

    def _secret(self):
        raise AssertionError


@pytest.fixture
def model():
    return type("Encoder", (Model,), {"made": 0})


def test_a_class_has_one_instance_made_at_first_use(model):
    hook = Hook(model)
    assert not hook.ready
    assert model.made == 0
    assert hook.function("encode")("a", upper=True) == "A"
    assert hook.ready
    assert hook.function("add")(1, 2) == 3
    assert hook.function("name")() == "Encoder"
    assert model.made == 1


def test_of_many_threads_that_come_first_one_makes_the_instance():
    barrier = threading.Barrier(8)
    made = []

    class Slow:
        def __init__(self):
            made.append(threading.get_ident())

        def who(self):
            return self

    hook = Hook(Slow)
    found = []

    def use():
        barrier.wait(5)
        found.append(hook.function("who")())

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(made) == 1
    assert len(set(found)) == 1
    assert len(found) == 8


def test_an_instance_that_cannot_be_made_is_tried_again():
    class Fragile:
        tries = 0

        def __init__(self):
            Fragile.tries += 1
            if Fragile.tries == 1:
                raise OSError("no model yet")

        def ping(self):
            return "pong"

    hook = Hook(Fragile)
    with pytest.raises(OSError, match="no model yet"):
        hook.function("ping")
    assert hook.function("ping")() == "pong"


def test_an_instance_is_used_as_it_is(model):
    instance = model()
    hook = Hook(instance)
    assert hook.ready
    assert hook.function("encode")("a") == "a"
    assert model.made == 1


@pytest.mark.parametrize(
    "handler",
    [
        lambda action, *args, **kwargs: (action, args, kwargs),
        functools.partial(lambda more, action, *args, **kwargs: (action, args, kwargs), "more"),
    ],
)
def test_a_function_gets_the_action_first(handler):
    assert Hook(handler).function("encode")(1, two=2) == ("encode", (1,), {"two": 2})


def test_an_object_that_can_be_called_is_a_function_for_the_actions_that_it_lacks():
    class Both:
        def encode(self, text):
            return text

        def __call__(self, action, *args):
            return action, args

    hook = Hook(Both())
    assert hook.function("encode")("a") == "a"
    assert hook.function("other")("a") == ("other", ("a",))


@pytest.mark.parametrize("action", ["_secret", "__init__", "__class__", "_"])
@pytest.mark.parametrize("kind", ["class", "instance", "function"])
def test_private_actions_are_refused(model, kind, action):
    handler = {"class": model, "instance": model(), "function": print}[kind]
    with pytest.raises(AttributeError, match="private"):
        Hook(handler).function(action)


@pytest.mark.parametrize("action", ["encod", "dimension", "", "encode.__func__"])
def test_an_unknown_action_names_those_that_there_are(model, action):
    with pytest.raises(AttributeError) as caught:
        Hook(model).function(action)
    assert str(caught.value) == (f"Encoder has no action {action!r}; it has: add, encode, encode_later, name, tokens")


@pytest.mark.parametrize("action", [None, 1, b"encode"])
def test_an_action_is_text(model, action):
    with pytest.raises(AttributeError, match="name of an action"):
        Hook(model).function(action)


@pytest.mark.parametrize("handler", [None, "models:Encoder", 3, 1.5, True, b""])
def test_what_is_no_handler_is_refused(handler):
    with pytest.raises(TypeError, match="a handler is"):
        Hook(handler)


def test_a_function_by_itself_has_no_actions():
    function = Single(len)
    assert function.function(None) is len
    with pytest.raises(AttributeError, match="no actions"):
        function.function("encode")
    with pytest.raises(TypeError, match="type int"):
        Single(3)


async def coroutine():
    pass


async def generator():
    yield


class Asynchronous:
    async def __call__(self, action):
        pass


def test_what_is_asynchronous():
    for function in (coroutine, generator, functools.partial(coroutine), Asynchronous(), Model.tokens):
        assert is_async(function), function
    for function in (len, Model.encode, lambda: coroutine(), functools.partial(len)):
        assert not is_async(function), function


def test_whether_a_handler_has_coroutines_is_known_before_it_is_made(model):
    assert Hook(model).waits
    assert Hook(coroutine).waits
    assert Hook(Asynchronous()).waits
    assert not Hook(len).waits
    assert Single(generator).waits
    assert not Single(len).waits
    assert model.made == 0


class Joined:
    """As hornbeam_ml.batched has it."""

    at_once = 7

    def __call__(self, item):
        return item

    async def aio(self, item):
        return item


def test_the_coroutine_form_of_a_method_goes_first():
    class Handler:
        joined = Joined()

        def plain(self, item):
            return item

    hook = Hook(Handler)
    assert (hook.waits, hook.at_once) == (True, 7)
    assert hook.function("joined") == Handler.joined.aio
    assert hook.function("plain")(1) == 1
    assert Single(Handler.joined).waits
    assert Hook(len).at_once == 0


def test_a_spec_names_what_a_module_has():
    assert load("collections:OrderedDict.fromkeys")("a") == {"a": None}
    with pytest.raises(ModuleNotFoundError):
        load("no_such_module:x")
    with pytest.raises(AttributeError):
        load("collections:nothing")
