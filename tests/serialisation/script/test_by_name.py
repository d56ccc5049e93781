"""Objects that their class pickles by their name; see also tests/contract/scripts."""

import pytest

from tests.elsewhere import Client


@pytest.mark.slow
def test_a_curried_function_of_the_script_travels_by_its_parts(project: Client) -> None:
    """toolz' own way is to look for it in the script, by a text that says where."""
    project.write(
        curried="""
        import functools, importlib
        class curry:
            def __init__(self, func, *args, **keywords):
                self.func, self.args, self.keywords = func, args, keywords
            def __call__(self, *args): return self.func(*self.args, *args, **self.keywords)
            def __reduce__(self): return find, (f"{self.func.__module__}:{self.func.__qualname__}", self.args)
        curry.__module__ = "toolz.functoolz"
        def find(place, args):
            module, _, name = place.partition(":")
            return curry(getattr(importlib.import_module(module), name).func, *args)
        """
    )
    out = project.run("""
        import curried
        @curried.curry
        def add(a, b): return a + b
        print(compute_this(curried.curry(add.func, 1))(2).compute(backend=backend))
        print(compute_this(lambda f: f(5))(curried.curry(add.func, b=3)).compute(backend=backend))
    """)
    assert out.splitlines() == ["3", "8"]
