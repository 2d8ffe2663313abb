"""``python -m weakstrong``."""

from weakstrong.cli import main

main()
