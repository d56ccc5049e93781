"""Answer requests in an asyncio program whose event loop stays free while the workers compute.

    python examples/async_requests.py [REQUESTS]

`await largest_factor(n)` hands the call to a worker and lets the loop go on with others. A clock
that ticks in the same loop measures for how long the loop was ever kept from its work.
"""

import asyncio
import sys
import time

from distribute_challenge import compute_this

TICK = 0.01  # Seconds.


@compute_this()
def largest_factor(number: int) -> int:
    """The largest prime factor, by trial division: a second or less of pure computing."""
    factor = 2
    while factor * factor <= number:
        if number % factor:
            factor += 1
        else:
            number //= factor
    return number


async def answer(number: int) -> str:
    start = time.perf_counter()
    factor = await largest_factor(number)
    return f"{number}: largest prime factor {factor}, answered after {time.perf_counter() - start:.2f} s"


async def clock(longest: list[float]) -> None:
    """Tick for ever, and keep the longest time between two ticks."""
    while True:
        start = time.perf_counter()
        await asyncio.sleep(TICK)
        longest[0] = max(longest[0], time.perf_counter() - start)


async def main(requests: int) -> None:
    await largest_factor(1)  # The first call starts the cluster.
    longest = [0.0]
    ticking = asyncio.create_task(clock(longest))
    numbers = range(10**13, 10**13 + requests)
    for answered in asyncio.as_completed([answer(number) for number in numbers]):
        print(await answered)
    ticking.cancel()
    print(
        f"{requests} requests; the event loop never waited longer than {longest[0] * 1000:.0f} ms"
    )


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
