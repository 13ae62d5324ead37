"""``python -m shadowserve.cli``: the command line where no script is installed."""

from shadowserve.cli import main

if __name__ == "__main__":
    main()
