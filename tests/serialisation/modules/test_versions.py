"""The versions of modules: which change with a module, and which stay."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from distribute_challenge.serialisation.modules.import_graph import components
from distribute_challenge.serialisation.modules.project_modules import ProjectModule
from distribute_challenge.serialisation.modules.versions import VersionDigests

Project = dict[str, ProjectModule]

NAMES = "abcdefgh"


def project(imports: dict[str, frozenset[str]]) -> Project:
    """A project of modules, by what each imports."""
    return {
        name: ProjectModule(name, f"/client/{name}.py", False, f"# {name}", tuple(sorted(found)))
        for name, found in imports.items()
    }


projects = st.dictionaries(
    st.sampled_from(NAMES), st.frozensets(st.sampled_from([*NAMES, "os"]), max_size=3)
).map(project)


def reached(name: str, modules: Project) -> set[str]:
    """What a module can reach, itself included."""
    found: set[str] = set()
    waiting = {name}
    while waiting:
        current = waiting.pop()
        found.add(current)
        waiting |= {each for each in modules[current].imports if each in modules} - found
    return found


def versions(modules: Project, place: str = "") -> dict[str, str]:
    return VersionDigests(lambda path: place + path).versions(modules, modules)


@given(projects)
def test_modules_that_reach_each_other_come_together_and_after_what_they_import(
    modules: Project,
) -> None:
    before: set[str] = set()
    for component in components(modules, modules):
        together = {
            other
            for other in reached(component[0], modules)
            if component[0] in reached(other, modules)
        }
        assert set(component) == together
        assert reached(component[0], modules) - together <= before
        assert not before & together
        before |= together
    assert before == modules.keys()


@given(projects, st.sampled_from(NAMES))
def test_a_change_renews_the_versions_of_all_that_reach_it_and_of_no_other(
    modules: Project, name: str
) -> None:
    if name not in modules:
        return
    digests = VersionDigests(str)
    old = digests.versions(modules, modules)
    changed = modules | {name: modules[name]._replace(source="changed")}
    new = digests.versions(changed, changed)
    assert {each for each in modules if old[each] != new[each]} == {
        each for each in modules if name in reached(each, modules)
    }
    assert digests.versions(modules, modules) == old
    assert versions(modules) == old


@given(projects, st.sampled_from(NAMES))
def test_a_module_has_the_same_version_whichever_modules_are_asked_for(
    modules: Project, name: str
) -> None:
    found = VersionDigests(str).versions([name], modules)
    every = versions(modules)
    assert found == {each: every[each] for each in (reached(name, modules) if found else ())}


def test_the_place_of_a_module_on_the_worker_is_part_of_its_version() -> None:
    """A module may have remembered where it lies."""
    modules = project({"a": frozenset("b"), "b": frozenset()})
    assert versions(modules) != versions(modules, "/copy")
    digests, place = [], ["/one"]
    maker = VersionDigests(lambda path: place[0] + path)
    for place[0] in ("/one", "/two", "/one"):
        digests.append(maker.versions(modules, modules))
    assert digests[0] == digests[2] != digests[1]


def test_a_chain_of_imports_may_be_longer_than_the_stack_of_python() -> None:
    names = [f"m{number}" for number in range(5000)]
    chain = project({name: frozenset([other]) for name, other in pairwise(names)})
    chain |= project({names[-1]: frozenset()})
    assert [component for (component,) in components(names[:1], chain)] == names[::-1]
