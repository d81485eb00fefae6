/**
 * The judging of all keys of one slot as one atomic script: `sliding-window.ts` in Lua, where each step is explained.
 * It is written for one list of policies: what they say stands in it as constants, and what they don't need is not in
 * it. For one policy of 100 in 60 s `consume` becomes
 *
 *     local now = tonumber(ARGV[1]) or 0
 *     if now == 0 then (the time of Redis) end
 *     local value = redis.call('GET', KEYS[1])
 *     local cost1, index1, fits1, write1, ttl1 = tonumber(ARGV[2]) or 1, floor(now / 60000), 1, false, '120000'
 *     local new1, old1 = 0, 0
 *     (decode value, move new1 and old1 on to index1)
 *     if (what is used) + cost1 * 60000 > 6000000 then fits1 = 0 end
 *     local counts = fits1 == 1
 *     if counts and cost1 > 0 then new1, write1 = min(new1 + cost1, 101), true end
 *     if write1 then redis.call('PSETEX', KEYS[1], ttl1, pack(FORMAT, index1, 0, 0, new1, old1)) end
 *     return { now, fits1, index1, new1, old1 }
 *
 * KEYS[i]  counters of key i, all in one slot
 * ARGV     nothing: the time of Redis and the policies' own costs; or
 *          the time in ms (0: that of Redis), then for each key: cost, refusals to report
 * returns  [nowMs, then for each key: fits 0|1, index, (with a block: blockedUntilMs, violations), counts, newest first]
 *
 * A value is 16 + 4 × (B + 1) bytes: index I6, blockedUntilMs I6, violations I4, counts I4 each, newest first.
 */
import type { CheckedPolicy } from './policy.ts'
import type { StoreMode } from './rate-limit-store.ts'

/** Writes the script that judges keys of these policies, in this order; 1 to 16 of them. */
export function consumeSource(policies: readonly CheckedPolicy[], mode: StoreMode): string {
  const keys = policies.map((policy, at): KeyCode => ({ policy, i: at + 1 }))
  const fits = keys.map(({ i }) => `fits${i}`).join(' + ')
  const lines = [
    'local call, pack, unpack = redis.call, struct.pack, struct.unpack',
    'local floor, max, min, tonumber = math.floor, math.max, math.min, tonumber',
    'local now = tonumber(ARGV[1]) or 0',
    'if now == 0 then',
    "  local time = call('TIME')",
    '  now = time[1] * 1000 + floor(time[2] / 1000)',
    'end',
    keys.length === 1
      ? "local values = { call('GET', KEYS[1]) }"
      : `local values = call('MGET', ${keys.map(({ i }) => `KEYS[${i}]`).join(', ')})`,
    ...keys.flatMap(judgeLines),
  ]
  if (mode !== 'check') {
    // Every key is judged before any is written.
    lines.push(`local counts = ${mode === 'increment' ? 'true' : `${fits} == ${keys.length}`}`)
    lines.push(...keys.flatMap(writeLines))
  }
  lines.push(`return { now, ${keys.map(replyOf).join(', ')} }`)
  return lines.join('\n')
}

interface KeyCode {
  readonly policy: CheckedPolicy
  /** Its number in KEYS, and the end of its variables' names. */
  readonly i: number
}

function judgeLines(key: KeyCode): readonly string[] {
  const { policy, i } = key
  const { limit, widthMs, buckets, cost } = policy
  const full = countsOf(key).slice(0, buckets).join(' + ')
  const oldest = countAt(key, buckets)
  return [
    `local cost${i}, index${i}, fits${i}, write${i}, ttl${i} = tonumber(ARGV[${2 * i}]) or ${cost}, floor(now / ${widthMs}), 1, false, ${ttlOf(policy, 1)}`,
    ...(policy.block === undefined ? [] : [`local blocked${i}, violations${i} = 0, 0`]),
    ...(buckets === 1 ? loadPairLines(key) : loadListLines(key)),
    'do',
    `  local used, oldest = (${full}) * ${widthMs}, ${oldest}`,
    '  if oldest > 0 then',
    `    local elapsed = max(now - index${i} * ${widthMs}, 0)`,
    `    used = used + max(oldest * (${widthMs} - elapsed), oldest * ${widthMs} - ${Math.floor((limit * widthMs) / buckets)})`,
    '  end',
    `  if used + cost${i} * ${widthMs} > ${limit * widthMs}${policy.block === undefined ? '' : ` or blocked${i} > now`} then fits${i} = 0 end`,
    'end',
  ]
}

/** One bucket: two variables hold the counts. */
function loadPairLines(key: KeyCode): readonly string[] {
  const { policy, i } = key
  return [
    `local new${i}, old${i} = 0, 0`,
    `if values[${i}] and #values[${i}] == 24 then`,
    `  local index, blocked, violations, newest, oldest = unpack('${formatOf(policy)}', values[${i}])`,
    `  local steps = index${i} - index`,
    ...loadBlockLines(key),
    `  if steps <= 0 then new${i}, old${i} = newest, oldest elseif steps == 1 then old${i} = newest end`,
    ...clockWentBackLines(key),
    'end',
  ]
}

/** Several buckets: a list holds the counts from its fourth entry on, as they are decoded. */
function loadListLines(key: KeyCode): readonly string[] {
  const { policy, i } = key
  const last = 4 + policy.buckets
  return [
    `local list${i}`,
    `if values[${i}] and #values[${i}] == ${20 + 4 * policy.buckets} then`,
    `  list${i} = { unpack('${formatOf(policy)}', values[${i}]) }`,
    `  local index, blocked, violations = list${i}[1], list${i}[2], list${i}[3]`,
    `  local steps = index${i} - index`,
    ...loadBlockLines(key),
    '  if steps > 0 then',
    `    for at = ${last}, 4, -1 do list${i}[at] = at - steps >= 4 and list${i}[at - steps] or 0 end`,
    '  end',
    ...clockWentBackLines(key),
    'else',
    `  list${i} = { ${Array.from({ length: last }, () => '0').join(', ')} }`,
    'end',
  ]
}

function loadBlockLines({ policy: { block, buckets }, i }: KeyCode): readonly string[] {
  if (block === undefined) return []
  return [
    `  if steps <= 0 or floor(index${i} / ${buckets}) == floor(index / ${buckets}) then violations${i} = violations end`,
    `  blocked${i} = min(blocked, now + ${block.durationMs})`,
  ]
}

/** The clock went back: from when the counters wait must be kept, also by a refusal. */
function clockWentBackLines({ policy, i }: KeyCode): readonly string[] {
  return [
    `  if steps < 0 then index${i}, write${i}, ttl${i} = index${i} + 1, steps < -1, ${ttlOf(policy, 2)} end`,
  ]
}

function writeLines(key: KeyCode): readonly string[] {
  const { policy, i } = key
  const { block, limit } = policy
  const newest = countAt(key, 0)
  const counted = `if counts and cost${i} > 0 then ${newest}, write${i} = min(${newest} + cost${i}, ${limit + 1}), true end`
  const [blocked, violations] = block === undefined ? ['0', '0'] : [`blocked${i}`, `violations${i}`]
  const value = `pack('${formatOf(policy)}', index${i}, ${blocked}, ${violations}, ${countsOf(key).join(', ')})`
  const ttl = block === undefined ? `ttl${i}` : `max(ttl${i}, blocked${i} - now)`
  return [
    counted,
    ...violationLines(key),
    `if write${i} then call('PSETEX', KEYS[${i}], ${ttl}, ${value}) end`,
  ]
}

function violationLines({ policy: { block }, i }: KeyCode): readonly string[] {
  if (block === undefined) return []
  return [
    `if blocked${i} <= now then`,
    `  local refusals = (tonumber(ARGV[${2 * i + 1}]) or 0) + 1 - fits${i}`,
    `  if refusals > 0 then violations${i}, write${i} = violations${i} + refusals, true end`,
    `  if fits${i} == 0 and violations${i} >= ${block.afterDenials} then blocked${i}, violations${i} = now + ${block.durationMs}, 0 end`,
    'end',
  ]
}

function replyOf(key: KeyCode): string {
  const { policy, i } = key
  const block = policy.block === undefined ? [] : [`blocked${i}`, `violations${i}`]
  return [`fits${i}`, `index${i}`, ...block, ...countsOf(key)].join(', ')
}

function countsOf(key: KeyCode): readonly string[] {
  return Array.from({ length: key.policy.buckets + 1 }, (_, at) => countAt(key, at))
}

/** The variable of a count; 0 is the newest. */
function countAt({ policy, i }: KeyCode, at: number): string {
  if (policy.buckets > 1) return `list${i}[${4 + at}]`
  return `${at === 0 ? 'new' : 'old'}${i}`
}

function formatOf({ buckets }: CheckedPolicy): string {
  return `>I6I6I4${'I4'.repeat(buckets + 1)}`
}

/** Until the counts say nothing any more, in ms, from anywhere in the bucket. As text where nothing is compared with it. */
function ttlOf({ buckets, widthMs, block }: CheckedPolicy, ahead: 1 | 2): string {
  const ms = (buckets + ahead) * widthMs
  return block === undefined ? `'${ms}'` : `${ms}`
}
