"""What every benchmark has in common: contenders that take turns, bounds, tables, plots."""
