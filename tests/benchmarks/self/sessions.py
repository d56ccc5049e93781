"""Stand-in for `benchmarks.self.session`: processes that measure, fail or hang."""

import sys
import threading


def main(name: str, workers: int) -> None:
    if name == "start":
        print(f'{{"first_result": {workers}.5}}')
    elif name == "map":
        raise ValueError("no map")
    elif name == "mix":
        sys.exit(3)
    else:
        threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
