-- Fixed window in the store: algorithms/fixed_window.h on one record that all nodes share.
--
-- KEYS[1]  the record: "window count", the window as floor(now / W). No record: never used. One
--          short string, because Redis keeps key, value and expiry of it in some 136 bytes.
-- ARGV     1 op        take, peek, report or refund
--          2 L, 3 W    the limit, and its window in µs
--          4 h         hits of the request
--          5 want      hits wanted for a lease; 0: exact
--          6 share     a lease takes at most 1/share of what is left
--          7 D         the longest life of a lease, in µs
--          8 drain     1: the denied take that crosses the limit is charged in full
--          9 back     10 back_window: unused hits of a lease, given back if that window still runs
-- Reply    now (µs), allowed, granted, ttl, remaining, remaining before, reset after, retry after,
--          next hit after, clock fault; times in µs. Granted beyond h: a lease that ends with its
--          window at the latest.
--
-- Guarantee: in each aligned window of the store's clock at most L hits are admitted.
-- Source: the reference service's algorithm; windows and denied hits in docs/algorithms.md.
--
-- Every number is an integer below 2^53, so that doubles are exact; counts stop at 2^52.

local floor, ceil, max, min, format = math.floor, math.ceil, math.max, math.min, string.format
local COUNT_MAX = 4503599627370496

local op = ARGV[1]
local L, W, h = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local want, share, D = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local drain = ARGV[8] == '1'
local back, back_window = tonumber(ARGV[9]), tonumber(ARGV[10])

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- A small backward step of the clock stays in the newer window. A stored window more than one ahead
-- is a clock fault and the clock wins, else the key would be stuck until time catches up.
local window, count, fault = floor(now / W), 0, false
local record = redis.call('GET', KEYS[1])
if record then
  local stored_window, stored_count = string.match(record, '^(%d+) (%d+)$')
  if not stored_window then return redis.error_reply('WEIRRECORD this is no fixed window') end
  local ahead = stored_window - window
  if ahead == 0 or ahead == 1 then
    window, count = window + ahead, min(tonumber(stored_count), COUNT_MAX)
  end
  fault = ahead > 1
end
local end_after = (window + 1) * W - now

local write = back > 0 and back_window == window and count > 0
if write then count = max(0, count - back) end

local before = max(0, L - count)
-- A check of zero asks whether the key is over, not whether a hit would pass.
local allowed = count + h <= L
local granted, ttl = 0, 0

if op == 'take' then
  local avail = L - count
  local k = min(want, max(h, ceil(avail / share)), avail)
  if k > h then
    count = count + k
    granted, ttl, write = k, min(end_after, D), true
  elseif allowed and h > 0 then
    count = count + h
    granted, write = h, true
  elseif not allowed and drain and h > 0 and count <= L then
    -- The request that crosses the limit counts in full, later ones not at all.
    count = min(count + h, COUNT_MAX)
    write = true
  end
elseif op == 'report' then
  count = min(count + h, COUNT_MAX)
  allowed, write = true, true
elseif op == 'refund' then
  count = max(0, count - h)
  allowed, write = true, true
  before = max(0, L - count)
end

if write then
  if count > 0 then
    -- A second of slack: a small step back must not meet a record already gone.
    local px = ceil(end_after / 1000) + 1000
    redis.call('SET', KEYS[1], format('%.0f %.0f', window, count), 'PX', format('%.0f', px))
  elseif record then
    redis.call('DEL', KEYS[1])
  end
end

local remaining = max(0, L - count)
return {now, allowed and 1 or 0, granted, ttl, remaining, before, count > 0 and end_after or 0,
        allowed and 0 or end_after, remaining > 0 and 0 or end_after, fault and 1 or 0}
