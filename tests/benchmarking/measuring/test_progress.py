"""What stands in the terminal, and in a file."""

import io

from distribute_challenge.benchmarking.measuring.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_with_the_throughput_of_the_last_seconds() -> None:
    stream = Terminal()
    progress = Progress(stream)
    progress.say("scaling")
    progress.begin("2 workers", 35.0)
    progress._counts.append((-1e9, 0))  # Long ago: no longer counts.
    progress.show(10.0, 0, 500)
    began, _ = progress._counts[0]
    progress._counts[0] = (began - 2.0, 0)
    progress.show(12.0, 4000, 500)
    progress.end("2,000.0 calls/s")
    shown = stream.getvalue()
    assert "10/35 s 0.0 calls/s, 500 in flight" in shown.replace(" , ", " ")
    assert "12/35 s" in shown
    assert any(rate in shown for rate in ("2,000.", "1,99"))
    assert shown.rstrip().endswith("2 workers: 2,000.0 calls/s")


def test_a_file_gets_exactly_two_lines_for_each_step() -> None:
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("1 worker", 35.0)
    progress.show(50.0, 10, 1)
    progress.end("9.0 calls/s")
    progress.end("not begun, so nothing is said")
    assert stream.getvalue() == "1 worker: 35 s ...\n1 worker: 9.0 calls/s\n"
