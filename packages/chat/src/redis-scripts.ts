/** Of a deleted message the field of the texts that keeps its age, for its place. An old version's places have none. */
const placeOf = `
local function placeOf(id) return 'deleted:' .. id end
`

/** Drops the oldest entries of a room beyond the cap or the age. Included in the scripts below. */
const trim = `${placeOf}
local function trim(ids, texts, cap, oldest)
  local removed = 0
  while true do
    local over = redis.call('ZCARD', ids) - cap
    local head = redis.call('ZRANGE', ids, 0, 99)
    local drop = {}
    for i, id in ipairs(head) do
      local text, place = unpack(redis.call('HMGET', texts, id, placeOf(id)))
      local at = tonumber(string.match(text or place or '', '^%d+'))
      if i > over and at and at > oldest then break end
      drop[#drop + 1] = id
      if text then removed = removed + 1 end
      if place then redis.call('HDEL', texts, placeOf(id)) end
    end
    if #drop > 0 then
      redis.call('ZREM', ids, unpack(drop))
      redis.call('HDEL', texts, unpack(drop))
    end
    if #drop < 100 then return removed end
  end
end
`

/**
 * Keeps a message once and trims its room.
 * KEYS: 1 zset id → order, 2 hash id → "<ms> <json>", 3 what the idempotency key stands for (json).
 * ARGV: 1 id, 2 json, 3 now ms, 4 retention ms, 5 cap, 6 idempotency ms (0: none).
 * Returns: {0, json} kept, {1, json, gone 0/1} a duplicate, the message that came first, and whether it is no longer kept.
 * Safe to run again with the same arguments.
 */
export const saveScript: string = `${trim}
local function duplicate(json, id) return {1, json, 1 - redis.call('HEXISTS', KEYS[2], id)} end
if ARGV[6] ~= '0' then
  local first = redis.call('GET', KEYS[3])
  if first then
    -- Half surrogate pairs are JSON to JavaScript, but not here.
    local read, message = pcall(cjson.decode, first)
    if not read then return {1, first, 0} end
    return duplicate(first, message.id)
  end
end
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return duplicate(ARGV[2], ARGV[1]) end
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[1], string.format('%.0f', (tonumber(last[2]) or 0) + 1), ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3] .. ' ' .. ARGV[2])
trim(KEYS[1], KEYS[2], tonumber(ARGV[5]), tonumber(ARGV[3]) - tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
if ARGV[6] ~= '0' then redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[6]) end
return {0, ARGV[2]}
`

/**
 * Reads a page of a room.
 * KEYS: 1 zset id → order, 2 hash id → "<ms> <json>".
 * ARGV: 1 'newest', 'before' or 'after', 2 the cursor's id, 3 limit, 4 ms that a message must be younger than.
 * Returns: {cursor found 0/1, more 0/1, json…} in the order walked: newest first, but oldest first for 'after'.
 */
export const readScript: string = `
local forward = ARGV[1] == 'after'
local limit, oldest, found = tonumber(ARGV[3]), tonumber(ARGV[4]), 1
local from = forward and '-inf' or '+inf'
if ARGV[1] ~= 'newest' then
  local order = redis.call('ZSCORE', KEYS[1], ARGV[2])
  if order then from = '(' .. order else found = 0 end
  if not order and not forward then return {0, 0} end
end
local page, offset = {found, 0}, 0
while true do
  local ids
  if forward then
    ids = redis.call('ZRANGEBYSCORE', KEYS[1], from, '+inf', 'LIMIT', offset, limit + 1)
  else
    ids = redis.call('ZREVRANGEBYSCORE', KEYS[1], from, '-inf', 'LIMIT', offset, limit + 1)
  end
  if #ids == 0 then return page end
  for i, text in ipairs(redis.call('HMGET', KEYS[2], unpack(ids))) do
    local at = text and tonumber(string.match(text, '^%d+'))
    if at and at > oldest then
      if #page == limit + 2 then
        page[2] = 1
        return page
      end
      page[#page + 1] = string.sub(text, string.find(text, ' ', 1, true) + 1)
    end
  end
  offset = offset + #ids
end
`

/**
 * Deletes a message's text and keeps its place and age, so that it stays a cursor and a retry can tell.
 * KEYS: 1 zset id → order, 2 hash id → text. ARGV: 1 id.
 * Returns: 0 unknown, 1 deleted, 2 deleted before.
 */
export const deleteScript: string = `${placeOf}
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local text = redis.call('HGET', KEYS[2], ARGV[1])
if not text then return 2 end
redis.call('HSET', KEYS[2], placeOf(ARGV[1]), string.match(text, '^%d+') or '0')
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
`

/**
 * Trims a room. KEYS: 1 zset id → order, 2 hash id → text. ARGV: 1 cap, 2 ms that a message must be younger than.
 * Returns: how many messages went.
 */
export const trimScript: string = `${trim}
return trim(KEYS[1], KEYS[2], tonumber(ARGV[1]), tonumber(ARGV[2]))
`
