-- Take a token of a backend's emergency bucket. KEYS: its state and its leases. Answer: {taken, now}.
local state = read(KEYS[1])
reset_if_newer(state, ask.reset_count)
local capacity = math.max(1, ask.per_minute)
local tokens = refilled(state.emergency_tokens, state.emergency_at, ask.per_minute, capacity)
local taken = tokens + EPSILON >= 1
if taken then
  state.emergency_tokens, state.emergency_at = tokens - 1, now
  if ask.most then lease_add(KEYS[2], ask.lease) end
  write(KEYS[1], state)
end
return cmsgpack.pack({taken, now})
