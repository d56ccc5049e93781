"""What the Compose file says, as Compose reads it, without any container."""

import pytest

from tests.docker_engine import Project

pytestmark = [pytest.mark.docker, pytest.mark.slow]


def test_the_file_says_what_a_cluster_needs() -> None:
    configuration = Project().configuration()
    redis, worker = configuration["services"]["redis"], configuration["services"]["worker"]
    assert configuration["services"].keys() == {"redis", "worker"}
    assert configuration["volumes"].keys() == {"redis"}
    # Scalable, so neither of these.
    assert not worker.keys() & {"container_name", "ports", "hostname"}
    assert [port["host_ip"] for port in redis["ports"]] == ["127.0.0.1"]
    assert worker["depends_on"]["redis"]["condition"] == "service_healthy"
    assert worker["healthcheck"]["test"] == ["CMD", "distribute-challenge", "ping", "worker"]
    assert worker["command"] == [
        "distribute-challenge",
        "worker",
        "--name",
        "worker",
        "--concurrency",
        "1",
    ]
    assert worker["deploy"]["replicas"] == 1
    assert worker["stop_grace_period"] == "2m0s"
    assert int(worker["mem_limit"]) == 2**30
    for service in (redis, worker):
        assert service["restart"] == "unless-stopped"


def test_every_service_has_the_least_privileges() -> None:
    services = Project().configuration("--profile", "flower")["services"]
    assert services.keys() == {"redis", "worker", "flower"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.keys() & {"privileged", "cap_add", "network_mode", "pid", "ipc"}


@pytest.mark.parametrize("variable", ["DISTRIBUTE_CHALLENGE_SECRET", "REDIS_PASSWORD"])
@pytest.mark.parametrize("command", ["up", "config"])
def test_the_error_for_a_missing_key_has_the_command_that_creates_it(
    command: str, variable: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        Project(**{variable: ""}).compose(command)
    words = f"{variable} is missing a value: none is there yet, so run first: distribute-challenge secret --env .env"
    assert words in str(caught.value)
