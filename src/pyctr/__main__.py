"""`python -m pyctr`: the command line."""

from pyctr.cli.main import main

if __name__ == "__main__":
    main()
