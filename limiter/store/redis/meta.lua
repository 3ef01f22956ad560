-- What all nodes of a fleet must agree on: the first one writes it, every one reads it.
--
-- KEYS[1]  a hash of the three fields below; it never expires
-- ARGV     1 format   of the records
--          2 shards   how many hash tags the keys are spread over
--          3 secret   what the keys are hashed under
-- Reply    format, shards and secret as they hold for all, as strings

local fields = {'format', 'shards', 'secret'}
for i, field in ipairs(fields) do
  redis.call('HSETNX', KEYS[1], field, ARGV[i])
end
return redis.call('HMGET', KEYS[1], unpack(fields))
