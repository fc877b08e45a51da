"""Configuration: one table of options, three spellings of a file, one meaning."""
