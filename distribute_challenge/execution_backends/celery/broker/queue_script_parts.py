"""The keys of a queue of items, and the beginning of all scripts for it (`queue_scripts`).

A queue lies in several keys, ``distribute_challenge:queue:<part>:<id>``:

| part | type | holds |
| --- | --- | --- |
| ``state`` | hash | maxsize, size, unfinished, dead, shutdown, lease, attempts, expiry |
| ``waiting`` | list | entries: the items that wait, the next one first |
| ``blocks`` | hash | the sealed items of each block |
| ``left`` | hash | of each block, how many items are not done, and how many it had |
| ``values`` | hash | of each block with a large item, the keys that hold the item |
| ``leases`` | sorted set | when each holder was heard of, by Redis' clock |
| ``held:<holder>`` | hash | what a holder has taken and not done: its deliveries, each an entry |
| ``dead`` | list | entries: the items of which the holder was lost too often |
| ``errors`` | hash | the error of each dead letter whose call failed, by block and number |
| ``stopped:<consumers>`` | list | tokens that wake consumers which were stopped |
| ``ready``, ``room``, ``idle`` | list | one token while there is an item, room, no unfinished item |

An entry is ``<block> <start> <stop> <losses>``: some consecutive items of a block, and how often a
holder of them was lost. So one entry may stand for hundreds of items, and can be divided without
changing the block, which is signed. An item that was with a lost holder is taken alone from then
on: if it is the one that ends its processes, it harms no others.

A client that waits blocks on the list of a token, and takes the token. Its next script puts the
token back if it still holds. So one token wakes all clients that can go on, one after the other,
and no client polls.
"""

from typing import Final

from distribute_challenge.execution_backends.celery.broker.keys import queue_key
from distribute_challenge.stores.redis import value_key

__all__ = ["COMMON", "EXISTING", "LARGEST_ANSWER", "ONCE", "PARTS", "VALUES"]

#: The parts that each script gets as its keys, in this order.
PARTS: Final = (
    "state", "waiting", "blocks", "left", "values", "leases", "dead", "errors", "ready", "room", "idle"
)  # fmt: skip

#: The beginning of the keys of large items, before the id of their block.
VALUES: Final = value_key("", "")[:-1]

LARGEST_ANSWER: Final = 1_000_000  # Bytes of blocks after which one `TAKE` takes no more of them.

# The losses of an entry that was taken to be done at most once: as many as make it a dead letter if
# it is not done.
ONCE: Final = 1_000_000

COMMON: Final = f"""
local state, waiting, blocks, left, values, leases, dead, errors, ready, room, idle =
    unpack(KEYS)
local queue = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local exact_now = string.format('%.6f', now)

local function number(field)
    local text = redis.call('HGET', state, field)
    -- Other programs may write there, and `tonumber` also knows infinity.
    return text and #text <= 20 and string.find(text, '^-?%d[%d.]*$') and tonumber(text) or 0
end

local function held_by(holder)
    return '{queue_key("held", "")}' .. holder .. ':' .. queue
end

local function parts_of(entry)
    local block, start, stop, losses = string.match(entry, '^(%x+) (%d+) (%d+) (%d+)$')
    return block, tonumber(start), tonumber(stop), tonumber(losses)
end

local function entry_of(block, start, stop, losses)
    return string.format('%s %d %d %d', block, start, stop, losses)
end

local function finish(block, count)
    redis.call('HINCRBY', state, 'unfinished', -count)
    local missing, total = string.match(redis.call('HGET', left, block) or '', '^(%d+) (%d+)$')
    if not missing then return end
    if tonumber(missing) > count then
        redis.call('HSET', left, block, string.format('%d %s', missing - count, total))
        return
    end
    local own = '{VALUES}' .. block .. ':'
    for key in string.gmatch(redis.call('HGET', values, block) or '', '%S+') do
        if string.sub(key, 1, #own) == own then redis.call('UNLINK', key) end
    end
    redis.call('HDEL', blocks, block)
    redis.call('HDEL', left, block)
    redis.call('HDEL', values, block)
end

-- Put an entry at the front of the queue, or to the dead letters; drop it if the queue was shut
-- down at once.
local function put_back(block, start, stop, losses)
    if redis.call('HGET', state, 'shutdown') == 'immediate' then
        finish(block, stop - start)
    elseif losses >= number('attempts') then
        redis.call('RPUSH', dead, entry_of(block, start, stop, losses))
        redis.call('HINCRBY', state, 'unfinished', start - stop)
        redis.call('HINCRBY', state, 'dead', stop - start)
    else
        redis.call('LPUSH', waiting, entry_of(block, start, stop, losses))
        redis.call('HINCRBY', state, 'size', stop - start)
    end
end

local function put_back_all(holder, losses)
    local entries = redis.call('HVALS', held_by(holder))
    for index = #entries, 1, -1 do
        local block, start, stop, before = parts_of(entries[index])
        if block then put_back(block, start, stop, before + losses) end
    end
    redis.call('DEL', held_by(holder))
    redis.call('ZREM', leases, holder)
end

local function put_back_lost()
    local lease = number('lease')
    for _, holder in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now - lease, 'LIMIT', 0, 10)) do
        put_back_all(holder, 1)
    end
end

local function token(list, holds)
    if not holds then
        redis.call('DEL', list)
    elseif redis.call('EXISTS', list) == 0 then
        redis.call('RPUSH', list, '')
    end
end

local function prolong(holder)
    local expiry = number('expiry')
    if expiry > 0 then
        for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, expiry) end
        if holder then redis.call('EXPIRE', held_by(holder), expiry) end
    end
end

local function signal(holder)
    local maxsize, size = number('maxsize'), number('size')
    local is_shut = redis.call('HGET', state, 'shutdown') ~= ''
    token(ready, size > 0 or is_shut)
    token(room, is_shut or (maxsize > 0 and size < maxsize))
    token(idle, number('unfinished') <= 0)
    prolong(holder)
end
"""

# The beginning of the scripts for a queue that has to be there.
EXISTING: Final = f"""{COMMON}
if redis.call('EXISTS', state) == 0 then return {{'gone'}} end
"""
