-- How many requests wait in this process, and in all others. KEYS: the depths by process. Answer: {now, others}.
if ask.depth > 0 then
  redis.call('HSET', KEYS[1], ask.process, cmsgpack.pack({ask.depth, now + ask.lease_seconds}))
  redis.call('EXPIRE', KEYS[1], math.ceil(ask.lease_seconds * 2))
else
  redis.call('HDEL', KEYS[1], ask.process)
end
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for index = 1, #all, 2 do
  local depth, ends = unpack(cmsgpack.unpack(all[index + 1]))
  if now >= ends then
    redis.call('HDEL', KEYS[1], all[index])
  elseif all[index] ~= ask.process then
    others = others + depth
  end
end
return cmsgpack.pack({now, others})
