-- What has become of a request, and its release. KEYS: the backend's state and its leases.
-- Answer: {now, news, seconds, count, seconds until the cooldown's end}; the news is false where there is none.

local function window_expire(window)
  local kept = {}
  for index = 1, #window, 3 do
    if now - window[index] < WINDOW_SECONDS then
      for offset = 0, 2 do kept[#kept + 1] = window[index + offset] end
    end
  end
  return kept
end

local function window_add(state, success)
  local window = state.window or {}
  if #window == 0 or now - window[#window - 2] >= WINDOW_SECONDS / WINDOW_STEPS then
    window = window_expire(window)
    window[#window + 1], window[#window + 2], window[#window + 3] = now, 0, 0
  end
  local place = success and #window - 1 or #window
  window[place] = window[place] + 1
  state.window = window
end

local function window_counts(state)
  state.window = window_expire(state.window or {})
  local requests, successes = 0, 0
  for index = 1, #state.window, 3 do
    successes = successes + state.window[index + 1]
    requests = requests + state.window[index + 1] + state.window[index + 2]
  end
  return requests, successes
end

-- Whether the attempt began after the last cooldown began: only then it says anything about the backend now.
local function counted(state)
  return not state.cooldown_began_at or ask.taken_at > state.cooldown_began_at
end

local function cool(state, seconds, reason)
  local until_now = state.cooldown_until or 0
  if now + seconds <= until_now then return false end
  local extended = now < until_now
  state.cooldown_until = now + seconds
  if not extended then state.cooldown_began_at = now end
  state.half_open = true
  tell('cooled', ask.backend, seconds, state.count_429 or 0)
  return extended and 'extended' or 'begun', seconds
end

local function backoff(count)
  if count <= 0 then return 0 end
  local grown = ask.exponential and ask.base * 2 ^ math.min(count - 1, 40) or ask.base * count
  return math.min(ask.cap, grown)
end

local findings = {}

function findings.succeeded(state)
  window_add(state, true)
  state.failures_in_a_row, state.failure_cooldowns = nil, nil
  if not counted(state) and not ask.emergency then return false end
  local cleared = (state.count_429 or 0) > 0 or (ask.trial and (state.error or ask.known_error) == QUOTA)
  state.count_429 = nil
  if ask.trial then
    state.half_open, state.error = nil, nil
  end
  if cleared or ask.trial then tell('recovered', ask.backend) end
  return cleared and 'cleared'
end

function findings.rate_limited(state)
  local counts = counted(state)
  if not counts and not ask.given then return false end
  if counts then state.count_429 = (state.count_429 or 0) + 1 end
  local count = state.count_429 or 0
  local seconds
  if ask.given then
    seconds = math.max(math.min(ask.given, GIVEN_CAP_SECONDS), backoff(count - 1))
  else
    seconds = backoff(count)
  end
  seconds = seconds * (1 + 0.1 * ask.jitter)
  -- The jitter of a second look at the same time limit is no later end.
  if not counts and now + seconds < (state.cooldown_until or 0) + 0.1 * seconds then return false end
  return cool(state, seconds)
end

function findings.failed(state)
  window_add(state, false)
  state.failures_in_a_row = (state.failures_in_a_row or 0) + 1
  if not counted(state) then return false end
  local requests, successes = window_counts(state)
  local cools = ask.trial or state.failures_in_a_row >= FAILURES_IN_A_ROW
    or (requests >= WINDOW_LEAST_REQUESTS and successes < requests * WINDOW_LEAST_SUCCESS_RATE)
  if not cools then return false end
  local before = state.failure_cooldowns or 0
  state.failure_cooldowns, state.window = before + 1, nil
  local seconds = math.min(FAILURE_CAP_SECONDS, FAILURE_BASE_SECONDS * 2 ^ math.min(before, 8))
  return cool(state, seconds * (1 + 0.1 * ask.jitter))
end

function findings.errored(state)
  local news = state.error ~= ask.error
  state.error, state.trial_after = ask.error, now + QUOTA_TRIAL_SECONDS
  if news then tell('errored', ask.backend, ask.error) end
  return news and 'error'
end

-- The table no longer shows an error that it had shown.
function findings.mended(state)
  if state.error == ask.error then state.error = nil end
  return false
end

local state = read(KEYS[1])
local news, seconds = false, false
if ask.finding then news, seconds = findings[ask.finding](state) end
if ask.give_back and state.tokens then
  state.tokens = math.min(state.capacity, state.tokens + 1)
end
if ask.release then
  redis.call('ZREM', KEYS[2], ask.lease)
  if state.trial == ask.lease then state.trial, state.trial_until = nil, nil end
  -- Settled by what was used; beyond the reservation the bucket goes below zero, and later requests wait.
  if ask.tpm and ask.unused ~= 0 then
    local left = refilled(state.tpm_tokens, state.tpm_at, ask.tpm, ask.tpm)
    state.tpm_tokens, state.tpm_at = math.min(ask.tpm, left + ask.unused), now
  end
end
if next(state) then write(KEYS[1], state) end
return cmsgpack.pack({now, news, seconds or false, state.count_429 or 0, math.max(0, (state.cooldown_until or 0) - now)})
