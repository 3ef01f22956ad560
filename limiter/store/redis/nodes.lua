-- How many nodes share this store: each says every 5 s that it lives.
--
-- KEYS[1]  a sorted set: node, scored by the store's time in µs when it was last heard of
-- ARGV     1 incarnation   the node's name, another one after each of its starts
-- Reply    now (µs), nodes heard of within the last 15 s, this one included

local ALIVE_US = 15000000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local stamp = string.format('%.0f', now)

-- What lies ahead was written before the clock stepped back; who still lives says so again.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. stamp, '+inf')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.0f', now - ALIVE_US))
redis.call('ZADD', KEYS[1], stamp, ARGV[1])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ALIVE_US / 1000 + 1000))
return {now, redis.call('ZCARD', KEYS[1])}
