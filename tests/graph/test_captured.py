"""Futures and calls that functions capture."""

from tests.elsewhere import Client

SCRIPT = """
@compute_this
def add(x, y):
    return x + y

@compute_this
def call(function):
    return function()

held = 4

def give():
    return held

@compute_this
def use(function):
    return give() + function()

print(use(give).compute(backend))
held = add(1, 2).submit(backend)
try:
    use(give).compute(backend)
except TypeError as error:
    print("pass it as an argument" in str(error))
print(call(give).compute(backend))
held = add(3, 4)
print(call(give).compute(backend))
print(call(lambda value=held: value).compute(backend))
"""


def test_functions_in_the_arguments_may_capture_futures_and_calls(project: Client) -> None:
    """The function of the call itself may not: a worker keeps it for further calls."""
    assert project.run(SCRIPT).split() == ["8", "True", "3", "7", "7"]
