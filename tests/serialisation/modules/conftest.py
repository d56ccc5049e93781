"""A project with a package that has data and plug-ins."""

import pytest

from tests.elsewhere import Client

READING = """
    import importlib, json, os, pkgutil, sys
    from importlib import resources
    from shop import base

    def by_file():
        with open(os.path.join(os.path.dirname(__file__), "prices.txt")) as file:
            return file.read()
    def everything(in_archive=False):
        import shop, shop.plugins
        found = {} if in_archive else {"file": by_file()}
        root = resources.files("shop")
        found["files"] = root.joinpath("prices.txt").read_text()
        found["folder"] = (root / "templates" / "hello.txt").read_text()
        if not in_archive:
            found["no package"] = (resources.files("shop.templates") / "hello.txt").read_text()
        found["subpackage"] = json.loads(resources.files("shop.sub").joinpath("rates.json").read_text())
        with resources.as_file(root / "prices.txt") as path:
            found["as_file"] = path.read_text()
        found["get_data"] = pkgutil.get_data("shop", "templates/hello.txt")
        found["plugins"] = [info.name for info in pkgutil.iter_modules(shop.plugins.__path__)]
        found["walked"] = sorted(info.name for info in pkgutil.walk_packages(shop.__path__, "shop."))
        found["absolute"] = importlib.import_module("shop.plugins.red").colour()
        found["relative"] = importlib.import_module(".blue", "shop.plugins").colour()
        found["same base"] = sys.modules["shop.plugins.red"].base is base
        return found
"""


@pytest.fixture
def shop(project: Client) -> Client:
    """A project with a package that has data and plug-ins."""
    project.package("shop", "shop.sub", "shop.plugins")
    project.write(
        shop__reading=READING,
        shop__base="NAME = 'base'",
        shop__plugins__red="from shop import base\ndef colour(): return 'red of ' + base.NAME",
        shop__plugins__blue="from ..base import NAME\ndef colour(): return 'blue of ' + NAME",
    )
    (project.folder / "shop" / "templates").mkdir()
    (project.folder / "shop" / "templates" / "hello.txt").write_text("hello")
    (project.folder / "shop" / "prices.txt").write_text("42")
    (project.folder / "shop" / "sub" / "rates.json").write_text("[1, 2]")
    return project
