-- One backend's state, as `BackendState` of `proxy/state/memory.py` has it.

-- An operator or a probe knows better: forget what was found out. An older count is that of a process which lags behind.
local function reset_if_newer(state, reset_count)
  if reset_count <= (state.reset_count or 0) then return end
  state.reset_count = reset_count
  state.cooldown_until, state.cooldown_began_at, state.half_open = nil, nil, nil
  state.count_429, state.failures_in_a_row, state.failure_cooldowns = nil, nil, nil
  state.trial, state.trial_until, state.error, state.trial_after, state.window = nil, nil, nil, nil, nil
end

local function trial_under_way(state)
  return state.trial and now < state.trial_until
end

-- A new limit applies to the running bucket: what was used stays used.
local function bring_up_bucket(state, per_minute, capacity)
  if state.per_minute and (state.per_minute ~= per_minute or state.capacity ~= capacity) then
    local left = refilled(state.tokens, state.refilled_at, state.per_minute, state.capacity)
    state.tokens, state.refilled_at = math.max(0, capacity - (state.capacity - left)), now
  end
  state.tokens = refilled(state.tokens, state.refilled_at, per_minute, capacity)
  state.refilled_at, state.per_minute, state.capacity = now, per_minute, capacity
end

local function tell(...)
  redis.call('PUBLISH', ask.channel, cmsgpack.pack({...}))
end
