"""This process as a part of the server: what ``hornbeam_erlang`` and ``hornbeam_ml`` stand on. See README.md here."""

from hornbeamd.node.node import Node, alone, current, install, joined
from hornbeamd.node.place import Place
from hornbeamd.node.threads import raisable
from hornbeamd.state.cache import Cache
from hornbeamd.state.terms import canonical, pack, unpack

__all__ = ["Cache", "Node", "Place", "alone", "canonical", "current", "install", "joined", "pack", "raisable", "unpack"]
