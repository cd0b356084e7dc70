"""The test rig: the kernel lab, the links that tests run on, and the checks around every test.

``pyproject.toml`` puts ``tests/lab`` on the path of the tests, so they write ``from rig...``.

* ``host``: can kernel tests run here, and where: on this kernel, in the lab, or not at all
* ``launch``: the command line of a lab, and what happens first in its guest
* ``guest``: a lab as a child process: its output, its end
* ``lines``: test reports as lines of text that survive a console
* ``inner``: pytest inside the guest
* ``replay``: pytest outside: starts the lab and replays its reports
* ``links``: virtual CAN interfaces, on the kernel and on a user-space network
* ``routing``: a router on such an interface, and waiting for what it is to do
* ``leaks``, ``blocking``: what every test is checked for
"""
