"""The user's own modules run where they do not exist."""

import pickle
from pathlib import Path

import pytest

from tests.elsewhere import Client, Worker

pytestmark = pytest.mark.slow


def test_three_levels_of_packages_with_relative_imports_travel(project: Client) -> None:
    """The worker has none of their files."""
    project.package("app", "app.core", "app.core.maths")
    project.write(
        app__core__maths__squares="""
            from . import helpers
            from ..constants import FACTOR
            from ...top import plus_one as plus
            def square(x):
                from .late import offset
                return plus(helpers.multiply(x, x)) * FACTOR + offset()
        """,
        app__core__maths__helpers="def multiply(x, y): return x * y",
        app__core__maths__late="def offset(): return 1000",
        app__core__constants="FACTOR = 10",
        app__top="def plus_one(x): return x + 1",
    )
    out = project.run("""
        from app.core.maths.squares import square
        print(compute_this(square)(3).compute(backend=backend))
    """)
    assert out == "1100"


def test_a_module_edited_between_two_calls_is_new_in_the_second(project: Client) -> None:
    """Its source travels as it is on disk; with or without a reload."""
    project.package("app")
    project.write(
        app__main="from app.sibling import value\ndef f(): return value()",
        app__sibling="def value(): return 1",
    )
    out = project.run("""
        import importlib, pathlib, app.main, app.sibling
        f = compute_this(app.main.f)
        print(f().compute(backend=backend))
        pathlib.Path("app/sibling.py").write_text("def value(): return 22")
        print(f().compute(backend=backend))
        importlib.reload(app.sibling)
        importlib.reload(app.main)
        print(f().compute(backend=backend), compute_this(app.main.f)().compute(backend=backend), app.main.f())
        pathlib.Path("app/main.py").write_text("from app.sibling import value\\ndef f(): return -value()")
        importlib.reload(app.main)
        print(f().compute(backend=backend), compute_this(app.main.f)().compute(backend=backend), app.main.f())
    """)
    assert out.splitlines() == ["1", "22", "22 22 22", "22 -22 -22"]


def test_a_package_without_init_travels(project: Client) -> None:
    """A namespace package is a folder and no file."""
    project.write(
        space__inner__module="from .other import one\ndef f(): return one()",
        space__inner__other="def one(): return 1",
    )
    out = project.run("""
        import space.inner.module
        f = compute_this(space.inner.module.f)
        print(f().compute(backend=backend))
        @compute_this
        def g(): return space.inner.module.f()
        print(g().compute(backend=backend))
    """)
    assert out.splitlines() == ["1", "1"]


def test_a_module_level_lock_and_cache_live_on_the_worker(project: Client) -> None:
    """They stay from call to call, and are never pickled."""
    project.write(
        counting="""
            import functools, threading
            lock = threading.Lock()
            count = 0
            def increase():
                global count
                with lock:
                    count += 1
                return count
            @functools.lru_cache
            def cached(x):
                return x, increase()
            def both(x):
                return cached(x), increase()
        """
    )
    out = project.run("""
        import counting
        both, cached = compute_this(counting.both), compute_this(counting.cached)
        print(both(1).compute(backend=backend), both(1).compute(backend=backend), cached(1).compute(backend=backend))
        print(counting.count)
    """)
    assert out.splitlines() == ["((1, 1), 2) ((1, 1), 3) (1, 1)", "0"]


def test_nested_functions_lambdas_and_classes_of_a_project_module_travel(project: Client) -> None:
    """Their code goes along, their globals are the module's own on the worker."""
    project.write(
        making="""
            import threading
            lock = threading.Lock()
            BASE = 100
            double = lambda x: 2 * x
            def adder(n, /, *, scale=1):
                def add(x: int, y=5, *, z=7) -> int:
                    "Adds."
                    with lock:
                        return (BASE + n + x + y + z) * scale
                return add
            def factorial():
                def inner(n):
                    return n * inner(n - 1) if n else 1
                return inner
            def unassigned():
                def inner():
                    try:
                        return late
                    except NameError:
                        return "unassigned"
                if False:
                    late = 1
                return inner
            def point():
                class Point:
                    def __init__(self, x): self.x = x
                    def plus(self, y):
                        with lock:
                            return self.x + y + BASE
                    def __eq__(self, other): return type(other) is type(self) and other.x == self.x
                return Point
        """
    )
    out = project.run("""
        import making
        c = lambda f, *args: compute_this(f)(*args).compute(backend=backend)
        print(c(making.double, 4), c(lambda x: making.double(x), 5))
        add = making.adder(1, scale=2)
        print(c(add, 1), add(1), add.__doc__)
        print(c(making.factorial(), 5), c(making.unassigned()))
        Point = making.point()
        point = c(Point, 3)
        print(point.plus(1), c(point.plus, 1), c(Point.plus, point, 2), type(point) is Point)
        names = c(lambda f: (f.__name__, f.__qualname__, f.__module__, f.__doc__, f.__defaults__, f.__kwdefaults__,
                             f.__annotations__ == {"x": int, "return": int}), add)
        print(names)
    """)
    assert out.splitlines() == [
        "8 10",
        "228 228 Adds.",
        "120 unassigned",
        "104 104 105 True",
        "('add', 'adder.<locals>.add', 'making', 'Adds.', (5,), {'z': 7}, True)",
    ]


def test_decorated_functions_of_a_project_module_call_one_another_and_themselves(
    project: Client,
) -> None:
    """Inside a call their calls run in place."""
    project.write(
        rounds="""
            import functools
            from distribute_challenge import compute_this
            @compute_this()
            def even(n): return True if n == 0 else odd(n - 1).compute()
            @compute_this
            def odd(n): return False if n == 0 else even(n - 1).compute()
            @compute_this(retries=1)
            def factorial(n): return n * factorial(n - 1).compute() if n else 1
            @functools.lru_cache
            def cached(n): return n + 1
            shared = compute_this(cached)
            twice = compute_this(timeout=30)(compute_this(cached).__wrapped__)
            def logged(function):
                @functools.wraps(function)
                def inner(*args): return "logged", function(*args)
                return inner
            @compute_this
            @logged
            def deep(n): return n
        """
    )
    out = project.run("""
        from rounds import *
        with __import__("distribute_challenge").use_backend(backend):
            print(even(7).compute(), odd(7).compute(), factorial(5).compute())
            print(shared(1).compute(), twice(1).compute(), deep(3).compute())
            print(list(factorial.map([3, 4])), factorial.with_options(retries=0)(3).compute())
            @compute_this
            def outer(n): return factorial(n).compute(), [*even.map([1, 2])]
            print(outer(4).compute())
            @compute_this
            def takes(function, n): return function(n).compute()
            print(takes(factorial, 3).compute())
    """)
    assert out.splitlines() == [
        "False True 120",
        "2 2 ('logged', 3)",
        "[6, 24] 6",
        "(24, [False, True])",
        "6",
    ]


METHODS = """
    import abc, dataclasses, enum
    from distribute_challenge import compute_this
    class Colour(enum.Enum):
        RED = 1
    @dataclasses.dataclass
    class Account:
        total: int
        colour: Colour = Colour.RED
        @compute_this
        def plus(self, x): return self.total + x
        @compute_this
        @classmethod
        def named(cls, x): return cls.__name__, x
        @classmethod
        @compute_this
        def other(cls_or_x, x=None): return x
        @compute_this
        @staticmethod
        def free(x): return x * 2
        def plain(self, x): return self.total * x
        def __call__(self, x): return self.total - x
        def is_red(self): return self.colour is Colour.RED
"""
USE_METHODS = """
    account = Account(10)
    with __import__("distribute_challenge").use_backend(backend):
        print(account.plus(1).compute(), Account.plus(account, 2).compute(), list(account.plus.map([1, 2])))
        print(account.named(1).compute(), Account.named(2).compute(), list(Account.named.map([3])))
        print(account.free(1).compute(), Account.free(2).compute(), list(Account.free.map([3])))
        print(compute_this(account.plain)(3).compute(), compute_this(account)(3).compute())
        print(compute_this(Account.plain)(account, 3).compute(), compute_this(account.is_red)().compute())
        print(compute_this(Account)(7).compute() == Account(7), type(compute_this(Account)(7).compute()) is Account)
"""
METHODS_OUT = [
    "11 12 [11, 12]",
    "('Account', 1) ('Account', 2) [('Account', 3)]",
    "2 4 [6]",
    "30 7",
    "30 True",
    "True True",
]


def test_methods_of_a_project_s_class_travel(project: Client) -> None:
    """Bound, static, of the class, plain and `__call__`."""
    project.write(accounts=METHODS)
    assert (
        project.run("    from accounts import Account\n" + USE_METHODS).splitlines() == METHODS_OUT
    )


def test_methods_of_a_class_in_main_travel(project: Client) -> None:
    """They travel by value."""
    assert project.run(METHODS + USE_METHODS).splitlines() == METHODS_OUT


def test_a_function_of_main_uses_project_modules_in_every_way(project: Client) -> None:
    """It uses them as module, by name, inside its body, through an argument and in a default."""
    project.package("app", "app.deep")
    project.write(
        app__deep__a="def one(): return 1\nclass Box:\n    def __init__(self, x): self.x = x",
        app__b="def two(): return 2",
        app__c="from app.d import three",
        app__d="def three(): return 3",
        app__e="class Other:\n    value = 9",
    )
    out = project.run("""
        import app.deep.a
        import app.deep.a as short
        from app.b import two
        from app.e import Other
        @compute_this
        def f(box, two_again=two):
            from app.c import three
            import app.d
            return app.deep.a.one(), short.one(), two(), three(), app.d.three(), box.x, two_again()
        print(f(short.Box(5)).compute(backend=backend))
        print(list(f.map([short.Box(1), short.Box(2)], backend=backend))[1][5])
        @compute_this
        def g(x): return getattr(x, "value", x)
        print(g(1).compute(backend=backend), g(Other()).compute(backend=backend), g(Other).compute(backend=backend))
        print(list(g.map([1, Other()], backend=backend)))
    """)
    assert out.splitlines() == ["(1, 1, 2, 3, 3, 5, 2)", "2", "1 9 9", "[1, 9]"]


def test_two_versions_of_one_module_alternate_in_one_worker(tmp_path: Path) -> None:
    """Each call meets its own client's, executed once."""
    requests = []
    for version in (1, 2):
        client = Client(tmp_path / f"client{version}")
        client.package("app")
        client.write(
            app__shared=f"VERSION = {version}\nimported = []",
            app__main="""
                from . import shared
                import app.shared
                def f():
                    shared.imported.append(1)
                    return shared.VERSION, app.shared.VERSION, len(shared.imported)
            """,
        )
        client.run("""
            from app.main import f
            compute_this(f)().compute(backend=Keep("request"))
        """)
        requests.append(pickle.loads((client.folder / "request").read_bytes()))
    from distribute_challenge.core.messages import Reply
    from distribute_challenge.serialisation.outcomes import decode_outcomes

    worker = Worker()
    values = []
    for number in (0, 1, 0, 1, 1, 0):
        (frame,) = worker.perform(requests[number])
        values.extend(decode_outcomes(Reply.decode(frame)))
    worker.close()
    assert values == [(1, 1, 1), (2, 2, 1), (1, 1, 2), (2, 2, 2), (2, 2, 3), (1, 1, 3)]


def test_a_module_that_is_broken_fails_the_call_with_its_own_error(project: Client) -> None:
    """A syntax error shows the file and line; the note says where it was loaded."""
    project.write(fine="def f():\n    import broken", broken="def (")
    out = project.run("""
        import fine
        try:
            compute_this(fine.f)().compute(backend=backend)
        except SyntaxError as error:
            print(error.filename.endswith("broken.py"), error.lineno)
    """)
    assert out == "True 1"
