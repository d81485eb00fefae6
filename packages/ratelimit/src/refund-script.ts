/**
 * Takes back what one slot admitted and another refused. It finds the bucket that was counted in by its number, however
 * many have begun since; counters never fall below 0.
 */
export const refundSource: string = `
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
