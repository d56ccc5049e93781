"""The command ``distribute-challenge`` with its subcommands."""

import click

from distribute_challenge.cli.cluster import cluster
from distribute_challenge.cli.dashboard import dashboard
from distribute_challenge.cli.ping import ping
from distribute_challenge.cli.secret import secret
from distribute_challenge.cli.status import status
from distribute_challenge.cli.top import top
from distribute_challenge.cli.worker import worker
from distribute_challenge.version import __version__

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="distribute-challenge")
def main() -> None:
    """Run Python functions on a Celery cluster on Redis."""


main.add_command(worker)
main.add_command(cluster)
main.add_command(status)
main.add_command(dashboard)
main.add_command(top)
main.add_command(ping)
main.add_command(secret)
