"""The scripts for a whole queue of items: to make it, shut it down, delete it; and for dead letters.

`queues.QueueRecord` runs them. What they work on stands in `queue_script_parts`.
"""

from typing import Final

from distribute_challenge.execution_backends.celery.broker.keys import QUEUES
from distribute_challenge.execution_backends.celery.broker.queue_script_parts import (
    COMMON,
    EXISTING,
    LARGEST_ANSWER,
    VALUES,
)

__all__ = ["DEAD", "DELETE", "OPEN", "REQUEUE", "RESIZE", "SHUT_DOWN", "SIGNAL"]

OPEN: Final = f"""{COMMON}
local maxsize, lease, attempts, expiry = unpack(ARGV, 2)
if redis.call('EXISTS', state) == 0 then
    redis.call('HSET', state, 'maxsize', maxsize, 'size', 0, 'unfinished', 0, 'dead', 0, 'shutdown', '',
        'lease', lease, 'attempts', attempts, 'expiry', expiry)
    if expiry == '0' then redis.call('SADD', '{QUEUES}', queue) end
elseif number('maxsize') == 0 then
    redis.call('HSET', state, 'maxsize', maxsize)
end
signal()
return {{tostring(number('maxsize')), tostring(number('lease'))}}
"""

SIGNAL: Final = f"""{EXISTING}
signal()
return {{'signalled'}}
"""

RESIZE: Final = f"""{EXISTING}
redis.call('HSET', state, 'maxsize', ARGV[2])
signal()
return {{'resized'}}
"""

SHUT_DOWN: Final = f"""{EXISTING}
if ARGV[2] == '1' then
    redis.call('HSET', state, 'shutdown', 'immediate', 'size', 0)
    for _, entry in ipairs(redis.call('LRANGE', waiting, 0, -1)) do
        local block, start, stop = parts_of(entry)
        if block then finish(block, stop - start) end
    end
    redis.call('DEL', waiting)
elseif redis.call('HGET', state, 'shutdown') == '' then
    redis.call('HSET', state, 'shutdown', 'gently')
end
signal()
return {{'shut'}}
"""

# Returns entries of the dead letters, as `TAKE` does but with an error in the place of the name of a
# delivery, and takes none.
DEAD: Final = f"""{EXISTING}
local found, size = {{'taken'}}, 0
for _, entry in ipairs(redis.call('LRANGE', dead, 0, ARGV[2] - 1)) do
    local block = parts_of(entry)
    local body = block and redis.call('HGET', blocks, block)
    if body and size < {LARGEST_ANSWER} then
        size = size + #body
        local start = select(2, parts_of(entry))
        table.insert(found, redis.call('HGET', errors, block .. ' ' .. start) or '')
        table.insert(found, entry)
        table.insert(found, body)
    end
end
return found
"""

REQUEUE: Final = f"""{EXISTING}
if redis.call('HGET', state, 'shutdown') ~= '' then return {{'shut'}} end
local count = 0
for _, entry in ipairs(redis.call('LRANGE', dead, 0, -1)) do
    local block, start, stop = parts_of(entry)
    if block then
        redis.call('RPUSH', waiting, entry_of(block, start, stop, 0))
        count = count + stop - start
    end
end
redis.call('DEL', dead, errors)
redis.call('HSET', state, 'dead', 0)
redis.call('HINCRBY', state, 'size', count)
redis.call('HINCRBY', state, 'unfinished', count)
signal()
return {{'back', count}}
"""

DELETE: Final = f"""{COMMON}
for _, holder in ipairs(redis.call('ZRANGE', leases, 0, -1)) do redis.call('DEL', held_by(holder)) end
local found = redis.call('HGETALL', values)
for index = 1, #found, 2 do
    local own = '{VALUES}' .. found[index] .. ':'
    for key in string.gmatch(found[index + 1], '%S+') do
        if string.sub(key, 1, #own) == own then redis.call('UNLINK', key) end
    end
end
redis.call('UNLINK', unpack(KEYS))
redis.call('SREM', '{QUEUES}', queue)
return {{'deleted'}}
"""
