"""Makes ``python -m distribute_challenge`` run the command ``distribute-challenge``."""

from distribute_challenge.cli import main

if __name__ == "__main__":
    main(prog_name="distribute-challenge")
