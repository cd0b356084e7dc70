"""Async streams for any anyio back end, and asyncio transports, over a socket of any network."""
