-- Take the first candidate that may be taken, or (`look`) only say why those can't be that can't.
-- KEYS: for each candidate its state and its leases. Answer: {taken, now, trial, tokens, tokens per minute, refusals}.

local function refusal(state, leases, candidate)
  local reset_count, per_minute, capacity, tpm, most, known_error, trial_left = unpack(candidate)
  reset_if_newer(state, reset_count)
  local kind = state.error or known_error
  if kind then
    local trial_after = math.max(state.trial_after or 0, now + trial_left)
    if kind ~= QUOTA or now < trial_after or trial_under_way(state) then return {'error', false, kind} end
  end
  if now < (state.cooldown_until or 0) then
    return {'cooling', state.cooldown_until - now, state.count_429 or 0}
  end
  if state.half_open and trial_under_way(state) then return {'half_open', false, false} end
  if most then
    redis.call('ZREMRANGEBYSCORE', leases, '-inf', string.format('%.6f', now))
    if redis.call('ZCARD', leases) >= most then return {'busy', false, false} end
  end
  if per_minute then
    bring_up_bucket(state, per_minute, capacity)
    if state.tokens + EPSILON < 1 then
      return {'requests', seconds_until(state.tokens, per_minute, 1), false}
    end
  else
    state.per_minute, state.tokens = nil, nil
  end
  if tpm then
    state.tpm_tokens, state.tpm_at = refilled(state.tpm_tokens, state.tpm_at, tpm, tpm), now
    local need = math.min(ask.need, tpm)
    if state.tpm_tokens + EPSILON < need then
      return {'tokens', seconds_until(state.tpm_tokens, tpm, need), false}
    end
  end
  return nil
end

local function take(state, leases, candidate)
  local _, per_minute, _, tpm, most, known_error = unpack(candidate)
  local kind = state.error or known_error
  local trial = (state.half_open or kind) and true or false
  if trial then
    state.trial, state.trial_until = ask.lease, now + ask.lease_seconds
    if kind == QUOTA then state.trial_after = now + QUOTA_TRIAL_SECONDS end
  end
  if per_minute then state.tokens = state.tokens - 1 end
  if tpm then state.tpm_tokens = state.tpm_tokens - ask.need end
  if most then lease_add(leases, ask.lease) end
  return trial
end

local refusals = {}
for index, candidate in ipairs(ask.candidates) do
  local key, leases = KEYS[2 * index - 1], KEYS[2 * index]
  local state = read(key)
  local found = refusal(state, leases, candidate)
  refusals[index] = found or false
  if not found and not ask.look then
    local trial = take(state, leases, candidate)
    write(key, state)
    refusals[index] = nil
    return cmsgpack.pack({index, now, trial, state.tokens or false, state.tpm_tokens or false, refusals})
  end
end
return cmsgpack.pack({0, now, false, false, false, refusals})
