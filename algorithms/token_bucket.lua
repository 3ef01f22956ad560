-- Token bucket in the store: algorithms/token_bucket.h on one record that all nodes share.
--
-- KEYS[1]  the record: the theoretical arrival time in ns since the epoch, as one decimal number
--          (Redis keeps such a string as an integer, its smallest value). No record: never used.
-- ARGV     1 op       take, peek, report or refund
--          2 per_us   units per microsecond: 1000 (ns), or 1 (µs) where B*E exceeds 2^52 ns
--          3 E, 4 BE  emission interval and B*E, in units; E > 0
--          5 h, 6 hE  hits of the request, and h*E, anything above BE where it is above BE
--          7 want     hits wanted for a lease; 0: exact
--          8 share    a lease takes at most 1/share of what is left
--          9 D        how long a lease lives, in units
--         10 drain    1: a denied take costs the whole hits that are left
-- Reply    now (µs), allowed, granted, ttl, remaining, remaining before, reset after, retry after,
--          next hit after, clock fault; times in units. Granted beyond h: a lease of that life.
--
-- Guarantee: in any interval of length T at most B + (L/W)*T hits are admitted, a lease used at its
--            last instant included: its hits are charged as if spent when it ends.
-- Source: ITU-T I.371 generic cell rate algorithm; rounding and clamp in docs/algorithms.md.
--
-- Every number is an integer below 2^53, so that doubles are exact.

local floor, ceil, max, min, format = math.floor, math.ceil, math.max, math.min, string.format

local op = ARGV[1]
local per_us, E, BE = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local h, hE = tonumber(ARGV[5]), tonumber(ARGV[6])
local want, share, D = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local drain = ARGV[10] == '1'

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

-- How far the bucket is from full: 0 is full, BE is empty. Further than empty can only come from a
-- clock that stepped back; the clamp turns a ban into one full drain.
local raw = 0
local record = redis.call('GET', KEYS[1])
if record then
  local us, ns = string.match(record, '^(%d+)(%d%d%d)$')
  if not us then return redis.error_reply('WEIRRECORD this is no token bucket') end
  raw = (us - now) * per_us + floor(ns * per_us / 1000)
end
local fault = raw > BE
local rel = max(0, min(raw, BE))

local before = floor((BE - rel) / E)
local cost = max(hE, E)
local allowed = rel + cost <= BE
local granted, ttl, write = 0, 0, false

if op == 'take' then
  local avail = floor((BE - max(rel, D)) / E)
  local k = min(want, max(h, ceil(avail / share)), avail)
  if k > h then
    -- h are spent now, the others at the end of the lease at the latest.
    rel = max(rel + hE, D) + (k - h) * E
    granted, ttl, write = k, D, true
  elseif allowed and h > 0 then
    rel = rel + hE
    granted, write = h, true
  elseif not allowed then
    -- Whole hits: taking fractions of one would ban a caller that hammers.
    local drains = drain and h > 0
    if drains then rel = rel + floor((BE - rel) / E) * E end
    -- A clamp is kept even on a denial: left in place, the far-future value would be clamped anew
    -- at each call and ban the key for as long as the clock stepped back.
    write = drains or fault
  end
elseif op == 'report' then
  rel = min(BE, rel + hE)
  allowed, write = true, true
elseif op == 'refund' then
  rel = max(0, rel - hE)
  allowed, write = true, true
  before = floor((BE - rel) / E)
end

if write then
  if rel > 0 then
    local us = now + floor(rel / per_us)
    local ns = rel % per_us * (1000 / per_us)
    -- A second of slack: a small step back must not meet a record already gone.
    local px = ceil(rel / (per_us * 1000)) + 1000
    redis.call('SET', KEYS[1], format('%.0f%03.0f', us, ns), 'PX', format('%.0f', px))
  elseif record then
    -- A full bucket is one never used: a time left at `now` would charge the key for a clock that
    -- steps back later.
    redis.call('DEL', KEYS[1])
  end
end

local retry = 0
if not allowed then retry = max(0, rel + cost - BE) end
return {now, allowed and 1 or 0, granted, ttl, floor((BE - rel) / E), before, rel, retry,
        max(0, rel + E - BE), fault and 1 or 0}
