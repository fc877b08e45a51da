"""This process as a part of the server: what ``hornbeam_erlang`` and ``hornbeam_ml`` stand on. See README.md here."""

from hornbeamd.node.node import Node, alone, current, install, joined
from hornbeamd.node.place import Place

__all__ = ["Node", "Place", "alone", "current", "install", "joined"]
