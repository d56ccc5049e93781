"""Classes that travel by value; what scripts see of it is in tests/contract/scripts."""

import collections
import threading

import pytest

from distribute_challenge import put
from distribute_challenge.errors import SerialisationError
from distribute_challenge.serialisation import dumps, loads
from distribute_challenge.serialisation.script.classes import kept_pickle
from distribute_challenge.serialisation.script.definition_pickler import version_of
from tests.elsewhere import Client

pytestmark = pytest.mark.slow


def test_classes_that_refer_to_each_other_can_be_sent(project: Client) -> None:
    """They travel in either order. The worker sees a change of one."""
    out = project.run("""
        class Left:
            number = 1
            def other(self): return Right
        class Right:
            def other(self): return Left
            def number(self): return Left.number
        call = compute_this(lambda each: (each.other()().other() is type(each), Right().number()))
        print(call(Left()).compute(backend=backend), call(Right()).compute(backend=backend))
        Left.number = 2
        print(call(Right()).compute(backend=backend))
    """)
    assert out.splitlines() == ["(True, 1) (True, 1)", "(True, 2)"]


def test_a_class_made_by_a_call_is_one_for_all_its_results(project: Client) -> None:
    """The worker defines it, and not the client."""
    out = project.run("""
        @compute_this
        def make():
            global made
            if "made" not in globals():
                class made:
                    def value(self): return 1
            return made()
        first, second = make().compute(backend=backend), make().compute(backend=backend)
        print(type(first) is type(second), first.value())
        print(compute_this(lambda x: x.value())(first).compute(backend=backend))
    """)
    assert out.splitlines() == ["True 1", "1"]


def test_client_and_worker_keep_a_bounded_number_of_classes(project: Client) -> None:
    """On both ends the oldest goes, unless something else needs it."""
    out = project.run("""
        import gc, weakref
        made = []
        def send(number):
            class Local:
                def value(self): return number
            made.append(weakref.ref(Local))
            return compute_this(lambda local: local.value())(Local()).compute(backend=backend)
        @compute_this
        def alive():
            gc.collect()
            return sum(cls.__name__ == "Local" for cls in object.__subclasses__())
        print(sum(send(number) for number in range(300)))
        gc.collect()
        print(200 < sum(reference() is not None for reference in made) < 300, 200 < alive().compute(backend=backend) < 300)
    """)
    assert out.splitlines() == [str(sum(range(300))), "True True"]


@pytest.mark.parametrize(
    "statement",
    [
        "Service = type('Service', (), {'lock': threading.Lock()})",
        (
            "def make():\n    class Service: lock = threading.Lock()\n    return Service\nService = "
            "make()"
        ),
        "class Service: lock = threading.Lock()\nopen(__file__, 'w').write('class')",
    ],
    ids=["without statement", "inside a function", "file has changed"],
)
def test_a_class_that_can_neither_be_taken_apart_nor_made_again_is_named(
    project: Client, statement: str
) -> None:
    out = project.run(
        "import threading\n"
        + statement
        + """
from distribute_challenge.errors import SerialisationError
try:
    compute_this(lambda service: 1)(Service).compute(backend=backend)
except SerialisationError as error:
    print(str(error)[:80])
"""
    )
    assert out.startswith("argument 1 of <lambda> cannot be pickled: argument 1 of <lambda>")


def test_a_class_of_a_project_that_cannot_be_taken_apart_is_named() -> None:
    class Service:
        lock = threading.Lock()

    with pytest.raises(SerialisationError, match=r"it cannot be pickled: it\.lock \(a lock\)"):
        dumps(Service, "it")


def test_a_class_among_arguments_is_pickled_once_until_it_changes() -> None:
    class Point:
        scale = 1

    def pickled() -> bytes:
        return dumps([Point()], "a list", named=True).data

    first, kept = pickled(), kept_pickle(Point, version_of, dump)
    assert kept is not None
    assert kept_pickle(Point, version_of, dump) is kept
    assert pickled() == first
    assert type(loads(first)[0]) is Point
    Point.scale = 2
    assert pickled() != first


def test_a_class_that_could_change_unseen_is_pickled_each_time() -> None:
    """A value that was put is counted each time, too."""

    class Changing:
        values = collections.OrderedDict(a=1)  # noqa: RUF012 - it can change

    class Holding:
        value = put(b"x", "threads")

    for each in (Changing, Holding):
        assert kept_pickle(each, version_of, dump) is None
        assert type(loads(dumps([each()], "a list", named=True).data)[0]) is each


def dump(cls: type) -> tuple[bytes, frozenset[str]]:
    return cls.__name__.encode(), frozenset()


def test_objects_of_a_class_have_the_same_class_in_each_call(project: Client) -> None:
    """What calls keep on it stays until it changes; a change is set."""
    out = project.run("""
        import collections
        from distribute_challenge import put
        class Point:
            scale = 1
            def __init__(self, x): self.x = x
        class Holding:
            numbers = put([1, 2, 3], backend)
        @compute_this
        def seen(point):
            Point.count = getattr(Point, "count", 0) + 1
            return type(point) is Point, point.x * Point.scale, Point.count
        print([seen(Point(x)).compute(backend=backend) for x in range(3)])
        Point.scale = 10
        print(seen(Point(7)).compute(backend=backend)[:2])
        total = compute_this(lambda held: sum(type(held).numbers))
        print([total(Holding()).compute(backend=backend) for _ in range(2)])
    """)
    assert out.splitlines() == [
        "[(True, 0, 1), (True, 1, 2), (True, 2, 3)]",
        "(True, 70)",
        "[6, 6]",
    ]
