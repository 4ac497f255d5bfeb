"""What `scripts/pictures` runs."""
