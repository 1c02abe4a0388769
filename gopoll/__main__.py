"""Run a program on goroutines: see `cli`."""

from gopoll.cli import main

if __name__ == "__main__":
    main()
