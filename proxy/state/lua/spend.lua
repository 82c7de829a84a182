-- A client key's request has ended. KEYS: the key's state and its leases. Answer: {now, spent}, where that is known.
local removed = redis.call('ZREM', KEYS[2], ask.lease) == 1
local state = read(KEYS[1])
if not next(state) then return cmsgpack.pack({now, false}) end
if ask.unused ~= 0 and state.tokens then state.tokens = state.tokens + ask.unused end
if ask.budget and state.period and state.ends == ask.ends then
  if removed then state.reserved = math.max(0, state.reserved - ask.amount) end
  state.spent = state.spent + ask.cost
end
write(KEYS[1], state)
return cmsgpack.pack({now, state.period and state.ends == ask.ends and state.spent or false})
