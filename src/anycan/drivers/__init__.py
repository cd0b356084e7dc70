"""Devices that reach real buses, for the interfaces of a user network."""
