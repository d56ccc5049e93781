"""A function as it travels."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from distribute_challenge.core.setup import Setup
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import PortableFunction, load_function, unpack_function
from distribute_challenge.serialisation.functions import captured
from tests.elsewhere import Client

pytestmark = pytest.mark.slow

NUMBER = 5


def portable(function: Callable[..., Any]) -> PortableFunction:
    return PortableFunction(function, "f", (ValueError,))


def module_function(x: int) -> int:
    return x + NUMBER


def test_a_payload_s_digest_is_that_of_its_bytes() -> None:
    """Equal digests are equal functions."""
    from hashlib import sha256

    payload = portable(module_function).payload()
    assert payload.digest == sha256(payload.payload).hexdigest()
    assert payload.name == "f"
    assert portable(module_function).payload() == payload


def test_a_payload_contains_the_function_and_its_retry_on_classes() -> None:
    """The worker gets them in two halves."""
    unpacked = unpack_function(portable(module_function).payload().payload)
    assert __name__ in [module.name for module in unpacked.modules]
    loaded = load_function(unpacked.data)
    assert loaded.function is module_function
    assert loaded.retry_on == (ValueError,)
    assert not loaded.is_async


def with_setup(setup: Callable[[], Any], function: Callable[..., Any] = abs) -> tuple[str, Any]:
    payload = PortableFunction(function, "f", (ValueError,), setup).payload().payload
    setup_there = load_function(unpack_function(payload).data).setup
    assert setup_there is not None
    return setup_there


def module_setup() -> int:
    return NUMBER


def test_equal_setups_of_different_functions_have_the_same_key() -> None:
    key, setup = with_setup(module_setup)
    assert setup is module_setup
    assert with_setup(module_setup, len) == (key, module_setup)
    assert with_setup(Setup(module_setup))[0] != key
    assert with_setup(Setup(module_setup, key="given")) == (
        "given",
        Setup(module_setup, (), "given"),
    )


def test_a_setup_that_has_changed_has_another_key() -> None:
    numbers = [1]

    def setup() -> int:
        return numbers[0]

    function = PortableFunction(abs, "f", (ValueError,), setup)
    before = function.payload()
    numbers[0] = 2
    after = function.payload()
    keys = [load_function(unpack_function(each.payload).data).setup for each in (before, after)]
    assert keys[0] is not None
    assert keys[1] is not None
    assert keys[0][0] != keys[1][0]


def test_a_setup_of_an_edited_module_has_another_key(project: Client) -> None:
    """The worker imports the module anew, and has not run the setup of that."""
    project.write(settings="def setup():\n    return 1\n")
    script = """
        import pathlib, settings
        from distribute_challenge.serialisation import PortableFunction, load_function, unpack_function

        function = PortableFunction(abs, "f", (), settings.setup)

        def key():
            return load_function(unpack_function(function.payload().payload).data).setup[0]

        before = key()
        print(key() == before)
        pathlib.Path("settings.py").write_text("def setup():\\n    return 22\\n")
        print(key() == before)
    """
    assert project.run(script).split() == ["True", "False"]


class AsyncCallable:
    async def __call__(self) -> int:
        return 1


async def coroutine_function() -> int:
    return 1


@pytest.mark.parametrize(
    "function", [coroutine_function, AsyncCallable(), functools.partial(coroutine_function)]
)
def test_a_coroutine_function_is_recognised(function: Callable[..., Any]) -> None:
    """It may be wrapped in any way."""
    assert load_function(unpack_function(portable(function).payload().payload).data).is_async


def test_a_function_without_changeable_references_is_pickled_once() -> None:
    """The second payload is the first."""
    function = portable(module_function)
    assert function.payload() is function.payload()
    built_in = portable(len)
    assert built_in.payload() is built_in.payload()


def test_modules_of_arguments_are_added_to_all_later_payloads() -> None:
    """They are added once for all later calls."""
    function = portable(len)
    plain = function.payload()
    richer = function.payload(frozenset([__name__]))
    assert richer.digest != plain.digest
    assert function.payload(frozenset([__name__])) is richer
    assert function.payload() is richer


def test_a_function_that_captures_what_cannot_be_pickled_names_it() -> None:
    """The error comes when the payload is asked for."""
    import threading

    lock = threading.Lock()

    def holds() -> Any:
        return lock

    with pytest.raises(
        SerialisationError, match=r"the function f cannot be pickled: .*closure variable 'lock'"
    ):
        portable(holds).payload()


def test_a_large_captured_value_is_named_in_a_warning() -> None:
    """It would better be an argument."""
    table, small = bytes(2_000_000), 1

    def heavy() -> Any:
        return table, small

    with pytest.warns(
        UserWarning, match="f carries 2.\\d MB of captured values, the largest is 'table'"
    ):
        portable(heavy).payload()


def test_a_large_value_held_by_a_callable_object_gives_a_warning() -> None:
    """A callable object carries its state."""

    class Heavy:
        def __init__(self) -> None:
            self.table = bytes(2_000_000)

        def __call__(self) -> None: ...

    with pytest.warns(UserWarning, match="2.\\d MB of captured values"):
        portable(Heavy()).payload()


def test_a_small_function_is_not_warned_of() -> None:
    """Silence is the rule."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        portable(module_function).payload()


def test_captured_names_closure_variables_and_defaults() -> None:
    """It names those of Python functions. Others capture nothing that has a name."""
    x = 1

    def f(y: int = 2, *, z: int = 3) -> Any:
        return x, missing, y, z

    if False:
        missing = 1
    assert dict(captured(f)) == {"x": 1, "its defaults": (2,), "z": 3}
    assert dict(captured(len)) == {}


def test_globals_of_main_changed_between_two_calls_are_seen(project: Client) -> None:
    """Numbers, functions, lists, classes, defaults, closures and later names are watched."""
    out = project.run("""
        number, items = 1, [1]
        def helper(): return number
        def other(): return -number
        class Box: value = 1
        @compute_this
        def decorated(): return number
        @compute_this
        def f(extra=0, *, key=0):
            try:
                late_value = late
            except NameError:
                late_value = "not yet"
            inner = lambda: number
            return number, list(items), helper(), Box.value, decorated.local(), extra, key, late_value, inner()
        call = lambda: print(f().compute(backend=backend))
        call()
        number = 2
        call()
        items.append(2)
        call()
        helper = other
        Box.value = 2
        call()
        late = "now"
        f.__wrapped__.__defaults__ = (5,)
        f.__wrapped__.__kwdefaults__["key"] = 6
        call()
        del late
        call()
    """)
    assert out.splitlines() == [
        "(1, [1], 1, 1, 1, 0, 0, 'not yet', 1)",
        "(2, [1], 2, 1, 2, 0, 0, 'not yet', 2)",
        "(2, [1, 2], 2, 1, 2, 0, 0, 'not yet', 2)",
        "(2, [1, 2], -2, 2, 2, 0, 0, 'not yet', 2)",
        "(2, [1, 2], -2, 2, 2, 5, 6, 'now', 2)",
        "(2, [1, 2], -2, 2, 2, 5, 6, 'not yet', 2)",
    ]


def test_a_simple_function_is_pickled_again_when_what_it_refers_to_changes(project: Client) -> None:
    """A function is pickled once. The next call sees changes of what it refers to."""
    out = project.run("""
        import json
        number = 1
        pair = (1, "a", None)
        def helper(): return number
        @compute_this
        def decorated(): return number
        def make():
            n, unset = 1, 2
            def inner(d=1, *, k=1): return n, d, k
            def again(): return unset
            def change(v):
                nonlocal n
                n = v
            del unset
            return inner, change, again
        inner, change, again = make()
        def uses_closure(): return inner()
        @compute_this
        def uses_helper(): return helper(), pair, json.dumps(number), decorated.local(), len("ab"), int("3")
        uses_inner, uses_again = compute_this(inner), compute_this(again)
        def show():
            for function in (uses_helper, uses_inner, compute_this(uses_closure)):
                print(function().compute(backend=backend), end=" ")
            try:
                uses_again().compute(backend=backend)
            except NameError:
                print("unset", len(backend.digests))
        show()
        show()
        number = 2
        change(7)
        pair = (2,)
        inner.__defaults__, inner.__kwdefaults__ = (8,), {"k": 9}
        show()
        print(len(set(backend.digests)))
    """)
    assert out.splitlines() == [
        "(1, (1, 'a', None), '1', 1, 2, 3) (1, 1, 1) (1, 1, 1) unset 4",
        "(1, (1, 'a', None), '1', 1, 2, 3) (1, 1, 1) (1, 1, 1) unset 8",
        "(2, (2,), '2', 2, 2, 3) (7, 8, 9) (7, 8, 9) unset 12",
        # Three functions changed; the fourth is sent again once, without the definitions that have
        # proved to change.
        "8",
    ]


def test_functions_of_main_that_refer_to_each_other_and_themselves_travel(project: Client) -> None:
    """Decorated or not."""
    out = project.run("""
        import functools
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        @compute_this
        def factorial(n): return n * factorial(n - 1).compute() if n else 1
        @compute_this
        def ping(n): return pong(n - 1).compute() if n else "ping"
        @compute_this
        def pong(n): return ping(n - 1).compute() if n else "pong"
        @functools.lru_cache
        def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
        print(compute_this(even)(7).compute(backend=backend), factorial(5).compute(backend=backend))
        print(ping(3).compute(backend=backend), compute_this(fibonacci)(20).compute(backend=backend))
        sizes = [len(backend.payload)]
        for _ in range(3):
            factorial(3).compute(backend=backend)
            sizes.append(len(backend.payload))
        print(len(set(sizes[1:])))
    """)
    assert out.splitlines() == ["False 120", "pong 6765", "1"]


def test_a_function_that_changes_back_has_its_old_digest(project: Client) -> None:
    """Workers that have it need not be sent it again."""
    out = project.run("""
        number = 1
        @compute_this
        def f(): return number
        for number in (1, 2, 1, 1):
            f().compute(backend=backend)
        a, b, c, d = backend.digests
        print(a == c == d, a != b)
    """)
    assert out == "True True"
