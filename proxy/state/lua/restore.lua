-- Write back what a process knows of backends: Redis may have come back empty, and the database may know of more.
-- KEYS: the states, in the order of `ask.backends`.

-- What a process has taken alone is taken from what has come together here meanwhile, beyond what the bucket holds: that
-- credit is for all who were away. Where there is none, since the others went on here, the bucket owes it.
local function take_back(state, known)
  local empty = not state.tokens
  local together = not empty and state.tokens + math.max(0, now - state.refilled_at) * known.per_minute / 60
  bring_up_bucket(state, known.per_minute, known.capacity)
  if empty then state.unknown_until = now + CREDIT_SECONDS end
  if now < (state.unknown_until or 0) then
    -- Redis came back empty: nobody knows what has come together.
    state.tokens = math.max(0, state.tokens - known.used)
    return
  end
  local credit = now < (state.credit_until or 0) and state.credit or 0
  credit = credit + math.max(0, together - state.tokens)
  local covered = math.min(credit, known.used)
  state.credit, state.credit_until = credit - covered, now + CREDIT_SECONDS
  state.tokens = math.max(-known.per_minute, state.tokens - (known.used - covered))
end

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
  if known.used > 0 and known.per_minute then take_back(state, known) end
end

for index, known in ipairs(ask.backends) do
  local state = read(KEYS[index])
  restore(state, known)
  write(KEYS[index], state)
end
return cmsgpack.pack({now})
