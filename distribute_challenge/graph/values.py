"""Puts the values that a call needs into its task."""

from collections.abc import Sequence
from itertools import zip_longest

from distribute_challenge.core.messages import Task
from distribute_challenge.core.references import Reference
from distribute_challenge.execution_backends.base import ExecutionBackend
from distribute_challenge.graph.inputs import Input
from distribute_challenge.serialisation import SAME_BURST, PortableFunction, pack_plain, with_inputs
from distribute_challenge.serialisation.tasks import release_values, values_of

__all__ = ["with_values"]


def with_values(
    task: Task,
    inputs: Sequence[Input],
    engine: ExecutionBackend,
    portable: PortableFunction,
    places: Sequence[int | None] = (),
) -> Task:
    """Return a task with the values that it needs, as its engine takes it.

    Args:
        task: The task, whose arguments have a stand-in for each input. The depot counts one user of
            its large values, and releases them if this function raises.
        inputs: What it needs, by the numbers of the stand-ins; all have values, except for those
            that have a place.
        engine: The engine.
        portable: The function, which is pickled again if a value needs further modules.
        places: For each input, the number of its call in the message that the task goes with; None
            for a value from elsewhere. Empty if all are from elsewhere.

    Raises:
        SerialisationError: A value cannot be pickled.
        ValueLostError: A value is gone.
        SystemFailureError: There is no room for the large parts of a value.
    """
    values = list(task.values)
    blobs: list[bytes | int] = []
    modules: frozenset[str] = frozenset()

    def deposited(buffer: memoryview) -> Reference | None:
        if (depot := engine.depot()) is None:
            return None
        reference = depot.deposit(buffer)
        values.append(reference.key)
        return reference

    try:
        for each, place in zip_longest(inputs, places):
            if place is not None:
                blobs.append(place)
                continue
            parcel = each.packed(engine.depot)
            blobs.append(parcel.data)
            modules |= parcel.modules
            values += parcel.values
        function = task.function
        if modules:
            function = portable.payload(
                modules, engine.depot, within=SAME_BURST, shares_files=engine.shares_files
            )
            values += values_of(function, engine.depot)
        blob = with_inputs(task.arguments, blobs)
        arguments = pack_plain(blob, deposited)
    except BaseException:
        release_values(values, engine.depot)
        raise
    return task._replace(function=function, arguments=arguments, values=tuple(values), is_next=True)
