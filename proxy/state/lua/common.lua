-- What every script begins with. In front of it stand the constants of the rules; see `proxy/state/scripts.py`.
-- ARGV[1] is a packed map. Its `now` is given in tests only: else the time is that of Redis, the same for all processes.
local ask = cmsgpack.unpack(ARGV[1])
local now = ask.now
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function read(key)
  local packed = redis.call('GET', key)
  return packed and cmsgpack.unpack(packed) or {}
end

local function write(key, state)
  redis.call('SET', key, cmsgpack.pack(state), 'EX', KEEP_SECONDS)
end

-- The token bucket, as `proxy/rules/bucket.py` has it. A bucket without a number is full.
local function refilled(tokens, since, per_minute, capacity)
  if not tokens then return capacity end
  return math.min(capacity, tokens + math.max(0, now - since) * per_minute / 60)
end

local function seconds_until(tokens, per_minute, need)
  local missing = need - tokens
  if missing <= EPSILON then return 0 end
  return missing * 60 / per_minute
end

-- Leases: members of a sorted set by the time at which they expire, so that those of a dead process vanish.
local function lease_add(key, member)
  local added = redis.call('ZADD', key, string.format('%.6f', now + ask.lease_seconds), member)
  redis.call('EXPIRE', key, math.ceil(ask.lease_seconds * 2))
  return added == 1
end
