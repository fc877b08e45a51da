"""The hub: one process that hands messages and calls from process to process. See README.md here."""
