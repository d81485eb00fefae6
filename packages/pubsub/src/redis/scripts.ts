import { createHash } from 'node:crypto'

/** A Lua script and its name on the server. */
export interface Script {
  readonly lua: string
  readonly sha1: string
}

function script(lua: string): Script {
  return { lua, sha1: createHash('sha1').update(lua).digest('hex') }
}

// Drops what is older than the cutoff. Ids are `<seq>-0`, so age is in the entry: a b = published at, envelope.
const trimByAge = `
local function trim(log, cutoff)
  local first = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  while first and tonumber(first[2][2]) < cutoff do
    local page = redis.call('XRANGE', log, '-', '+', 'COUNT', 100)
    local keep = nil
    for _, entry in ipairs(page) do
      if tonumber(entry[2][2]) >= cutoff then keep = entry[1] break end
    end
    local last = tonumber(string.match(page[#page][1], '^%d+'))
    redis.call('XTRIM', log, 'MINID', keep or string.format('%.0f-0', last + 1))
    first = not keep and redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
  end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`

// Who wrote this history: another id after each promotion of a replica, and after each start.
const masterId = `assert(string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)'))`

/**
 * Appends messages to a channel's log and publishes each with its position: in the order given, all or none.
 *
 * KEYS  1 meta hash (e epoch, s last seq, t when, m master), 2 log stream, 3 the live channel, 4… one for each message that is
 *       to be recognised (kind k or o)
 * ARGV  1 PUBLISH or SPUBLISH, 2 an epoch if one is needed, 3 log size, 4 log age ms, 5 meta TTL ms, 6 TTL ms of what kind o remembers,
 *       7 whether an epoch ends with its master: 1 or 0, then four for each message: payload, the envelope's origin, kind, detail
 *         kind ''  always new
 *         kind k   a duplicate when its key exists; detail: the key's TTL in ms
 *         kind o   detail `count:delayMs:slackMs`: the sender has heard this content `count` times, this one `delayMs` ago.
 *                  New when the last one that was taken is older than the hearing, or when fewer were taken than heard.
 * Returns for each message {epoch, seq, 1 if duplicate, how many of this content were taken}
 */
export const publishScript: Script = script(`${trimByAge}
local meta = redis.call('HMGET', KEYS[1], 'e', 's', 't', 'm')
local epoch, seq, last = meta[1], tonumber(meta[2]) or 0, tonumber(meta[3]) or 0
local size, age, ttl = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local master = ARGV[7] == '1' and ${masterId}
if master and meta[4] ~= master then
  epoch, seq = ARGV[2], 0
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', epoch, 's', 0, 'm', master)
  redis.call('PEXPIRE', KEYS[1], ttl)
elseif not epoch then
  epoch = ARGV[2]
  redis.call('DEL', KEYS[2])
end
if now < last then now = last end
local results, key, added = {}, 3, 0
for at = 8, #ARGV, 4 do
  local kind, known, count = ARGV[at + 2], nil, 0
  if kind ~= '' then
    key = key + 1
    local value = redis.call('GET', KEYS[key])
    if value then
      local e, s, n, t = string.match(value, '^(%S+) (%S+) (%S+) (%S+)$')
      count = tonumber(n)
      known = {e, tonumber(s), 1, count}
      if kind == 'o' then
        local heard, delay, slack = string.match(ARGV[at + 3], '^(%d+):(%d+):(%d+)$')
        heard = tonumber(heard)
        if tonumber(t) < now - tonumber(delay) - tonumber(slack) then
          known = nil
          count = math.max(heard, count + 1)
        elseif heard > count then
          known = nil
          count = heard
        end
      end
    elseif kind == 'o' then
      count = tonumber(string.match(ARGV[at + 3], '^%d+'))
    end
  end
  if known then
    results[#results + 1] = known
  else
    seq = seq + 1
    added = added + 1
    local place = string.format('%.0f', seq)
    local envelope = '1 ' .. epoch .. ' ' .. place .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[at + 1] .. '\\n' .. ARGV[at]
    redis.call('HSET', KEYS[1], 'e', epoch, 's', place, 't', string.format('%.0f', now))
    if size > 0 then
      redis.call('XADD', KEYS[2], 'MAXLEN', size, place .. '-0', 'a', string.format('%.0f', now), 'b', envelope)
    end
    if kind ~= '' then
      redis.call('SET', KEYS[key], epoch .. ' ' .. place .. ' ' .. string.format('%.0f', count) .. ' ' .. string.format('%.0f', now), 'PX', kind == 'k' and ARGV[at + 3] or ARGV[6])
    end
    redis.call(ARGV[1], KEYS[3], envelope)
    results[#results + 1] = {epoch, seq, 0, count}
  end
end
if added > 0 then
  redis.call('PEXPIRE', KEYS[1], ttl)
  if size > 0 then
    trim(KEYS[2], now - age)
    redis.call('PEXPIRE', KEYS[2], age)
  end
end
return results
`)

/**
 * Reads a channel's head and a page of its log. A channel that nobody has published to begins its first epoch here.
 *
 * KEYS  1 meta hash, 2 log stream
 * ARGV  1 an epoch if one is needed, 2 TTL in ms that meta has at least afterwards, 3 log age ms, 4 limit,
 *       5 epoch of the position to read after or '', 6 its seq, 7 whether an epoch ends with its master: 1 or 0
 * Returns {epoch, seq, when the head was published, when the message at the position was or -1, envelope…}
 */
export const readScript: Script = script(`${trimByAge}
local meta = redis.call('HMGET', KEYS[1], 'e', 's', 't', 'm')
local epoch, seq, at = meta[1], tonumber(meta[2]) or 0, tonumber(meta[3]) or 0
local master = ARGV[7] == '1' and ${masterId}
if not epoch or (master and meta[4] ~= master) then
  epoch, seq = ARGV[1], 0
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', epoch, 's', 0, 't', string.format('%.0f', at))
  if master then redis.call('HSET', KEYS[1], 'm', master) end
end
local ttl = tonumber(ARGV[2])
if redis.call('PTTL', KEYS[1]) < ttl then redis.call('PEXPIRE', KEYS[1], ttl) end
local limit, since = tonumber(ARGV[4]), tonumber(ARGV[6])
local result = {epoch, seq, at, -1}
if limit == 0 then return result end
trim(KEYS[2], now - tonumber(ARGV[3]))
local entries = {}
if ARGV[5] == '' then
  local latest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', limit)
  for i = #latest, 1, -1 do entries[#entries + 1] = latest[i] end
elseif ARGV[5] == epoch and since <= seq then
  entries = redis.call('XRANGE', KEYS[2], string.format('%.0f-0', since), '+', 'COUNT', limit + 1)
  if entries[1] and entries[1][1] == string.format('%.0f-0', since) then
    result[4] = tonumber(entries[1][2][2])
    table.remove(entries, 1)
  elseif #entries > limit then
    table.remove(entries)
  end
end
for _, entry in ipairs(entries) do result[#result + 1] = entry[2][4] end
return result
`)

/**
 * Finds the channels whose heads are not where the caller knows them.
 *
 * KEYS  meta hashes
 * ARGV  1 TTL in ms that each gets when less than half of it is left, then for each the known epoch and seq
 * Returns {place among the keys, from 0; epoch, or '' where there is none; seq} of each that is elsewhere
 */
export const movedScript: Script = script(`
local ttl = tonumber(ARGV[1])
local moved = {}
for at, key in ipairs(KEYS) do
  local meta = redis.call('HMGET', key, 'e', 's')
  local epoch, seq = meta[1] or '', meta[2] or '0'
  if epoch ~= ARGV[at * 2] or seq ~= ARGV[at * 2 + 1] then moved[#moved + 1] = {at - 1, epoch, seq} end
  if meta[1] and redis.call('PTTL', key) < ttl / 2 then redis.call('PEXPIRE', key, ttl) end
end
return moved
`)

/**
 * Ends an epoch whose log went back, so that old positions are recognised as such.
 *
 * KEYS  1 meta hash, 2 log stream
 * ARGV  1 the epoch to end, 2 the next one, 3 TTL in ms
 */
export const rotateScript: Script = script(`
if redis.call('HGET', KEYS[1], 'e') == ARGV[1] then
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'e', ARGV[2], 's', 0)
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
`)
