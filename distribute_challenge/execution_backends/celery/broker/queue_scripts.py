"""The scripts by which items are put and taken: each is one step, taken whole or not at all.

`queues.QueueRecord` runs them. What they work on stands in `queue_script_parts`.
"""

from typing import Final

from distribute_challenge.execution_backends.celery.broker.queue_script_parts import (
    EXISTING,
    LARGEST_ANSWER,
    ONCE,
)

__all__ = ["DONE", "FAIL", "GIVE_BACK", "LEAVE", "PUT", "RENEW", "TAKE"]

# Puts items of a block, from the given one on, as many as there is room for, and returns their
# number. A block that is there already was put by the same command, whose answer did not arrive.
PUT: Final = f"""{EXISTING}
local block, first, count, body, keys = unpack(ARGV, 2)
if redis.call('HGET', state, 'shutdown') ~= '' then
    signal()  -- For others that wait for room.
    return {{'shut'}}
end
local before = string.match(redis.call('HGET', left, block) or '', '^%d+ (%d+)$')
if before then return {{'put', tonumber(before)}} end
local fitting, maxsize = tonumber(count), number('maxsize')
if maxsize > 0 then fitting = math.min(fitting, maxsize - number('size')) end
if fitting > 0 then
    redis.call('HSET', blocks, block, body)
    redis.call('HSET', left, block, string.format('%d %d', fitting, fitting))
    if keys ~= '' then
        local expiry = number('expiry')
        redis.call('HSET', values, block, keys)
        for key in string.gmatch(keys, '%S+') do
            if expiry > 0 then redis.call('EXPIRE', key, expiry) else redis.call('PERSIST', key) end
        end
    end
    redis.call('RPUSH', waiting, entry_of(block, first, first + fitting, 0))
    redis.call('HINCRBY', state, 'size', fitting)
    redis.call('HINCRBY', state, 'unfinished', fitting)
end
signal()
return {{'put', math.max(fitting, 0)}}
"""

# Returns for each entry that was taken: the name of its delivery; the entry; and the sealed block,
# which is empty if the caller knows it. If there is a delivery of the name, the same command was
# sent before, and its answer did not arrive. Each entry has at most ``longest`` items.
# With ``once``, an entry counts as lost so often that it is never delivered again.
TAKE: Final = f"""{EXISTING}
local holder, delivery, most, longest, once = unpack(ARGV, 2, 6)
local known = {{}}
for index = 7, #ARGV do known[ARGV[index]] = true end
put_back_lost()
local held, found, size = held_by(holder), {{'taken'}}, 0

local function add(name, entry, block)
    local body = known[block] and '' or redis.call('HGET', blocks, block) or ''
    known[block] = true
    size = size + #body
    table.insert(found, name)
    table.insert(found, entry)
    table.insert(found, body)
end

local name = delivery .. ':0'
local entry = redis.call('HGET', held, name)
while entry do
    local block = parts_of(entry)
    if block then add(name, entry, block) end
    name = delivery .. ':' .. (#found - 1) / 3
    entry = redis.call('HGET', held, name)
end
local room_for = #found > 1 and 0 or tonumber(most)
while room_for > 0 and size < {LARGEST_ANSWER} do
    entry = redis.call('LPOP', waiting)
    if not entry then break end
    local block, start, stop, losses = parts_of(entry)
    if block then
        local last = math.min(stop, start + math.min(room_for, longest))
        if losses > 0 then
            if #found > 1 then
                redis.call('LPUSH', waiting, entry)
                break
            end
            last, room_for = start + 1, 1
        end
        if last < stop then redis.call('LPUSH', waiting, entry_of(block, last, stop, losses)) end
        room_for = room_for - (last - start)
        redis.call('HINCRBY', state, 'size', start - last)
        entry = entry_of(block, start, last, once == '1' and {ONCE} or losses)
        if redis.call('HEXISTS', blocks, block) == 0 then
            finish(block, last - start)
        else
            name = delivery .. ':' .. (#found - 1) / 3
            add(name, entry, block)
            redis.call('HSET', held, name, entry)
            redis.call('ZADD', leases, exact_now, holder)
        end
    end
end
signal(holder)
if #found == 1 then
    if redis.call('HGET', state, 'shutdown') ~= '' then return {{'shut'}} end
    local next = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2]
    return {{'empty', next and string.format('%.3f', next + number('lease') - now) or ''}}
end
return found
"""

# ARGV: pairs of a delivery, and the number in its block behind the last item that is done. Returns
# how many of the deliveries are not this holder's any more.
DONE: Final = f"""{EXISTING}
local holder, lost = ARGV[2], 0
local held = held_by(holder)
for index = 3, #ARGV, 2 do
    local name, done = ARGV[index], tonumber(ARGV[index + 1])
    local block, start, stop, losses = parts_of(redis.call('HGET', held, name) or '')
    if not block then
        lost = lost + 1
    elseif done > start then
        finish(block, math.min(done, stop) - start)
        if done < stop then
            redis.call('HSET', held, name, entry_of(block, done, stop, losses))
        else
            redis.call('HDEL', held, name)
        end
    end
end
if redis.call('EXISTS', held) == 0 then redis.call('ZREM', leases, holder) end
signal(holder)
return {{'done', lost}}
"""

# Makes one item a dead letter, with the error of its call. Those before it in its delivery are done.
# Returns how many of the deliveries are not this holder's any more.
FAIL: Final = f"""{EXISTING}
local holder, name, number, message = unpack(ARGV, 2)
number = tonumber(number)
local held = held_by(holder)
local block, start, stop, losses = parts_of(redis.call('HGET', held, name) or '')
if not block or start ~= number then
    -- The same command may have been carried out before, and its answer did not arrive.
    return {{'failed', block and start == number + 1 and 0 or 1}}
end
redis.call('RPUSH', dead, entry_of(block, number, number + 1, losses))
redis.call('HSET', errors, block .. ' ' .. number, message)
redis.call('HINCRBY', state, 'unfinished', -1)
redis.call('HINCRBY', state, 'dead', 1)
if number + 1 < stop then
    redis.call('HSET', held, name, entry_of(block, number + 1, stop, losses))
else
    redis.call('HDEL', held, name)
end
if redis.call('EXISTS', held) == 0 then redis.call('ZREM', leases, holder) end
signal(holder)
return {{'failed', 0}}
"""

# Puts back the items of one entry of a delivery from the given number on, and all entries behind it.
GIVE_BACK: Final = f"""{EXISTING}
local holder, delivery, first, number = unpack(ARGV, 2)
local held, names = held_by(holder), {{}}
local number_of = tonumber(first)
while redis.call('HEXISTS', held, delivery .. ':' .. number_of) == 1 do
    table.insert(names, delivery .. ':' .. number_of)
    number_of = number_of + 1
end
for index = #names, 1, -1 do
    local block, start, stop, losses = parts_of(redis.call('HGET', held, names[index]))
    local from = start
    if block and index == 1 then from = math.min(math.max(start, tonumber(number)), stop) end
    if block and from > start then
        redis.call('HSET', held, names[index], entry_of(block, start, from, losses))
    else
        redis.call('HDEL', held, names[index])
    end
    if block and from < stop then put_back(block, from, stop, losses) end
end
if redis.call('EXISTS', held) == 0 then redis.call('ZREM', leases, holder) end
signal(holder)
return {{'back'}}
"""

RENEW: Final = f"""{EXISTING}
redis.call('ZADD', leases, 'XX', exact_now, ARGV[2])
if number('expiry') > 0 then
    for _, keys in ipairs(redis.call('HVALS', values)) do
        for key in string.gmatch(keys, '%S+') do redis.call('EXPIRE', key, number('expiry')) end
    end
end
prolong(ARGV[2])
return {{'renewed'}}
"""

LEAVE: Final = f"""{EXISTING}
put_back_all(ARGV[2], 0)
signal()
return {{'left'}}
"""
