/**
 * The scripts of the connection store. All keys of one life of an instance share its hash tag:
 *
 *   lease     hash   r: number of the last write. Exists: the instance lives
 *   conns     hash   connection id → JSON
 *   users     zset   user NUL connection id, all with score 0: found by lexical range
 *   channels  zset   channel NUL connection id, the same
 *   claim     string who cleans up behind a dead instance
 *
 * Beside them one directory of all instances: zset life → when last seen. Everything has a TTL.
 */
import { script, type Script } from './redis-script.ts'

const clock = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`

/**
 * Says that an instance lives and reads who else does.
 * KEYS 1 directory · ARGV 1 life or '' (only read), 2 how long a life is remembered, ms
 * Returns {life, ms since it was seen, life, …}
 */
export const announceScript: Script = script(`${clock}
if ARGV[1] ~= '' then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
local all = redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')
for i = 2, #all, 2 do all[i] = now - tonumber(all[i]) end
return all
`)

/** Takes a life that is over out of the directory. KEYS 1 directory · ARGV 1 life */
export const forgetScript: Script = script(`return redis.call('ZREM', KEYS[1], ARGV[1])`)

/**
 * Begins, or begins anew: nothing of before is left.
 * KEYS 1 lease, 2 conns, 3 users, 4 channels, 5 claim · ARGV 1 number of this write, 2 lease ms
 * Returns 1; 0 when a later write was first; -1 when others already clean up behind this life
 */
export const openScript: Script = script(`
if redis.call('EXISTS', KEYS[5]) == 1 then return -1 end
local last = tonumber(redis.call('HGET', KEYS[1], 'r') or 0)
if last >= tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('HSET', KEYS[1], 'r', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

/**
 * Applies changes in order. A write that comes late (its sender has long given it up) changes nothing.
 * KEYS as open · ARGV 1 number of this write, 2 data TTL ms, then three for each change:
 *   'p' connection id, JSON · 'd' connection id, '' · 'u' or 'c', index entry to add, '' · 'U' or 'C', one to remove, ''
 * Returns 1; 0 when a later write was first; -1 when there is no lease
 */
export const applyScript: Script = script(`
local last = redis.call('HGET', KEYS[1], 'r')
if not last then return -1 end
if tonumber(last) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'r', ARGV[1])
for i = 3, #ARGV, 3 do
  local kind, id = ARGV[i], ARGV[i + 1]
  if kind == 'p' then redis.call('HSET', KEYS[2], id, ARGV[i + 2])
  elseif kind == 'd' then redis.call('HDEL', KEYS[2], id)
  elseif kind == 'u' then redis.call('ZADD', KEYS[3], 0, id)
  elseif kind == 'U' then redis.call('ZREM', KEYS[3], id)
  elseif kind == 'c' then redis.call('ZADD', KEYS[4], 0, id)
  elseif kind == 'C' then redis.call('ZREM', KEYS[4], id)
  end
end
for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return 1
`)

/**
 * Keeps the lease, and the data with it.
 * KEYS as open · ARGV 1 lease ms, 2 data TTL ms
 * Returns {1, connections, user entries, channel entries}, or {0} without a lease
 */
export const renewScript: Script = script(`
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then return {0} end
for i = 2, 4 do redis.call('PEXPIRE', KEYS[i], ARGV[2]) end
return {1, redis.call('HLEN', KEYS[2]), redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[4])}
`)

/**
 * Reads connections of a living instance.
 * KEYS as open · ARGV 1 'id', 'user' or 'channel', 2 the connection id or the prefix of the index entries
 * Returns JSON of each
 */
export const findScript: Script = script(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
local ids = {}
if ARGV[1] == 'id' then
  for i = 2, #ARGV do ids[i - 1] = ARGV[i] end
else
  local index = ARGV[1] == 'user' and KEYS[3] or KEYS[4]
  ids = redis.call('ZRANGEBYLEX', index, '[' .. ARGV[2], '(' .. string.sub(ARGV[2], 1, -2) .. '\\1')
  for i, entry in ipairs(ids) do ids[i] = string.sub(entry, #ARGV[2] + 1) end
end
local found = {}
for _, id in ipairs(ids) do
  local json = redis.call('HGET', KEYS[2], id)
  if json then found[#found + 1] = json end
end
return found
`)

/**
 * Takes the duty to clean up behind a dead instance, and a portion of what it left. Without a rest everything is removed.
 * KEYS as open · ARGV 1 who asks, 2 claim ms, 3 data TTL ms
 * Returns {1, id, JSON, …}; {0} when nothing is left; {-1} when it lives or another one does it
 */
export const claimScript: Script = script(`
if redis.call('EXISTS', KEYS[1]) == 1 then return {-1} end
local holder = redis.call('GET', KEYS[5])
if holder and holder ~= ARGV[1] then return {-1} end
redis.call('SET', KEYS[5], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[3], KEYS[4])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local portion = redis.call('HRANDFIELD', KEYS[2], 200, 'WITHVALUES')
if #portion == 0 then
  redis.call('DEL', KEYS[2], KEYS[5])
  return {0}
end
table.insert(portion, 1, 1)
return portion
`)

/**
 * A portion is done. KEYS as open · ARGV 1 who did it, 2… connection ids
 * Returns 1; 0 when the duty has passed to another one
 */
export const doneScript: Script = script(`
if redis.call('GET', KEYS[5]) ~= ARGV[1] then return 0 end
for i = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
return 1
`)

/** Leaves nothing of a life. KEYS as open */
export const leaveScript: Script = script(
  `return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5])`,
)
