"""PF_CAN in user space: devices, receive lists and sockets with the kernel's semantics."""
