"""What this process takes calls of (node/offers.py)."""

import logging

import pytest

from hornbeamd.node.handlers import Single
from hornbeamd.node.offers import COROUTINES, THREADS, Offers, function_name, hook_name


class Post:
    """Remembers what it was told."""

    def __init__(self):
        self.said = []

    def offer(self, name, slots, threads):
        self.said.append((name, slots))

    def withdraw(self, name):
        self.said.append((name, None))


async def coroutine():
    pass


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def offers(post):
    offers = Offers(pools=("embeddings",))
    offers.through(post)
    return offers


def test_functions_and_hooks_are_offered_by_names_of_their_own(offers, post):
    offers.register_function("resize", len)
    offers.register_hook("resize", coroutine)
    assert post.said == [("function:resize", THREADS), ("hook:resize", COROUTINES)]
    assert offers.find("function:resize").function(None) is len
    assert offers.find("hook:resize").function("encode").func is coroutine
    offers.unregister_function("resize")
    assert offers.find("function:resize") is None
    assert offers.find("hook:resize") is not None
    offers.unregister_hook("resize")
    assert post.said[2:] == [("function:resize", None), ("hook:resize", None)]


def test_the_last_registration_has_the_name_and_the_log_tells(offers, caplog):
    with caplog.at_level(logging.INFO, logger="hornbeamd.calls"):
        offers.register_function("resize", len)
        assert not caplog.messages
        offers.register_function("resize", max)
    assert caplog.messages == ['function "resize" is registered anew, which replaces what was there']
    assert offers.find("function:resize").function(None) is max


def test_what_is_not_registered_can_be_unregistered(offers, post):
    offers.unregister_hook("nothing")
    offers.unregister_function("nothing")
    assert post.said == []


def test_what_was_registered_before_there_was_a_post_is_offered_then(post):
    offers = Offers(threads=3)
    offers.register_function("early", len)
    offers.register_function("gone", len)
    offers.unregister_function("gone")
    assert offers.through(post) == []
    offers.register_function("late", len)
    assert offers.through(None) == ["function:early", "function:late"]
    offers.register_function("later", len)
    assert post.said == [("function:early", 3), ("function:late", 3), ("function:early", None), ("function:late", None)]


def test_what_is_for_this_process_alone_is_not_offered(offers, post):
    here = Single(len)
    assert offers.add_here("hook:models:Encoder", here) is here
    assert offers.add_here("hook:models:Encoder", Single(max)) is here
    assert offers.find("hook:models:Encoder") is here
    offers.remove("hook:models:Encoder")
    assert post.said == []


def test_what_another_has_is_taken_over_but_for_names_that_are_taken(offers, post):
    others = Offers(threads=3)
    others.register_function("mine", max)
    others.register_function("theirs", max)
    others.add_here("hook:m:C", Single(len))
    offers.register_function("mine", min)
    offers.take_over(others)
    assert offers.find("function:mine").function(None) is min
    assert offers.find("function:theirs").function(None) is max
    assert offers.find("hook:m:C") is None
    assert post.said == [("function:mine", THREADS), ("function:theirs", 3)]


def test_the_name_of_a_pool_is_taken(offers):
    with pytest.raises(ValueError, match='"embeddings" is the name of a pool'):
        offers.register_hook("embeddings", len)
    offers.register_function("embeddings", len)


def test_a_pool_says_how_many_calls_it_takes(offers, post):
    offers.add(hook_name("embeddings"), Single(len), 2)
    assert post.said == [("hook:embeddings", 2)]


@pytest.mark.parametrize("name", ["", None, 1, b"resize"])
def test_a_name_is_text(offers, name):
    for call in (offers.register_function, offers.register_hook):
        with pytest.raises(TypeError, match="a name is text"):
            call(name, len)
    with pytest.raises(TypeError):
        function_name(name)


def test_a_name_is_unicode(offers, post):
    with pytest.raises(ValueError, match="surrogates"):
        offers.register_function("\udcff", len)
    assert post.said == []
