"""`python -m outrider.local` is the command line `outrider`."""

from outrider.local.cli import main

main(prog_name="outrider")
