-- Sliding window in the store: algorithms/sliding_window.h on one record that all nodes share.
--
-- KEYS[1]  the record: "stamp count count …", the oldest sub-bucket's stamp (floor(now / w)), then
--          the counts from it to the newest one used. No record: never used. One string, because
--          one GET and one SET with its expiry cost less than the field commands of a hash, and a
--          hash of many sub-buckets would leave Redis' compact encoding.
-- ARGV     1 op       take, peek, report or refund
--          2 L        the limit
--          3 w        width of a sub-bucket in µs
--          4 Bk       sub-buckets per window
--          5 h        hits of the request
--          6 want     hits wanted for a lease; 0: exact
--          7 share    a lease takes at most 1/share of what is left
--          8 D        how long a lease lives, in µs; at most Dmax
--          9 Dmax     the longest life of any lease of this key, in µs; 0: it has none
--         10 drain    1: a denied take costs the hits that are left
-- Reply    now (µs), allowed, granted, ttl, remaining, remaining before, reset after, retry after,
--          next hit after, clock fault; times in µs. Granted beyond h: a lease of that life.
--
-- Guarantee: in any interval of length W at most L hits are admitted, a lease used at its last
--            instant included: its hits are charged to the sub-bucket in which it ends.
-- Source: strict sub-bucket counters; proof and cost in docs/algorithms.md.
--
-- Every number is an integer below 2^53, so that doubles are exact; counts stop at 2^52. A sum of
-- full counts may be rounded, but is only ever compared with a limit.

local floor, ceil, max, min, format = math.floor, math.ceil, math.max, math.min, string.format
local COUNT_MAX = 4503599627370496

local op = ARGV[1]
local L, w, Bk, h = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local want, share = tonumber(ARGV[6]), tonumber(ARGV[7])
local D, Dmax = tonumber(ARGV[8]), tonumber(ARGV[9])
local drain = ARGV[10] == '1'

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local current = floor(now / w)
local oldest = current - Bk                      -- first stamp that counts
local lease_last = floor((now + Dmax) / w)       -- last stamp that an honest clock leaves behind
local kept_first = current - Bk - 1              -- one more, for a small step back
local ahead_max = ceil(Dmax / w) + 1             -- sub-buckets ahead of the clock, at most

-- counts[stamp] for the stamps kept_first … newest, the last one with hits in it; as_read[stamp] is
-- the text of a count that has not changed. sum: the hits that count.
local counts, as_read, newest, sum, fault = {}, {}, kept_first - 1, 0, false
local function add(stamp, hits)
  local old = counts[stamp] or 0
  local new = min(old + hits, COUNT_MAX)
  counts[stamp], as_read[stamp] = new, nil
  sum = sum + (new - old)
  if new > 0 and stamp > newest then newest = stamp end
end

local record = redis.call('GET', KEYS[1])
if record then
  if not string.find(record, '^%d+ [%d ]*%d$') then
    return redis.error_reply('WEIRRECORD this is no sliding window')
  end
  local stamp
  for text in string.gmatch(record, '%d+') do
    if not stamp then
      stamp = tonumber(text)
    else
      if text == '0' or stamp < kept_first then
        -- says nothing
      elseif stamp <= lease_last + 1 then
        local count = min(tonumber(text), COUNT_MAX)
        counts[stamp], as_read[stamp], newest = count, text, stamp
        if stamp >= oldest then sum = sum + count end
      else
        -- Only a clock that stepped back leaves this. It counts as if charged for now, so that it
        -- leaves after one window at the latest.
        add(lease_last, tonumber(text))
        fault = true
      end
      stamp = stamp + 1
    end
  end
end

local function until_gone(stamp) return (stamp + Bk + 1) * w - now end

-- Until at most `most` hits count. REQUIRES: more do.
local function until_left(most)
  local newer = 0
  for stamp = newest, oldest, -1 do
    newer = newer + (counts[stamp] or 0)
    if newer > most then return until_gone(stamp) end
  end
  return 0
end

local cost = max(h, 1)
local before = max(0, L - sum)
local allowed = sum + cost <= L
local granted, ttl, write = 0, 0, false

if op == 'take' then
  local avail = L - sum
  local k = min(want, max(h, ceil(avail / share)), avail)
  if k > h then
    add(current, h)
    add(floor((now + D) / w), k - h)
    granted, ttl, write = k, D, true
  elseif allowed and h > 0 then
    add(current, h)
    granted, write = h, true
  elseif not allowed and drain and h > 0 and sum < L then
    add(current, L - sum)
    write = true
  end
  -- What was restamped is kept even on a denial, else a clock that stepped back bans the key.
  write = write or fault
elseif op == 'report' then
  add(current, h)
  allowed, write = true, true
elseif op == 'refund' then
  -- From the newest to the oldest; hits out on leases are not the caller's to give back.
  local left = h
  for stamp = Dmax > 0 and current or newest, oldest, -1 do
    local given = min(counts[stamp] or 0, left)
    if given > 0 then
      counts[stamp], as_read[stamp] = counts[stamp] - given, nil
      left = left - given
    end
  end
  sum = 0
  for stamp = oldest, newest do sum = sum + (counts[stamp] or 0) end
  before = max(0, L - sum)
  allowed, write = true, true
end

if write and sum > 0 then
  -- As many sub-buckets are kept as a ring of Bk + ahead_max + 1 would hold.
  local first = max(kept_first, newest - Bk - ahead_max)
  while (counts[newest] or 0) == 0 do newest = newest - 1 end
  while (counts[first] or 0) == 0 do first = first + 1 end
  local texts = {format('%.0f', first)}
  for stamp = first, newest do
    texts[#texts + 1] = as_read[stamp] or format('%.0f', counts[stamp] or 0)
  end
  -- A second of slack: a small step back must not meet a record already gone.
  local px = ceil(until_gone(newest) / 1000) + 1000
  redis.call('SET', KEYS[1], table.concat(texts, ' '), 'PX', format('%.0f', px))
elseif write and record then
  redis.call('DEL', KEYS[1])
end

local retry = 0
if not allowed then retry = until_left(L - cost) end
local next_hit = 0
if sum >= L then next_hit = until_left(L - 1) end
return {now, allowed and 1 or 0, granted, ttl, max(0, L - sum), before,
        sum > 0 and until_gone(newest) or 0, retry, next_hit, fault and 1 or 0}
