-- One client key's state, as `_KeyState` of `proxy/state/keys.py` has it.

-- Bring a bucket of one minute's worth up to now; with another limit, what was used stays used.
local function bring_up_rate(state, name, per_minute)
  local left, before = state[name], state[name .. '_per_minute']
  if left and before ~= per_minute then left = per_minute - math.max(0, before - left) end
  state[name] = refilled(left, state[name .. '_at'], per_minute, math.max(1, per_minute))
  state[name .. '_at'], state[name .. '_per_minute'] = now, per_minute
end

-- Reservations are part of a lease's name, so that they end with those of a dead process.
local function expire_leases(state, key)
  local bound = string.format('%.6f', now)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '-inf', bound)) do
    local amount, ends = string.match(member, ':(%d+):(.*)$')
    if amount and ends == tostring(state.ends) then
      state.reserved = math.max(0, (state.reserved or 0) - tonumber(amount))
    end
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', bound)
end
