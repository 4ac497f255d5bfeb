"""What `scripts/quality` runs. A row family is a module with a `FAMILY` (see `family`) in in `__main__`."""
