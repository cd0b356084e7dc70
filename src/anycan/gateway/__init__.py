"""Forwarding between interfaces: in user space, and by rules handed to the kernel."""
