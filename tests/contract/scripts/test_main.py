"""What every engine promises to a script: its functions and variables are those of `__main__`."""

from pathlib import Path

import pytest

from tests.contract.scripts.running import run

pytestmark = pytest.mark.slow


def test_each_call_gets_fresh_copies_of_the_objects_its_function_carries(
    folder: Path, engine: str
) -> None:
    """A list, default, partial's argument, bound or callable object and attribute are fresh."""
    assert run(
        folder,
        engine,
        """
        import functools

        class Counter:
            def __init__(self): self.count = 0
            def __call__(self):
                self.count += 1
                return self.count

        def captures():
            seen = []
            def function():
                seen.append(1)
                return len(seen)
            return function

        def default(seen=[]):
            seen.append(1)
            return len(seen)

        def argument(seen):
            seen.append(1)
            return len(seen)

        def wrapped(function):
            @functools.wraps(function)
            def wrapper(): return function()
            return wrapper

        def rebinds():
            count = 0
            def function():
                def inner():
                    nonlocal count
                    count += 1
                inner()
                return count
            return function

        counter = Counter()
        for function in (counter.__call__, counter, captures(), default, functools.partial(argument, []),
                         wrapped(captures()), rebinds()):
            call = compute_this(function)
            futures = [call().submit() for _ in range(3)]
            print([call().compute() for _ in range(3)], [future.result() for future in futures])
        print(counter.count, default.__defaults__)
        """,
    ) == ["[1, 1, 1] [1, 1, 1]"] * 7 + ["0 ([],)"]


def test_variables_of_a_script_live_as_long_as_the_process(folder: Path, engine: str) -> None:
    """A loaded model lives on beside a captured list, which each call gets anew."""
    assert run(
        folder,
        engine,
        """
        MODEL = None

        def count():
            global MODEL
            MODEL = (MODEL or 0) + 1
            return MODEL

        def capturing(items):
            def function():
                items.append(1)
                return count(), len(items)
            return function

        print([compute_this(count)().compute() for _ in range(1)], MODEL)
        call = compute_this(count)
        print([call().compute() for _ in range(3)])
        call = compute_this(capturing([]))
        print([call().compute() for _ in range(3)])
        """,
    ) == ["[1] None", "[2, 3, 4]", "[(1, 1), (2, 1), (3, 1)]"]


@pytest.mark.parametrize("engine", ["processes", "celery"], indirect=True)
def test_functions_and_classes_of_the_script_are_found_in_main_on_the_worker(
    folder: Path, engine: str
) -> None:
    """Its functions and classes are found by name: those that the call mentions, and the others."""
    assert run(
        folder,
        engine,
        """
        import dataclasses, inspect, pickle, sys, typing

        @dataclasses.dataclass
        class Epoch:
            number: int
            before: "Epoch | None" = None
            tags: list = dataclasses.field(default_factory=list)

        class Unmentioned:
            def answer(self): return 42

        def helper(x): return x + 1

        @compute_this
        def decorated(x): return x + 2

        @compute_this
        def save(): return pickle.dumps([Epoch(1), helper])

        @compute_this
        def resume(data): return pickle.loads(data)

        @compute_this
        def look():
            import __main__
            return (
                __main__.Unmentioned().answer(), globals()["helper"](1), eval("helper(2)"), __main__.decorated.local(1),
                typing.get_type_hints(Epoch)["before"] == (Epoch | None), __main__.look.__name__, __main__.__file__,
                "number: int" in inspect.getsource(Epoch),
            )

        epoch, function = pickle.loads(save().compute())
        print(epoch, function is helper)
        print(resume(pickle.dumps(Unmentioned())).compute().answer(), resume(pickle.dumps(epoch)).compute().number)
        found = look().compute()
        print(found[:6], found[6] == __file__, found[7])
        @compute_this
        def missing():
            import __main__
            return __main__.no_such_name
        try:
            missing().compute()
        except AttributeError as error:
            print(error)
        """,
    ) == [
        "Epoch(number=1, before=None, tags=[]) True",
        "42 1",
        "(42, 2, 3, 3, True, 'look') True True",
        (
            "the script's 'no_such_name' did not travel to this worker. Its functions and classes "
            "do, unless they use "
            "variables that change; mention no_such_name in the function that is called, and it "
            "travels in any case"
        ),
    ]


def test_single_dispatch_cached_properties_and_plain_decorators_of_a_script_work(
    folder: Path, engine: str
) -> None:
    """Single dispatch, cached properties, and a coroutine function below a plain decorator."""
    assert run(
        folder,
        engine,
        """
        import functools

        @functools.singledispatch
        def text(value): return "something"

        @text.register
        def _(value: int): return "number"

        class Circle:
            def __init__(self, radius): self.radius = radius
            @functools.cached_property
            def area(self): return 3 * self.radius ** 2
            @functools.singledispatchmethod
            def show(self, value): return "something"
            @show.register
            def _(self, value: int): return "number"

        def plain(function):
            def wrapper(*args): return function(*args)
            return wrapper

        @compute_this
        @plain
        async def double(x): return 2 * x

        print(list(compute_this(text).map([1, "a"])), compute_this(lambda c: (c.area, c.show(1)))(Circle(2)).compute())
        print(double(2).compute(), list(double.map(range(3))), compute_this(Circle)(3).compute().area)

        @compute_this
        @plain
        async def fail(x): raise ValueError(x)

        print(list(fail.map(range(2), on_error="return")))
        """,
    ) == [
        "['number', 'something'] (12, 'number')",
        "4 [0, 2, 4] 27",
        "[ValueError(0), ValueError(1)]",
    ]


def test_objects_that_a_script_adds_to_an_installed_module_are_sent_with_calls(
    folder: Path, engine: str
) -> None:
    """Frameworks with registries do so. What the module itself defines is found there."""
    assert run(
        folder,
        engine,
        """
        import string

        string.Individual = type("Individual", (list,), {"__module__": "string"})

        class Named:
            def name(self): return "named"
        Named.__module__ = "string"
        string.Named = Named

        def seven(): return 7
        seven.__module__ = "string"
        string.seven = seven

        class Error(Exception): pass

        print(compute_this(sum)(string.Individual([1, 2])).compute(), compute_this(seven)().compute())
        print(compute_this(lambda named: named.name())(Named()).compute())
        print(compute_this(lambda kind: kind.__name__)(string.Formatter).compute())
        """,
    ) == ["3 7", "named", "Formatter"]


@pytest.mark.parametrize("engine", ["processes", "celery"], indirect=True)
def test_variables_that_a_call_sets_on_main_are_visible_to_other_functions(
    folder: Path, engine: str
) -> None:
    """It stays in any process of a pool."""
    assert run(
        folder,
        engine,
        """
        @compute_this
        def prepare():
            import __main__
            __main__.model = [1, 2]

        @compute_this
        def use():
            import __main__
            return sum(__main__.model)

        prepare().compute()
        print(use().compute())
        """,
    ) == ["3"]


def test_a_process_that_is_being_spawned_makes_no_calls(folder: Path, engine: str) -> None:
    """It runs the script to find its functions. Its calls would spawn processes without end."""
    assert run(
        folder,
        engine,
        """
        import multiprocessing, sys
        from distribute_challenge.errors import BackendError

        @compute_this
        def add(x): return x + 1

        if multiprocessing.current_process().name == "MainProcess":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(add.local, [1]))
                pool.close()
                pool.join()
        else:
            try:
                print(add(1).compute())
            except BackendError as error:
                print(str(error)[:41])
        """,
    ) == (["multiprocessing has spawned this process,"] if engine != "local" else ["2"]) + ["[2]"]


@pytest.mark.parametrize("engine", ["processes", "celery"], indirect=True)
def test_a_function_of_main_given_as_an_argument_is_the_function_in_main(
    folder: Path, engine: str
) -> None:
    """So a pool inside the call finds it.

    One that carries state, or has changed since a map began, is a copy.
    """
    assert run(
        folder,
        engine,
        """
        import multiprocessing

        RATE = 1
        def double(x): return 2 * x
        def rated(x): return RATE * x
        def collects(x, seen=[]):
            seen.append(x)
            return len(seen)

        @compute_this
        def in_pool(function):
            with multiprocessing.Pool(1) as pool:
                found = pool.map(function, [1, 2])
                pool.close()
                pool.join()
                return found

        @compute_this
        def same(function):
            import __main__
            return function is getattr(__main__, function.__name__, None), function(3), function(3)

        def functions():
            global RATE, double
            yield rated
            RATE = 5
            yield rated
            yield double
            def double(x): return 3 * x
            double.__qualname__ = "double"
            yield double

        if __name__ == "__main__":
            print(in_pool(double).compute(), same(double).compute())
            print([same(collects).compute()[1:] for _ in range(2)])
            print([found[1] for found in same.map(functions(), batch_size=1)])
        """,
    ) == ["[2, 4] (True, 6, 6)", "[(1, 2), (1, 2)]", "[3, 15, 6, 9]"]
