"""Finding Compose and its file, and what Compose makes of it."""

import json
from pathlib import Path

import pytest

import distribute_challenge
from distribute_challenge.benchmarking.clusters import compose_project
from distribute_challenge.benchmarking.clusters.compose_project import ComposeProject
from distribute_challenge.errors import ClusterStartError
from tests.benchmarking.clusters.fakes import FakeDocker
from tests.processes import PATIENCE


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The present folder, without a Compose file; and the package is in no checkout."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        distribute_challenge, "__file__", str(tmp_path / "checkout" / "package" / "__init__.py")
    )
    return folder


def test_without_docker_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ClusterStartError, match=r"^there is no docker command\nInstall Docker"):
        ComposeProject.find()


@pytest.mark.parametrize("answer", ["1.29.2", "", "docker: 'compose' is not a docker command"])
def test_compose_must_be_of_version_2_or_later(answer: str, docker: FakeDocker) -> None:
    docker.set("compose-version", answer)
    with pytest.raises(
        ClusterStartError,
        match=r"^the docker command has no Compose of version 2 or later\nInstall",
    ):
        ComposeProject.find()


@pytest.mark.parametrize("answer", ["v2.0.1", "2.26.1-4", "5.0.0", "10.1.0"])
def test_compose_of_version_2_or_later_is_accepted(
    answer: str, docker: FakeDocker, here: Path
) -> None:
    docker.set("compose-version", answer)
    (here / "docker-compose.yml").touch()
    assert ComposeProject.find().version == answer.removeprefix("v")


def test_a_docker_that_does_not_answer_is_an_error(
    docker: FakeDocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compose_project, "ANSWER_WITHIN", 0.1)
    (docker.folder / "docker").write_text("#!/bin/sh\nexec sleep 1000\n")
    with pytest.raises(
        ClusterStartError, match=r"docker compose version --short did not answer within 0\.1 s"
    ):
        ComposeProject.find()


def test_the_compose_file_is_that_of_the_working_directory_or_of_the_checkout(
    docker: FakeDocker, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = here.parent / "checkout"
    checkout.mkdir()
    docker.set("on-config", 'pwd -P > "$here/where"')
    with pytest.raises(
        ClusterStartError,
        match=rf"there is no docker-compose.yml in {here} or {checkout}\n.*COMPOSE_FILE=",
    ):
        ComposeProject.find()
    for place in (checkout, here):
        (place / "docker-compose.yml").touch()
        ComposeProject.find().published_port("redis", 6379)
        assert (docker.folder / "where").read_text().strip() == str(place.resolve())
    monkeypatch.chdir(checkout)
    monkeypatch.setenv(
        "COMPOSE_FILE", "another.yml"
    )  # Relative to where we are, and read by Compose itself.
    ComposeProject.find().published_port("redis", 6379)
    assert (docker.folder / "where").read_text().strip() == str(checkout.resolve())


@pytest.fixture
def project(docker: FakeDocker, here: Path) -> ComposeProject:
    (here / "docker-compose.yml").touch()
    return ComposeProject.find()


def test_the_published_port_is_read_from_the_configuration_of_compose(
    project: ComposeProject,
) -> None:
    project.environment["REDIS_PORT"] = "7777"
    assert project.published_port("redis", 6379) == 7777


@pytest.mark.parametrize(
    ("services", "message"),
    [
        pytest.param(
            {}, r"no service redis and no service worker\n.*COMPOSE_FILE=", id="another project's"
        ),
        pytest.param({"redis": {}}, r"no service worker\n", id="no worker"),
        pytest.param(
            {"redis": {}, "worker": {}},
            r'publishes no port for redis\n.*"127',
            id="nothing published",
        ),
        pytest.param(
            {
                "redis": {"ports": [{"target": 6379, "published": "0"}, {"target": 6379}]},
                "worker": {},
            },
            "publishes no port for redis",
            id="any port",
        ),
    ],
)
def test_a_file_without_what_is_needed_is_an_error(
    services: object, message: str, project: ComposeProject, docker: FakeDocker
) -> None:
    docker.set("on-config", f"echo '{json.dumps({'services': services})}'; exit")
    with pytest.raises(ClusterStartError, match=message):
        project.published_port("redis", 6379)


def test_an_invalid_compose_file_is_an_error_with_the_message_of_compose(
    project: ComposeProject, docker: FakeDocker
) -> None:
    docker.set("on-config", "echo 'line 3: did not find a colon' >&2; exit 15")
    with pytest.raises(
        ClusterStartError, match=r"Compose cannot read its file:\n    line 3: did not find a colon"
    ):
        project.published_port("redis", 6379)


def test_commands_run_with_the_project_s_name_variables_and_files(
    project: ComposeProject, docker: FakeDocker, tmp_path: Path
) -> None:
    project.name = "some_name"
    project.environment["WORD"] = "hello"
    docker.set("on-pull", 'echo "$WORD"; exit 4')
    child = project.start("pull", "redis", output=tmp_path / "log")
    assert child.wait(within=PATIENCE) == 4
    assert child.text() == "hello\n"
    assert docker.calls[-1] == "compose --ansi never --project-name some_name pull redis"
