"""A store in a dictionary, which can be made full, slow or forgetful."""

import threading
from collections.abc import Collection

from distribute_challenge.errors import StoreFullError
from distribute_challenge.stores import Store


class MemoryStore(Store):
    def __init__(self, name: str = "memory", room: int = 1 << 40) -> None:
        self.name = name
        self.room = room
        self.values: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.renewed: list[str] = []
        self.closed = 0
        self.putting, self.deleting = Gate(), Gate()

    def put(self, key: str, data: memoryview) -> None:
        self.puts.append(key)
        self.putting.pass_through()
        if sum(map(len, self.values.values())) + len(data) > self.room:
            raise StoreFullError(f"{self.name} is full")
        self.values[key] = bytes(data)

    def get(self, key: str, size: int) -> memoryview | None:
        found = self.values.get(key)
        return None if found is None else memoryview(found)

    def holds(self, key: str, size: int) -> bool:
        return key in self.values

    def delete(self, keys: Collection[str]) -> None:
        self.deleting.pass_through()
        for key in keys:
            self.values.pop(key, None)

    def renew(self, keys: Collection[str]) -> None:
        self.renewed = sorted(keys)

    def close(self) -> None:
        self.closed += 1
        self.values.clear()


class Gate:
    """Open, unless a test shuts it."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()
        self._reached = threading.Event()

    def shut(self) -> None:
        self._reached.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self._reached.set()
        assert self._open.wait(60)

    def wait_until_reached(self) -> None:
        assert self._reached.wait(60)
