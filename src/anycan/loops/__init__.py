"""An event loop, of asyncio or of trio: descriptors registered with it, and tasks of its own."""
