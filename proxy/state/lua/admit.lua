-- Let a request of a client key in and reserve what it needs. KEYS: the key's state and its leases.
-- Answer: {refusal or false, now, spent, wait or count, requests left, tokens left}.
local state = read(KEYS[1])

local function refused(why, how)
  write(KEYS[1], state)
  return cmsgpack.pack({why, now, state.spent or 0, how, state.requests or false, state.tokens or false})
end

if ask.budget then
  if state.period ~= ask.period or (state.ends and now >= state.ends) then
    state.period, state.ends, state.spent, state.reserved = ask.period, ask.ends, 0, 0
  end
end
if ask.budget or ask.parallel then expire_leases(state, KEYS[2]) end
if ask.budget then
  -- The process may know of more: Redis may have come back empty.
  if state.ends == ask.ends then state.spent = math.max(state.spent, ask.spent) end
  if state.spent + state.reserved >= ask.budget then return refused('budget', 0) end
end
if ask.parallel then
  local under_way = redis.call('ZCARD', KEYS[2])
  if under_way >= ask.parallel then return refused('parallel', under_way) end
end
if ask.rpm then
  bring_up_rate(state, 'requests', ask.rpm)
  local wait = seconds_until(state.requests, ask.rpm, 1)
  if wait > 0 then return refused('requests', wait) end
end
if ask.tpm then
  bring_up_rate(state, 'tokens', ask.tpm)
  local wait = seconds_until(state.tokens, ask.tpm, math.min(ask.need, math.max(1, ask.tpm)))
  if wait > 0 then return refused('tokens', wait) end
end
if ask.rpm then state.requests = state.requests - 1 end
if ask.tpm then state.tokens = state.tokens - ask.need end
if ask.budget and state.ends == ask.ends then state.reserved = state.reserved + ask.amount end
if ask.budget or ask.parallel then lease_add(KEYS[2], ask.lease) end
write(KEYS[1], state)
return cmsgpack.pack({false, now, state.spent or 0, 0, state.requests or false, state.tokens or false})
