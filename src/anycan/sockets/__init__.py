"""One non-blocking descriptor each: the kernel's sockets and the user-space network's."""
