"""Protocol state machines without I/O: time is an argument, the next deadline a result."""
