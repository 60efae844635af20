"""`python -m avtool` is the command line."""

from avtool.cli.main import main

main()
