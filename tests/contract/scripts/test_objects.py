"""What every engine promises of a script's classes and objects: they stay what they are."""

from pathlib import Path

import pytest

from tests.contract.scripts.running import run

pytestmark = pytest.mark.slow


def test_objects_of_a_class_of_the_script_come_back_as_objects_of_the_same_class(
    folder: Path, engine: str
) -> None:
    """An instance, an enum's member, an exception and an inherited method come back."""
    assert run(
        folder,
        engine,
        """
        import enum

        RATE = 1
        MADE = []

        class Account:
            limit = 100
            def __init_subclass__(cls): MADE.append(cls.__name__)
            def interest(self): return RATE

        class Savings(Account): pass

        class Kind(enum.Enum):
            SMALL = 1
            def rate(self): return RATE

        class Overdrawn(Exception):
            def rate(self): return RATE

        @compute_this
        def make(which):
            if which is Overdrawn:
                raise Overdrawn("1")
            return Kind.SMALL if which is Kind else which()

        before = vars(Account) | vars(Kind) | vars(Overdrawn)
        made = make(Account).compute(), make(Savings).compute(), make(Kind).compute()
        try:
            make(Overdrawn).compute()
        except Overdrawn as error:
            made = *made, error
        RATE, Account.limit = 2, 500
        again = make(Account).compute(), make(Savings).compute()
        print([type(each) in (Account, Savings, Kind, Overdrawn) for each in (*made, *again)], made[2] is Kind.SMALL)
        print(Account().interest(), made[1].interest(), made[2].rate(), made[3].rate(), Account.limit, again[1].limit)
        after = vars(Account) | vars(Kind) | vars(Overdrawn)
        print(all(after[name] is value for name, value in before.items() if name != "limit"), MADE)
        """,
    ) == ["[True, True, True, True, True, True] True", "2 2 2 2 500 500", "True ['Savings']"]


def test_a_class_is_made_once_on_a_worker_and_again_when_the_script_changes_it(
    folder: Path, engine: str
) -> None:
    """What a call keeps on it stays. The worker sees changed and removed attributes."""
    assert run(
        folder,
        engine,
        """
        RATE = 1

        class Model:
            loaded = None
            factor = 1
            extra = True
            def value(self):
                if type(self).loaded is None:
                    type(self).loaded = []
                type(self).loaded.append(1)
                return len(self.loaded), RATE * self.factor, hasattr(self, "extra")

        @compute_this
        def value(model): return model.value()

        print([value(Model()).compute() for _ in range(3)][-1][0] == 3)
        RATE = 2
        print(value(Model()).compute()[1:])
        Model.factor = 3
        del Model.extra
        print(value(Model()).compute()[1:])
        old = Model()
        class Model:
            def value(self): return "another"
        print(value(Model()).compute(), value(old).compute()[1:])
        """,
    ) == ["True", "(2, True)", "(6, False)", "another (6, False)"]


def test_sentinels_locks_and_context_variables_of_a_script_keep_their_identity(
    folder: Path, engine: str
) -> None:
    """Sentinels, locks, context variables and thread-locals are one in each process."""
    assert run(
        folder,
        engine,
        """
        import contextvars, functools, threading, weakref

        MISSING = object()
        LOCK, INNER = threading.Lock(), threading.RLock()
        LOCAL = threading.local()
        DEPTH, UNSET = contextvars.ContextVar("depth", default=3), contextvars.ContextVar("unset")

        @compute_this
        def echo(value): return value, value is MISSING

        @compute_this
        def uses(default=MISSING):
            with LOCK, INNER:
                LOCAL.x = getattr(LOCAL, "x", 0) + 1
                return default is MISSING, DEPTH.get(), UNSET.get(None)

        back, same = echo(MISSING).compute()
        print(back is MISSING, same, uses().compute(), uses().compute())

        class Key: pass
        keys = [Key(), Key()]
        weak = weakref.WeakKeyDictionary({keys[0]: 1}), weakref.WeakValueDictionary(a=keys[1]), weakref.ref(keys[0])
        there = compute_this(lambda keys, weak: (weak[0][keys[0]], weak[1]["a"] is keys[1], weak[2]() is keys[0]))
        print(there(keys, weak).compute())
        """,
    ) == ["True True (True, 3, None) (True, 3, None)", "(1, True, True)"]


def test_a_class_that_cannot_be_taken_apart_is_made_from_its_statement(
    folder: Path, engine: str
) -> None:
    """It has a lock or a cache of instances. Changes of its methods' variables are seen."""
    assert run(
        folder,
        engine,
        """
        from __future__ import annotations
        import threading, weakref

        RATE = 1
        def decorate(cls):
            cls.decorated = True
            return cls

        class Base:
            lock = threading.Lock()

        @decorate
        class Service(Base):
            instances = weakref.WeakValueDictionary()
            limits = [limit for limit in range(3)]
            class Inner:
                depth = RATE
            other: Unknown = None
            def __init__(self): self.instances["last"] = self
            def use(self):
                with self.lock:
                    return RATE, len(self.instances), self.limits, type(self) is Service, self.Inner.depth, self.decorated

        @compute_this
        def use(service): return service.use()

        @compute_this
        def make(): return Service()

        service = Service()
        print(use(service).compute())
        RATE = 2
        print(use(service).compute()[0], use(service).submit().result()[0], type(make().compute()) is Service)
        """,
    ) == [
        "(1, 0, [0, 1, 2], True, 1, True)"
        if engine in ("processes", "celery")
        else "(1, 1, [0, 1, 2], True, 1, True)",
        "2 2 True",
    ]


def test_an_object_whose_class_pickles_it_by_name_works_on_the_worker(
    folder: Path, engine: str
) -> None:
    """Wrappers of decorators do so: their name leads to themselves."""
    assert run(
        folder,
        engine,
        """
        import functools

        class Wrapper:
            __module__ = "wrappers"
            def __init__(self, function):
                functools.update_wrapper(self, function)
            def __call__(self, x): return self.__wrapped__(x)
            def __reduce__(self): return self.__qualname__

        @Wrapper
        def double(x): return 2 * x

        print(compute_this(double)(2).compute(), compute_this(lambda x: double(x))(3).compute())
        print(compute_this(lambda function, x: function(x))(double, 4).compute())
        """,
    ) == ["4 6", "8"]
