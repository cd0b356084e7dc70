"""Subscriptions by filter: who takes a frame, and handing it on."""
