"""The commands as the documentation takes them: it puts their names before their usage itself."""

from __future__ import annotations

from anycan.cli.app import make_app

app = make_app("")
