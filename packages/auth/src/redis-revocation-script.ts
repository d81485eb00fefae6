/**
 * Appends one revocation to the log of all revocations, and wakes the other instances.
 * KEYS[1] the log, a stream whose entry ids are Redis's own clock
 * ARGV[1] channel to wake · ARGV[2] retention in ms · ARGV[3] most entries
 * ARGV[4] kind · ARGV[5] value · ARGV[6] issuedBeforeMs · ARGV[7] untilMs
 * Returns the entry's id, or false when the log is full. Entries older than the retention go first: no token that they
 * could hit is alive. Doing it twice (a retry after a lost reply) changes nothing but the log's length.
 */
export const appendRevocation: string = `
local time = redis.call('TIME')
local nowMs = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', nowMs - ARGV[2]))
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[3]) then return false end
local id = redis.call('XADD', KEYS[1], '*', 'kind', ARGV[4], 'value', ARGV[5], 'before', ARGV[6], 'until', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[1], id)
return id
`
