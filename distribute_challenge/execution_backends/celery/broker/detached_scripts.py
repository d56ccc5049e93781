"""The scripts of detached calls: each is one step (`detached`), taken whole or not at all.

The scripts ignore a record that no client can have written: it causes no error, and the next look
deletes it.
"""

from typing import Final

from distribute_challenge.execution_backends.celery.broker.keys import DETACHED_OPEN
from distribute_challenge.stores.redis import value_key

__all__ = ["ADD", "ANSWER", "CLOSE", "LOOK", "OVERLOOKED", "TAKE_BACK"]

# The beginning of the keys of large arguments, before the call's id.
_VALUES: Final = value_key("", "")[:-1]

# The beginning of all scripts.
_CLOCK: Final = f"""
local open = '{DETACHED_OPEN}'
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local exact_now = string.format('%.6f', now)
"""

# The common part of the scripts for one open call. A message that is sent again gets another
# delivery tag: a worker that was frozen and holds the message under the old tag must not delete
# another worker's entry when it continues.
_COMMON: Final = f"""{_CLOCK}
local record = KEYS[1]

local function is_whole(text)
    return text and #text <= 15 and (text == '0' or string.find(text, '^[1-9]%d*$'))
end

local function is_well_formed()
    if redis.call('TYPE', record).ok ~= 'hash' then return false end
    local id, shared, queue, tag, keep, attempts, begin_by, deaths = unpack(
        redis.call('HMGET', record, 'id', 'function', 'queue', 'tag', 'keep', 'attempts', 'begin_by', 'deaths'))
    if not (id and shared and queue and tag) then return false end
    local kind = redis.call('TYPE', queue).ok
    return (kind == 'list' or kind == 'none') and redis.call('HEXISTS', record, 'message') == 1
        and is_whole(keep) and is_whole(attempts) and tonumber(begin_by) and is_whole(deaths)
end

local function close()
    local id, shared, deaths, queue, message, arguments = unpack(
        redis.call('HMGET', record, 'id', 'function', 'deaths', 'queue', 'message', 'arguments'))
    if deaths ~= '0' then redis.call('LREM', queue, 1, message) end
    local own = '{_VALUES}' .. id .. ':'
    for key in string.gmatch(arguments or '', '%S+') do
        if string.sub(key, 1, #own) == own then redis.call('UNLINK', key) end
    end
    redis.call('DEL', record)
    redis.pcall('HDEL', shared, id)
    if redis.pcall('HLEN', shared) == 1 then redis.call('DEL', shared) end
    redis.call('ZREM', open, id)
    if redis.call('ZCARD', open) == 1 then redis.call('DEL', open) end
end

local function sent_again(tag)
    local before, attempts, queue, message = unpack(
        redis.call('HMGET', record, 'tag', 'attempts', 'queue', 'message'))
    if before == tag then return true end
    if redis.call('HINCRBY', record, 'deaths', 1) >= tonumber(attempts) then return false end
    local first, last = string.find(message, before, 1, true)
    if not first then return false end
    message = string.sub(message, 1, first - 1) .. tag .. string.sub(message, last + 1)
    redis.call('HSET', record, 'tag', tag, 'message', message)
    redis.call('RPUSH', queue, message)
    return true
end
"""

ADD: Final = f"""{_CLOCK}
local record, shared, queue = unpack(KEYS)
local payload, expiry, id, message, tag, arguments, keep, attempts, begin_by = unpack(ARGV)
if redis.call('HEXISTS', shared, 'payload') == 0 then
    if payload == '' then return 0 end
    redis.call('HSET', shared, 'payload', payload)
end
redis.call('HSET', shared, id, '')
redis.call('EXPIRE', shared, expiry)
redis.call('HSET', record, 'id', id, 'function', shared, 'queue', queue, 'message', message, 'tag', tag,
    'arguments', arguments, 'keep', keep, 'attempts', attempts, 'begin_by', begin_by, 'deaths', 0)
redis.call('EXPIRE', record, expiry)
for key in string.gmatch(arguments, '%S+') do redis.call('EXPIRE', key, expiry) end
redis.call('ZADD', open, 'NX', 0, '')
redis.call('ZADD', open, exact_now, id)
redis.call('EXPIRE', open, expiry)
redis.call('LPUSH', queue, message)
return 1
"""

ANSWER: Final = f"""{_COMMON}
local _, outcome, answer = unpack(KEYS)
local tag = ARGV[1]
if not is_well_formed() or (tag ~= '' and sent_again(tag)) then
    redis.call('DEL', answer)
else
    redis.call('RENAME', answer, outcome)
    redis.call('PEXPIRE', outcome, redis.call('HGET', record, 'keep'))
    close()
end
"""

LOOK: Final = f"""{_COMMON}
local id, apart, new_tag, ends = unpack(ARGV)
redis.call('ZADD', open, 'XX', exact_now, id)
if not is_well_formed() then
    redis.call('DEL', record)
    redis.call('ZREM', open, id)
    return {{'over', '', ''}}
end
local tag, queue, message, begin_by, deaths, attempts, suspect, since = unpack(
    redis.call('HMGET', record, 'tag', 'queue', 'message', 'begin_by', 'deaths', 'attempts', 'suspect', 'since'))

local function found(state)
    if suspect then redis.call('HDEL', record, 'suspect', 'since') end
    return {{state, tag, queue}}
end

local function waits_in_other_words()
    for start = 0, redis.call('LLEN', queue) - 1, 100 do
        for _, other in ipairs(redis.call('LRANGE', queue, start, start + 99)) do
            if string.find(other, tag, 1, true) then
                redis.call('HSET', record, 'message', other)
                return true
            end
        end
    end
    return false
end

if redis.call('HEXISTS', KEYS[2], tag) == 1 then return found('held') end
if redis.call('LPOS', queue, message, 'RANK', -1) then
    if now < tonumber(begin_by) or ends == '' then return found('waiting') end
    redis.call('LREM', queue, -1, message)
    close()
    return {{'late', tag, queue}}
end
if suspect ~= tag then redis.call('HSET', record, 'suspect', tag, 'since', exact_now) end
if suspect ~= tag or now - (tonumber(since) or 0) < tonumber(apart) then return {{'missing', tag, queue}} end
if waits_in_other_words() then return found('waiting') end
if ends == '' and deaths + 1 >= tonumber(attempts) then return {{'missing', tag, queue}} end
if sent_again(new_tag) then return {{'again', new_tag, queue}} end
close()
return {{'lost', tag, queue}}
"""

# The score of the member with an empty name is the time at which a worker last had its turn.
OVERLOOKED: Final = f"""{_CLOCK}
local turn, unseen, most = unpack(ARGV)
local last = redis.call('ZSCORE', open, '')
if not last or now - last < tonumber(turn) then return {{}} end
redis.call('ZADD', open, exact_now, '')
return redis.call('ZRANGEBYSCORE', open, '-inf', now - unseen, 'LIMIT', 0, most)
"""

TAKE_BACK: Final = f"""{_COMMON}
if not is_well_formed() then return 0 end
local queue, message = unpack(redis.call('HMGET', record, 'queue', 'message'))
if redis.call('LREM', queue, -1, message) == 0 then return 0 end
close()
return 1
"""

CLOSE: Final = f"""{_COMMON}
if is_well_formed() then close() else redis.call('DEL', record) end
"""
