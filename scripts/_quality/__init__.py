"""What `scripts/quality` runs: a row family is a module with a `FAMILY`, listed in `__main__`."""
