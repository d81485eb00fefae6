/**
 * The scripts of presence. One hash for each user, with a TTL; of users who are offline for a minute more:
 *
 *   s status · g ms from which the user may be offline · c:<connection> o or a
 *   t ms of the last change · p the status before it · x what caused it, so that a lost answer can be given again
 *
 * Both scripts return {status, ms to wait or -1, changed 0 or 1, previous status, ms of the change}.
 */
import { script, type Script } from './redis-script.ts'

const user = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local key = KEYS[1]
local function change(old, status, cause)
  local at = math.max(now, (tonumber(redis.call('HGET', key, 't')) or 0) + 1)
  redis.call('HSET', key, 's', status, 't', string.format('%.0f', at), 'p', old, 'x', cause)
  redis.call('HDEL', key, 'g')
  if status == 'offline' then redis.call('PEXPIRE', key, 60000) end
  return {status, -1, 1, old, string.format('%.0f', at)}
end
local function again()
  local known = redis.call('HMGET', key, 's', 'p', 't')
  return {known[1], -1, 1, known[2], known[3]}
end
local function leave(old, cause)
  local from = tonumber(redis.call('HGET', key, 'g'))
  if from and from > now then return {old, from - now, 0, old, '0'} end
  return change(old, 'offline', cause)
end
`

/**
 * What one connection contributes.
 * KEYS 1 user · ARGV 1 connection id, 2 o, a or '' when it is gone, 3 status if the hash is lost, 4 grace ms, 5 TTL ms,
 *   6 id of the update or ''
 */
export const updateScript: Script = script(`${user}
if ARGV[6] ~= '' and redis.call('HGET', key, 'x') == ARGV[6] then return again() end
local old = redis.call('HGET', key, 's') or ARGV[3]
if ARGV[2] == '' then
  redis.call('HDEL', key, 'c:' .. ARGV[1])
else
  redis.call('HSET', key, 'c:' .. ARGV[1], ARGV[2])
end
local status = 'offline'
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
  if string.sub(all[i], 1, 2) == 'c:' then
    if all[i + 1] == 'o' then status = 'online' break end
    status = 'away'
  end
end
if status == 'offline' then
  if old == 'offline' then return {old, -1, 0, old, '0'} end
  redis.call('HSET', key, 's', old)
  redis.call('HSETNX', key, 'g', string.format('%.0f', now + tonumber(ARGV[4])))
  redis.call('PEXPIRE', key, ARGV[5])
  return leave(old, ARGV[6])
end
redis.call('HDEL', key, 'g')
redis.call('HSET', key, 's', old)
local result = {status, -1, 0, old, '0'}
if status ~= old then result = change(old, status, ARGV[6]) end
redis.call('PEXPIRE', key, ARGV[5])
return result
`)

/** Ends a user's grace. KEYS 1 user · ARGV 1 '1' to give a lost answer again */
export const settleScript: Script = script(`${user}
local old = redis.call('HGET', key, 's')
if not old then return {'offline', -1, 0, 'offline', '0'} end
if redis.call('HEXISTS', key, 'g') == 0 then
  if old == 'offline' and ARGV[1] == '1' and redis.call('HGET', key, 'x') == 'settle' then return again() end
  return {old, -1, 0, old, '0'}
end
return leave(old, 'settle')
`)

/**
 * Users whose grace is running, for those whose instance dies meanwhile.
 * KEYS 1 list · ARGV 1 '' to read, else TTL ms; with a TTL: 2 user, 3 in how many ms
 * Returns up to 100 users who were due a second ago
 */
export const dueScript: Script = script(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if ARGV[1] == '' then return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - 1000, 'LIMIT', 0, 100) end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return {}
`)

/** KEYS 1 list · ARGV 1 user */
export const notDueScript: Script = script(`return redis.call('ZREM', KEYS[1], ARGV[1])`)

/** KEYS 1 user. Returns its status. */
export const statusScript: Script = script(`return redis.call('HGET', KEYS[1], 's') or 'offline'`)
