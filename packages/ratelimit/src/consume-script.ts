import { createHash } from 'node:crypto'

/**
 * The judging of all keys of one slot as one atomic script: `sliding-window.ts` in Lua, where each step is explained.
 * A value is 16 + 4 × (B + 1) bytes: index I6, blockedUntilMs I6, violations I4, counts I4 each, newest first.
 */
const consumeScript = `
-- Judges one or more keys: all or nothing.
-- KEYS[i]  counters of key i, all in one slot
-- ARGV[1]  consume | check | increment
-- ARGV[2]  time in ms, or 0 for this server's own
-- then 7 for each key: limit, widthMs, buckets, cost, afterDenials (0: no block), blockMs, refusals to report
-- returns  {allowed 0|1, nowMs, {fits 0|1, index, blockedUntilMs, violations, count0, ..., countB} for each key}
local mode, now = ARGV[1], tonumber(ARGV[2])
local call, pack, floor = redis.call, struct.pack, math.floor
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + floor(time[2] / 1000)
end
local total, allowed = #KEYS, 1
local values = call('MGET', unpack(KEYS))
local reply, formats, moved = { 1, now }, nil, nil

-- Every key is judged before any is written.
for i = 1, total do
  local a = i * 7 - 4
  local limit, width, buckets, cost = ARGV[a] + 0, ARGV[a + 1] + 0, ARGV[a + 2] + 0, ARGV[a + 3] + 0
  -- state: fits, index, blockedUntil, violations, then from 5 the counts, newest first
  local value, index, state = values[i], floor(now / width), nil
  local format = '>I6I6I4I4I4'
  if buckets > 1 then
    format = '>I6I6I4' .. string.rep('I4', buckets + 1)
    formats = formats or {}
    formats[i] = format
  end
  if value and #value == 20 + 4 * buckets then
    state = { 0, struct.unpack(format, value) }
    state[6 + buckets] = nil
    local steps = index - state[2]
    if steps > 0 then
      if floor(index / buckets) ~= floor(state[2] / buckets) then state[4] = 0 end
      for at = buckets, 0, -1 do state[5 + at] = at >= steps and state[5 + at - steps] or 0 end
      state[2] = index
    elseif steps < -1 then
      state[2] = index + 1
      moved = moved or {}
      moved[i] = true
    end
    if state[3] > 0 then state[3] = math.min(state[3], now + ARGV[a + 5]) end
  elseif buckets == 1 then
    state = { 0, index, 0, 0, 0, 0 }
  else
    state = { 0, index, 0, 0 }
    for at = 5, 5 + buckets do state[at] = 0 end
  end
  local elapsed, used, oldest = now - state[2] * width, state[5], state[5 + buckets]
  for at = 6, 4 + buckets do used = used + state[at] end
  used = used * width
  if oldest > 0 then
    if elapsed < 0 then elapsed = 0 end
    used = used + math.max(oldest * (width - elapsed), oldest * width - floor(limit * width / buckets))
  end
  if state[3] <= now and used + cost * width <= limit * width then state[1] = 1 else allowed = 0 end
  reply[i + 2] = state
end
reply[1] = allowed
if mode == 'check' then return reply end
for i = 1, total do
  local a, state = i * 7 - 4, reply[i + 2]
  -- The clock went back: from when the counters wait must be kept, also by a refusal.
  local write = moved and moved[i]
  if allowed == 1 or mode == 'increment' then
    local cost = ARGV[a + 3] + 0
    if cost > 0 then
      state[5] = math.min(state[5] + cost, ARGV[a] + 1)
      write = true
    end
  end
  if (state[1] == 0 or ARGV[a + 6] ~= '0') and ARGV[a + 4] ~= '0' and state[3] <= now then
    state[4] = state[4] + ARGV[a + 6] + 1 - state[1]
    if state[1] == 0 and state[4] >= ARGV[a + 4] + 0 then
      state[3], state[4] = now + ARGV[a + 5], 0
    end
    write = true
  end
  if write then
    local format = formats and formats[i] or '>I6I6I4I4I4'
    local ends = (state[2] + ARGV[a + 2] + 1) * ARGV[a + 1]
    if state[3] > ends then ends = state[3] end
    call('PSETEX', KEYS[i], ends - now, pack(format, unpack(state, 2)))
  end
end
return reply
`

/**
 * Takes back what one slot admitted and another refused. It finds the bucket that was counted in by its number, however
 * many have begun since; counters never fall below 0.
 */
const refundScript = `
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
