/**
 * Appends revocations to the log of all revocations, and wakes the other instances.
 * KEYS[1] the log, a stream whose entry ids are Redis's own clock
 * ARGV[1] channel to wake · ARGV[2] retention in ms · ARGV[3] most entries
 * ARGV[4] the newest id that the caller has read, or '': then it doesn't matter
 * ARGV[5] kind · ARGV[6] value · ARGV[7] issuedBeforeMs · ARGV[8] untilMs, and so on for each
 * Returns {how many fitted, id of the last}, or {-1} when the log has gone on since ARGV[4]: then nothing was appended, so
 * that instances which put the same revocations back don't do it twice. Entries older than the retention go first: no
 * token that they could hit is alive. Doing it twice (a retry after a lost reply) changes nothing but the log's length.
 */
export const appendRevocations: string = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', nowMs - ARGV[2]))
if ARGV[4] ~= '' then
  local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
  if (newest and newest[1] or '0-0') ~= ARGV[4] then return {-1} end
end
local room = tonumber(ARGV[3]) - redis.call('XLEN', KEYS[1])
local count, id = 0, false
for at = 5, #ARGV, 4 do
  if count >= room then break end
  id = redis.call('XADD', KEYS[1], '*', 'kind', ARGV[at], 'value', ARGV[at + 1], 'before', ARGV[at + 2], 'until', ARGV[at + 3])
  count = count + 1
end
if id then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  redis.call('PUBLISH', ARGV[1], id)
end
return {count, id}
`
