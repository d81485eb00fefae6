import { createHash } from 'node:crypto'

/**
 * The judging of all keys of one slot as one atomic script: `sliding-window.ts` in Lua, where each step is explained.
 * A value is 16 + 4 × (B + 1) bytes: index I6, blockedUntilMs I6, violations I4, counts I4 each, newest first.
 */
export const consumeScript = `
-- Judges one or more keys: all or nothing.
-- KEYS[i]  counters of key i, all in one slot
-- ARGV[1]  consume | check | increment
-- ARGV[2]  time in ms, or 0 for this server's own
-- then 7 for each key: limit, widthMs, buckets, cost, afterDenials (0: no block), blockMs, refusals to report
-- returns  {allowed 0|1, nowMs, {fits 0|1, index, blockedUntilMs, violations, count0, ..., countB} for each key}
local mode, now = ARGV[1], tonumber(ARGV[2])
if now == 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local floor, max, min = math.floor, math.max, math.min
local total = #KEYS
local values = total == 1 and { redis.call('GET', KEYS[1]) } or redis.call('MGET', unpack(KEYS))
local allowed, states, formats, moved = 1, {}, {}, {}

for i = 1, total do
  local a = i * 7 - 4
  local limit, width, buckets, cost = tonumber(ARGV[a]), tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3])
  local format = buckets == 1 and '>I6I6I4I4I4' or '>I6I6I4' .. string.rep('I4', buckets + 1)
  local index, value, state = floor(now / width), values[i], nil
  -- state: fits, index, blockedUntil, violations, counts from [5], newest first
  if value and #value == 20 + 4 * buckets then
    state = { 0, struct.unpack(format, value) }
    state[#state] = nil
    local steps = index - state[2]
    if steps > 0 then
      if floor(index / buckets) ~= floor(state[2] / buckets) then state[4] = 0 end
      for at = buckets, 0, -1 do state[5 + at] = at >= steps and state[5 + at - steps] or 0 end
      state[2] = index
    elseif steps < -1 then
      state[2], moved[i] = index + 1, true
    end
    state[3] = min(state[3], now + tonumber(ARGV[a + 5]))
  else
    state = { 0, index, 0, 0 }
    for at = 0, buckets do state[5 + at] = 0 end
  end
  local elapsed, sum, oldest = max(0, now - state[2] * width), 0, state[5 + buckets]
  for at = 5, 4 + buckets do sum = sum + state[at] end
  local used = sum * width + max(oldest * (width - elapsed), oldest * width - floor(limit * width / buckets))
  if state[3] <= now and used + cost * width <= limit * width then state[1] = 1 else allowed = 0 end
  states[i], formats[i] = state, format
end

if mode ~= 'check' then
  for i = 1, total do
    local a, state = i * 7 - 4, states[i]
    local cost, after, refusals = tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4]), tonumber(ARGV[a + 6])
    -- The clock went back: from when the counters wait must be kept, also by a refusal.
    local write = moved[i]
    if cost > 0 and (allowed == 1 or mode == 'increment') then
      state[5] = min(state[5] + cost, tonumber(ARGV[a]) + 1)
      write = true
    end
    if after > 0 and state[3] <= now and (state[1] == 0 or refusals > 0) then
      state[4] = state[4] + refusals + 1 - state[1]
      if state[1] == 0 and state[4] >= after then
        state[3], state[4] = now + tonumber(ARGV[a + 5]), 0
      end
      write = true
    end
    if write then
      local ends = (state[2] + tonumber(ARGV[a + 2]) + 1) * tonumber(ARGV[a + 1])
      local ttl = string.format('%.0f', max(ends, state[3]) - now)
      redis.call('SET', KEYS[i], struct.pack(formats[i], unpack(state, 2)), 'PX', ttl)
    end
  end
end

local reply = { allowed, now }
for i = 1, total do reply[i + 2] = states[i] end
return reply
`

/**
 * Takes back what one slot admitted and another refused. It finds the bucket that was counted in by its number, however
 * many have begun since; counters never fall below 0.
 */
export const refundScript = `
-- Takes a cost back from one or more keys.
-- KEYS[i]  counters of key i, all in one slot
-- ARGV     3 for each key: buckets, cost, index of the bucket it was counted in
-- returns  how many keys still held it
local found = 0
for i = 1, #KEYS do
  local a = i * 3 - 2
  local buckets, value = tonumber(ARGV[a]), redis.call('GET', KEYS[i])
  if value and #value == 20 + 4 * buckets then
    local format = '>I6I6I4' .. string.rep('I4', buckets + 1)
    local state = { struct.unpack(format, value) }
    state[#state] = nil
    local back = state[1] - tonumber(ARGV[a + 2])
    if back >= 0 and back <= buckets then
      state[4 + back] = math.max(0, state[4 + back] - tonumber(ARGV[a + 1]))
      redis.call('SET', KEYS[i], struct.pack(format, unpack(state)), 'KEEPTTL')
      found = found + 1
    end
  end
end
return found
`

/** A script with the name under which Redis caches it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

export const consume: Script = { text: consumeScript, sha: shaOf(consumeScript) }
export const refund: Script = { text: refundScript, sha: shaOf(refundScript) }

function shaOf(text: string): string {
  return createHash('sha1').update(text).digest('hex')
}
