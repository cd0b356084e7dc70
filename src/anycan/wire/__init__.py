"""Bytes to values and back. Pure: no socket, no clock, no event loop."""
