"""What `compute_this` makes of a function."""

import copy
import functools
import inspect
import itertools
import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from distribute_challenge import DistributableFunction, compute_this
from distribute_challenge.errors import OptionError, SignatureError, UnsupportedFunctionError
from distribute_challenge.serialisation import dumps, loads


@compute_this(backend="local")
def add(x: int, y: int = 1) -> int:
    """Add two numbers."""
    return x + y


class Account:
    def __init__(self, total: int) -> None:
        self.total = total

    @compute_this(backend="local")
    def plus(self, x: int) -> int:
        """Add."""
        return self.total + x

    @compute_this(backend="local")
    @classmethod
    def make(cls, x: int) -> "Account":
        return cls(x)

    @compute_this(backend="local")
    @staticmethod
    def free(x: int) -> int:
        return x

    partial = compute_this(functools.partial(pow, 2), backend="local")


class Savings(Account):
    pass


def test_a_decorated_function_keeps_name_docstring_signature_and_types() -> None:
    """Tools and readers see the function."""
    assert (add.__name__, add.__qualname__, add.__module__, add.__doc__) == (
        "add",
        "add",
        __name__,
        "Add two numbers.",
    )
    assert inspect.signature(add) == inspect.signature(add.__wrapped__)
    assert add.__wrapped__(1, 2) == 3
    assert inspect.get_annotations(add.__wrapped__)["x"] is int


@pytest.mark.filterwarnings("ignore::distribute_challenge.errors.NeverRunWarning")
def test_calling_a_decorated_function_checks_the_arguments_and_runs_nothing() -> None:
    """At the caller's line."""
    assert repr(add(1, y=2)) == "<Distributable add(1, y=2)>"
    with pytest.raises(SignatureError, match=r"the signature is add\(x: int, y: int = 1\) -> int"):
        add()  # type: ignore[call-arg]


def test_local_calls_the_function_itself() -> None:
    """Here and now, bound arguments included."""
    assert add.local(1, y=2) == 3
    assert Account(10).plus.local(1) == 11


def test_a_generator_function_is_refused() -> None:
    """Also as a static method."""

    def numbers() -> Any:
        yield 1

    for function in (numbers, staticmethod(numbers)):
        with pytest.raises(UnsupportedFunctionError, match="numbers is a generator function"):
            DistributableFunction(function)  # type: ignore[arg-type]


def test_with_options_is_a_copy_with_other_options() -> None:
    """The original stays."""
    other = add.with_options(retries=3)
    assert other._prepared.options.retries == 3
    assert add._prepared.options.retries == 0
    assert other(1).compute() == 2
    assert Account(10).plus.with_options(timeout=30)(1).compute() == 11
    with pytest.raises(OptionError, match="'speed' is no option"):
        add.with_options(speed=1)


def test_a_method_is_bound_to_its_instance() -> None:
    """Or takes it as its first argument."""
    account = Account(10)
    assert account.plus(1).compute() == 11
    assert Account.plus(account, 2).compute() == 12
    assert list(account.plus.map([1, 2])) == [11, 12]
    assert list(account.plus.starmap([(3,)])) == [13]
    assert str(inspect.signature(account.plus)) == "(x: int) -> int"
    assert account.plus.__doc__ == "Add."
    with pytest.raises(SignatureError):
        account.plus(1, 2)


def test_a_class_method_is_bound_to_its_class() -> None:
    """The class it is looked up on."""
    assert type(Account.make(1).compute()) is Account
    assert type(Savings.make(1).compute()) is Savings
    assert type(Savings(1).make(2).compute()) is Savings
    assert type(Account.__dict__["make"].__get__(Savings(1)).local(2)) is Savings


def test_static_methods_and_partials_are_not_bound() -> None:
    """As in any class."""
    assert Account.free(1).compute() == Account(1).free(1).compute() == 1
    assert Account.partial(3).compute() == Account(1).partial(3).compute() == 8


def test_a_method_with_an_unreadable_signature_can_be_bound() -> None:
    """Its code says what it takes."""

    class Odd:
        def method(self, *args: int) -> int:
            return len(args)

        method.__signature__ = "wrong"  # type: ignore[attr-defined]
        distributed = compute_this(method, backend="local")

    function = Odd().distributed
    assert function(1, 2).compute() == function.local(1, 2) == 2
    with pytest.raises(SignatureError):
        function(x=1)
    assert repr(function) == "<DistributableFunction method(...)>"


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    """Fills an argument, as frameworks do."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args, session="open")

    return wrapper


@compute_this(backend="local")
@with_session
def users(table: str, session: str) -> str:
    return f"{table} {session}"


class Tables:
    @compute_this(backend="local")
    @with_session
    def users(self, table: str, session: str) -> str:
        return f"{table} {session}"

    @compute_this(backend="local")
    @mock.patch("os.getcwd", return_value="nowhere")
    def folder(self, table: str, replaced: mock.Mock) -> str:
        return f"{table} {os.getcwd()} {replaced.call_count}"


def test_an_argument_filled_by_an_inner_decorator_may_be_left_out() -> None:
    """The check is of what is called, the signature shown that of what is wrapped."""
    assert users("a").compute() == users.local("a") == "a open"
    assert list(users.map(["a", "b"])) == ["a open", "b open"]
    assert Tables().users("a").compute() == "a open"
    assert Tables().folder("a").compute() == "a nowhere 1"
    assert repr(users) == "<DistributableFunction users(table: str, session: str) -> str>"
    assert str(inspect.signature(Tables().users)) == "(table: str, session: str) -> str"
    with pytest.raises(
        SignatureError,
        match=r"unexpected keyword argument 'table', .*the signature is users\(\*args",
    ):
        users(table="a")


def test_map_takes_one_iterable_for_each_parameter() -> None:
    """The shortest ends it."""
    assert list(add.map([1, 2], itertools.count())) == [1, 3]
    assert list(add.map([1, 2])) == [2, 3]


@pytest.mark.parametrize(
    "wrong", [[1, 2], range(2), "ab", {1: 2}], ids=["list", "range", "text", "dictionary"]
)
def test_map_checks_the_number_of_iterables_at_its_line(wrong: Any) -> None:
    """If there is an item."""
    with pytest.raises(
        SignatureError,
        match=r"too many positional arguments, in the call add\(\.\.\., \.\.\., \.\.\.\)",
    ):
        add.map(wrong, wrong, wrong)
    assert list(add.map([], wrong, wrong)) == []
    assert list(add.map()) == []


@pytest.mark.parametrize(
    "mapped",
    [
        lambda: add.map(*(itertools.count() for _ in range(3))),
        lambda: add.starmap([(1, 2, 3)]),
        lambda: add.starmap(iter([[1, 2, 3]])),
        lambda: Account(0).plus.map(itertools.count(), itertools.count()),
    ],
    ids=["endless", "starmap", "starmap of an iterator", "method"],
)
def test_the_first_item_of_an_iterator_is_checked_when_it_is_read(
    mapped: Callable[[], Iterator[Any]],
) -> None:
    """Nothing is taken from an iterator before that, or twice."""
    results = mapped()
    with pytest.raises(SignatureError, match="too many positional arguments"):
        next(results)


def test_a_map_that_returns_errors_checks_no_item() -> None:
    """Each has the error of its own call."""
    wrong, right = add.starmap([(1, 2, 3), (1, 2)], on_error="return")
    assert isinstance(wrong, TypeError)
    assert right == 3


def test_starmap_takes_sequences_of_arguments() -> None:
    """Of any kind."""
    assert list(add.starmap([(1, 2), [3], iter([4, 5])])) == [3, 4, 9]


def test_a_decorated_function_can_be_pickled() -> None:
    """With options and binding; one that its module holds comes back as itself."""
    assert loads(dumps(add, "it").data) is add
    assert (
        loads(dumps(Account(10).plus.with_options(retries=2), "it").data)._prepared.options.retries
        == 2
    )
    bound = loads(dumps(Account(10).plus, "it").data)
    assert bound(1).compute() == 11


@pytest.mark.slow
def test_plain_pickle_stores_a_decorated_function_by_name_or_by_value() -> None:
    """As pools of the standard library do; a copy is the function itself, as of any function."""
    assert pickle.loads(pickle.dumps(add)) is add
    assert pickle.loads(pickle.dumps(add.local))(1, 2) == 3
    number = 5
    inner = compute_this(lambda x: x + number)
    assert pickle.loads(pickle.dumps(inner))(1).compute() == 6
    assert copy.copy(inner) is copy.deepcopy(inner) is inner


def test_the_repr_of_a_decorated_function_shows_name_and_signature() -> None:
    """As one would write its def."""
    assert repr(add) == "<DistributableFunction add(x: int, y: int = 1) -> int>"


@pytest.mark.filterwarnings("ignore::distribute_challenge.errors.NeverRunWarning")
def test_the_repr_of_a_decorated_function_survives_unprintable_defaults() -> None:
    """Python writes no number of so many digits."""

    @compute_this
    def f(x: Any, y: int = 10**5000) -> None: ...

    assert repr(f) == "<DistributableFunction f(...)>"
    with pytest.raises(
        SignatureError, match=r"too many positional arguments, in the call f\(1, 2, 3\)"
    ):
        f(1, 2, 3)  # type: ignore[call-arg]
    assert repr(f(10**5000)) == "<Distributable f(<int of about 5001 digits>)>"
