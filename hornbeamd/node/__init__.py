"""This process as a part of the server: what ``hornbeam_erlang`` and ``hornbeam_ml`` stand on. See README.md here."""

from hornbeamd.node.place import Place

__all__ = ["Place"]
