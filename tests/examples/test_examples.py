"""The examples run as a newcomer would run them: as scripts, on the embedded cluster."""

import os
import re
import runpy
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from distribute_challenge import LocalCluster

EXAMPLES = Path(__file__).parents[2] / "examples"
ADDRESSES = ("CELERY_BROKER_URL", "DISTRIBUTE_CHALLENGE_BROKER_URL")

pytestmark = [
    pytest.mark.celery,
    pytest.mark.slow,
    pytest.mark.usefixtures("unmeasured_programs"),
]


def run(name: str, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run one example, with nothing but ``environment`` saying where to."""
    inherited = {key: value for key, value in os.environ.items() if key not in ADDRESSES}
    return subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_example_is_tested() -> None:
    source = Path(__file__).read_text()
    assert [path.name for path in EXAMPLES.glob("*.py") if f'"{path.name}"' not in source] == []


def test_count_words_agrees_with_the_plain_run(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("apple pear\nApple" + " " * 95 + "\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "two.py").write_text("apple\n")
    example = run("count_words.py", str(tmp_path))
    assert example.returncode == 0, example.stderr
    assert re.search(r"^apple +3$", example.stdout, re.MULTILINE)
    assert re.search(r"^one.py:2 +100$", example.stdout, re.MULTILINE)
    assert example.stdout.endswith("both agree\n")
    assert "1/1" in example.stderr  # The progress bar: both files travel in one call.


def test_count_words_reads_the_standard_library_by_default() -> None:
    example = run("count_words.py")
    assert example.returncode == 0, example.stderr
    assert re.search(r"^self +\d\d,\d{3}|^self +\d{3},\d{3}", example.stdout, re.MULTILINE)
    assert example.stdout.endswith("both agree\n")


def test_count_words_says_so_when_a_folder_has_no_python_files(tmp_path: Path) -> None:
    example = run("count_words.py", str(tmp_path))
    assert (example.returncode, example.stderr) == (1, f"no Python files below {tmp_path}\n")


def test_word_count_draws_the_words_of_a_folder(tmp_path: Path) -> None:
    folder, picture = tmp_path / "files", tmp_path / "chart.svg"
    (folder / "inner").mkdir(parents=True)
    (folder / "one.txt").write_text("Apple pear, apple_tree 7\n")
    (folder / "inner" / "two.md").write_text("apple & über\n")
    (folder / "no text.bin").write_bytes(b"apple")
    example = run("word_count.py", str(folder), str(picture))
    assert example.returncode == 0, example.stderr
    assert "\n6 words, 4 different, in 2 files, 0.0 MB\n" in example.stdout
    assert re.search(r"^ +apple +3 █{40}$", example.stdout, re.MULTILINE)
    assert re.search(r"^ +über +1 █{13}$", example.stdout, re.MULTILINE)
    assert example.stdout.endswith("all agree\n")
    assert "2/2" in example.stderr
    drawn = ElementTree.parse(picture).getroot()
    titles = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert sorted(map(str, titles)) == ["apple", "pear", "tree", "über"]


def test_word_count_reads_any_folder_with_text_and_no_words(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    example = run("word_count.py", str(tmp_path))
    assert example.returncode == 0, example.stderr
    assert "0 words, 0 different, in 1 files" in example.stdout


def test_word_count_says_so_when_a_folder_has_no_text_files(tmp_path: Path) -> None:
    example = run("word_count.py", str(tmp_path))
    assert (example.returncode, example.stderr) == (1, f"no text files below {tmp_path}\n")


KINDS = ["even", '"odd, not even"']
CSV = "name,kind,size\n" + "".join(
    f"{number},{KINDS[number % 2]},{number * 10}\n" for number in range(100)
)


def test_group_csv_describes_the_groups_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text(CSV)
    example = run("group_csv.py", str(path), "kind", "size")
    assert example.returncode == 0, example.stderr
    assert "100 rows, 0.0 MB, 2 values of kind" in example.stdout
    assert re.search(r"^ +even +50 +24,500 +490 +289 +980  ", example.stdout, re.MULTILINE)
    assert re.search(r"^ +odd, not even +50 +25,000 +500 +289 +990  ", example.stdout, re.MULTILINE)
    assert example.stdout.endswith("both agree\n")
    example = run("group_csv.py", str(path), "kind", "mass")
    assert example.stderr == f"{path} has no column mass: it has name, kind, size\n"


@pytest.mark.parametrize("size", [1, 7, 18, 19, 100])
def test_group_csv_reads_each_line_once_wherever_the_file_is_divided(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text(CSV)
    program = runpy.run_path(str(EXAMPLES / "group_csv.py"))
    program["parts"].__globals__["PART"] = size
    counts: Counter[str] = Counter()
    for part in program["parts"](path, "kind", "size"):
        for name, summary in program["summaries"](part):
            counts[name] += summary.count
    assert counts == {"even": 50, "odd, not even": 50}


def test_group_csv_describes_the_files_of_python_by_default() -> None:
    example = run("group_csv.py")
    assert example.returncode == 0, example.stderr
    assert re.search(r"^ +\.py +[\d,]{5,} ", example.stdout, re.MULTILINE)
    assert example.stdout.endswith("both agree\n")


def test_standard_library_counts_the_files_of_a_folder_and_draws_its_calls(
    tmp_path: Path,
) -> None:
    folder, picture = tmp_path / "files", tmp_path / "graph.svg"
    (folder / "package").mkdir(parents=True)
    (folder / "one.py").write_text("import os, re\ndef f():\n    'says what'\ndef g(): pass\n")
    (folder / "package" / "two.py").write_text("import os\nclass C:\n    async def m(self): ...\n")
    (folder / "package" / "wrong.py").write_text("def\n")
    example = run("standard_library.py", str(folder), str(picture))
    assert example.returncode == 0, example.stderr
    assert re.search(r"^one +1 +4 +0 +2 +50%$", example.stdout, re.MULTILINE)
    assert re.search(r"^package +2 +4 +1 +1 +0%$", example.stdout, re.MULTILINE)
    assert re.search(r"^all +3 +8 +1 +3 +33%$", example.stdout, re.MULTILINE)
    assert re.search(r"^os +2$", example.stdout, re.MULTILINE)
    assert "files that could not be parsed: 1\n" in example.stdout
    drawn = ElementTree.parse(picture).getroot()
    titles = ["one.py", "package/two.py", "package/wrong.py", "one", "package", "totals", "report"]
    for shape in ("circle", "rect"):
        shapes = drawn.iter(f"{{http://www.w3.org/2000/svg}}{shape}")
        assert sorted("".join(each.itertext()) for each in shapes if len(each)) == sorted(titles)


def test_standard_library_reads_a_package_of_the_standard_library(tmp_path: Path) -> None:
    package = Path(sysconfig.get_path("stdlib"), "email")
    example = run("standard_library.py", str(package), str(tmp_path / "graph.svg"))
    assert example.returncode == 0, example.stderr
    assert re.search(r"^mime +\d+ ", example.stdout, re.MULTILINE)
    calls = len(list(package.rglob("*.py"))) + len(list(package.glob("*.py"))) + 1 + 2
    assert f"\n{calls} calls in " in example.stdout


def test_standard_library_says_so_when_a_folder_has_no_python_files(tmp_path: Path) -> None:
    example = run("standard_library.py", str(tmp_path))
    assert (example.returncode, example.stderr) == (1, f"no Python files below {tmp_path}\n")


def test_pi_comes_out_within_five_standard_errors() -> None:
    example = run("pi_monte_carlo.py", "4")
    assert example.returncode == 0, example.stderr
    found = re.search(r"([\d.]+) standard errors away", example.stdout)
    assert found is not None
    assert float(found[1]) < 5


def test_pi_is_the_same_in_every_run() -> None:
    assert run("pi_monte_carlo.py", "2").stdout == run("pi_monte_carlo.py", "2").stdout != ""


def test_async_requests_are_all_answered_while_the_loop_stays_free() -> None:
    example = run("async_requests.py", "5")
    assert example.returncode == 0, example.stderr
    assert len(re.findall(r"largest prime factor \d+, answered", example.stdout)) == 5
    assert "5 requests; the event loop never waited longer than" in example.stdout


def test_own_cluster_runs_on_the_cluster_it_is_told() -> None:
    with LocalCluster(workers=2) as cluster:
        example = run("own_cluster.py", "50", CELERY_BROKER_URL=cluster.broker_url)
    assert example.returncode == 0, example.stderr
    assert (
        sum(
            int(calls)
            for calls in re.findall(r"process \d+ +(\d+) calls$", example.stdout, re.MULTILINE)
        )
        == 50
    )
    assert "50 calls in" in example.stdout


def test_own_cluster_says_what_to_do_without_one() -> None:
    example = run("own_cluster.py")
    assert example.returncode == 1
    assert "distribute-challenge cluster" in example.stderr


def test_copy_files_copies_each_file_of_a_folder(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for number in range(300):
        path = source / str(number % 7) / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"file {number}")
    example = run("copy_files.py", str(source), str(target))
    assert example.returncode == 0, example.stderr
    assert example.stdout.startswith("300 files, 0.0 MB, from 5 queues\n")
    assert "verified by hash" in example.stdout
    assert sorted(path.name for path in target.rglob("*.txt")) == sorted(
        path.name for path in source.rglob("*.txt")
    )
    again = run("copy_files.py", str(source), str(target))
    assert (again.returncode, again.stderr) == (1, f"{target} is not empty\n")


def test_copy_files_copies_the_standard_library_by_default() -> None:
    example = run("copy_files.py")
    assert example.returncode == 0, example.stderr
    assert re.match(r"[1-9],\d{3} files", example.stdout)
    assert "verified by hash" in example.stdout
