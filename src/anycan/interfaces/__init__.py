"""Links: list, create, configure, watch; the kernel's by rtnetlink, and a user network's own."""
