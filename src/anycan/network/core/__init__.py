"""PF_CAN without I/O: interfaces, receive lists and sockets, as plain objects.

Nothing here opens a descriptor, runs a loop or reads a clock: time comes in as ``now_ns``, and what
a socket has to tell goes out through its ``changed`` callback. Thin hosts put it to use:
:class:`anycan.UserNetwork` with :mod:`anycan.sockets.user` does in this process.

- :mod:`~anycan.network.core.payload`: what the bytes of a frame are, and what they cost;
- :mod:`~anycan.network.core.receivers`: who takes a frame, and in which order;
- :mod:`~anycan.network.core.device`: what carries the frames of an interface;
- :mod:`~anycan.network.core.interface`: an interface: transmit path and delivery;
- :mod:`~anycan.network.core.stack`: the interfaces of a network, and the news of their links;
- :mod:`~anycan.network.core.raw`: a CAN_RAW socket;
- :mod:`~anycan.network.core.raw_options`: its options, as bytes.

Source: the behaviour of Linux 6.12, described in ``docs/explanation/parity.md``.
"""
