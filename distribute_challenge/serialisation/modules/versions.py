"""Versions of a project's modules: two with the same version may share one module on a worker."""

from collections.abc import Callable, Iterable, Mapping

from distribute_challenge.serialisation.modules.import_graph import components
from distribute_challenge.serialisation.modules.project_modules import ProjectModule

__all__ = ["VersionDigests"]


class VersionDigests:
    """Makes the versions of modules; an importer has one.

    A version is a digest of a module's source, and of that of all modules that it can reach through
    imports. To make those of a whole project takes time in proportion to the size of its sources
    and the number of its imports: modules that reach each other have one version, which is made
    from those of the modules that they import.

    Args:
        place: Returns the path on this worker for one on the client. It is part of the version: the
            module may have remembered it, or have read files there.
    """

    def __init__(self, place: Callable[[str], str]) -> None:
        self._place = place
        self._digests: dict[str, tuple[ProjectModule, list[str], bytes]] = {}

    def versions(
        self, names: Iterable[str], by_name: Mapping[str, ProjectModule]
    ) -> dict[str, str]:
        """Return the versions of modules, and of all that they can reach, by name.

        Args:
            names: The modules.
            by_name: All modules of the project; others do not count.
        """
        from hashlib import sha256  # As in `serialisation.functions`.

        versions: dict[str, str] = {}
        for component in components(names, by_name):
            imported = {name for each in component for name in by_name[each].imports}
            digest = sha256(b"".join(sorted(self._digest(by_name[each]) for each in component)))
            for version in sorted({versions[name] for name in imported if name in versions}):
                digest.update(version.encode())
            versions.update(dict.fromkeys(component, digest.hexdigest()))
        return versions

    def _digest(self, module: ProjectModule) -> bytes:
        """Return the digest of a module alone."""
        from hashlib import sha256

        places = [self._place(path) for path in (module.filename, *module.path)]
        known = self._digests.get(module.name)
        if known is None or known[0] is not module or known[1] != places:
            is_package, source = module.is_package, module.source
            parts = module.name, module.filename, is_package, source, module.imports, places
            digest = sha256(repr(parts).encode(errors="surrogatepass")).digest()
            known = self._digests[module.name] = module, places, digest
        return known[2]
