"""A script's `__main__` on a worker; what scripts see of it is in tests/contract/scripts."""

import pytest

from tests.elsewhere import Client

pytestmark = pytest.mark.slow


def test_a_worker_without_the_script_s_file_has_its_source(project: Client) -> None:
    """Tracebacks and `inspect` need it."""
    out = project.run("""
        import inspect, os, traceback
        class Box:
            content = 1
        @compute_this
        def look():
            try:
                raise ValueError
            except ValueError:
                return inspect.getsource(Box), traceback.format_exc()
        look().compute(backend=backend)
        os.remove(__file__)
        source, text = look().compute(backend=backend)
        print(source.splitlines()[1].strip(), "raise ValueError" in text)
    """)
    assert out == "content = 1 True"


def test_a_definition_that_needs_what_the_worker_lacks_harms_no_other_call(project: Client) -> None:
    """It says why when it is asked for."""
    out = project.run("""
        import sys, types
        here = types.ModuleType("here_only")
        here.__spec__ = __spec__ = None
        sys.modules["here_only"] = here

        def uses(): return here
        @compute_this
        def look(name):
            import __main__
            try:
                return getattr(__main__, name)
            except AttributeError as error:
                return str(error)
        print(look("uses").compute(backend=backend))
        print(look("other").compute(backend=backend)[:56])
    """)
    assert out.splitlines() == [
        (
            "the script's 'uses' cannot be loaded on this worker: ModuleNotFoundError: No module named "
            "'here_only'"
        ),
        "the script's 'other' did not travel to this worker. Its",
    ]


def test_a_definition_that_uses_changing_variables_is_not_sent_again_and_again(
    project: Client,
) -> None:
    """It may use a loop's variable. Its digest stays from the second call on."""
    out = project.run("""
        CONSTANT = 1
        def uses_number(): return number
        def uses_constant(): return CONSTANT
        def large(): return b"LARGE"
        large.__code__ = large.__code__.replace(co_consts=(None, bytes(200_000)))
        def locked(lock=__import__("threading").Lock()): return lock
        @compute_this
        def look():
            import __main__
            return [hasattr(__main__, name) for name in ("uses_number", "uses_constant", "large", "locked")]
        for number in range(5):
            found = look().compute(backend=backend)
        print(found, len(set(backend.digests)))
        CONSTANT = 2
        print(look().compute(backend=backend))
    """)
    assert out.splitlines() == ["[False, True, False, False] 2", "[False, False, False, False]"]


def test_a_script_can_define_functions_between_two_calls(project: Client) -> None:
    """A notebook does so. The next call finds them."""
    out = project.run("""
        @compute_this
        def look(name):
            import __main__
            return getattr(__main__, name)()
        def first(): return 1
        print(look("first").compute(backend=backend))
        def second(): return 2
        print(look("second").compute(backend=backend))
        def second(): return 3
        print(look("second").compute(backend=backend))
    """)
    assert out.splitlines() == ["1", "2", "3"]
