-- Leases of requests under way live on. KEYS: for each its state and its leases. `ask.leases`: {member, trial, amount, ends}.
-- One that has got lost, since Redis came back empty, is there again.
for index, lease in ipairs(ask.leases) do
  local key, leases = KEYS[2 * index - 1], KEYS[2 * index]
  local member, kept, trial, amount, ends = unpack(lease)
  local added = kept and lease_add(leases, member)
  if trial or (added and amount > 0) then
    local state = read(key)
    if trial and (not state.trial or state.trial == member) then
      state.trial, state.trial_until = member, now + ask.lease_seconds
    end
    if added and amount > 0 and state.ends == ends then state.reserved = (state.reserved or 0) + amount end
    write(key, state)
  end
end
return cmsgpack.pack({now})
