-- Write back what a process knows of backends: Redis may have come back empty, and the database may know of more.
-- KEYS: the states, in the order of `ask.backends`.

local function restore(state, known)
  if known.reset_count < (state.reset_count or 0) then return end
  reset_if_newer(state, known.reset_count)
  state.count_429 = math.max(state.count_429 or 0, known.count_429)
  local ends = now + known.cooling_seconds
  -- Processes know the same end by a few milliseconds more or less, which is no later end.
  if known.cooling_seconds > 0 and ends > (state.cooldown_until or 0) + SAME_END_SECONDS then
    state.cooldown_began_at = math.max(state.cooldown_began_at or 0, now - known.began_ago_seconds)
    state.cooldown_until, state.half_open = ends, true
  elseif known.half_open and not state.cooldown_until then
    state.half_open = true
  end
  if known.error and not state.error then
    state.error, state.trial_after = known.error, now + known.trial_left
  end
  -- What was taken while Redis was away is taken from what has come together there meanwhile.
  if known.used > 0 and known.per_minute then
    bring_up_bucket(state, known.per_minute, known.capacity)
    state.tokens = math.max(0, state.tokens - known.used)
  end
end

for index, known in ipairs(ask.backends) do
  local state = read(KEYS[index])
  restore(state, known)
  write(KEYS[index], state)
end
return cmsgpack.pack({now})
