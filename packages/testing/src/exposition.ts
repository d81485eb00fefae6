/** A strict reader of the Prometheus text format 0.0.4: throws on anything that a scraper would refuse or guess. */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly samples: Sample[]
}

const sampleLine = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/
const types = new Set(['counter', 'gauge', 'histogram', 'summary'])

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (let rest = text; rest !== '';) {
    const [whole, name = '', value = ''] = label.exec(rest) ?? []
    if (whole === undefined) throw new Error(`bad labels: ${text}`)
    if (name in labels) throw new Error(`label twice: ${text}`)
    labels[name] = value
    rest = rest.slice(whole.length)
  }
  return labels
}

function parseValue(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  if (text === 'Nan' || text === 'NaN') return Number.NaN
  if (!/^-?\d+(\.\d+)?(e[+-]?\d+)?$/.test(text)) throw new Error(`bad value: ${text}`)
  return Number(text)
}

function parseSample(line: string, family: Family): Sample {
  const [, name = '', labels = '', value = ''] = sampleLine.exec(line) ?? []
  const suffix = name.startsWith(family.name) ? name.slice(family.name.length) : 'other'
  const allowed = family.type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
  if (family.type === 'summary') allowed.push('_sum', '_count')
  if (!allowed.includes(suffix)) throw new Error(`not a sample of ${family.name}: ${line}`)
  return { name, labels: parseLabels(labels), value: parseValue(value) }
}

function keyOf(labels: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1)))
}

function checkHistogram({ name, samples }: Family): void {
  const series = new Map<string, { buckets: [number, number][]; count?: number; sum?: number }>()
  for (const sample of samples) {
    const { le, ...labels } = sample.labels
    const key = keyOf(labels)
    const one = series.get(key) ?? { buckets: [] }
    series.set(key, one)
    if (sample.name === `${name}_bucket`) one.buckets.push([parseValue(String(le)), sample.value])
    else if (sample.name === `${name}_count`) one.count = sample.value
    else one.sum = sample.value
  }
  for (const [key, { buckets, count, sum }] of series) {
    const rising = buckets.every(([le, n], i) => {
      const previous = buckets[i - 1]
      return previous === undefined || (le > previous[0] && n >= previous[1])
    })
    const [lastBound, lastCount] = buckets.at(-1) ?? []
    if (!rising || lastBound !== Number.POSITIVE_INFINITY || lastCount !== count || sum === undefined)
      throw new Error(`bad histogram: ${name}${key}`)
  }
}

/** All families by name. */
export function parseExposition(text: string): Map<string, Family> {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  let help: { name: string; text: string } | undefined
  let current: Family | undefined
  for (const line of text.slice(0, -1).split('\n')) {
    if (line === '') continue
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? []
    if (keyword === 'HELP') help = { name, text: rest }
    else if (keyword === 'TYPE') {
      if (help?.name !== name || families.has(name) || !types.has(rest)) throw new Error(`bad TYPE: ${line}`)
      current = { name, help: help.text, type: rest, samples: [] }
      families.set(name, current)
    } else {
      if (line.startsWith('#') || !current) throw new Error(`stray line: ${line}`)
      const sample = parseSample(line, current)
      const key = sample.name + keyOf(sample.labels)
      if (seen.has(key)) throw new Error(`series twice: ${line}`)
      seen.add(key)
      current.samples.push(sample)
    }
  }
  for (const family of families.values()) if (family.type === 'histogram') checkHistogram(family)
  return families
}

/** What `promtool check metrics` would say against a family (its lint rules on names and units). */
export function lintFamily({ name, help, type }: Family): string[] {
  const problems: string[] = []
  if (help === '') problems.push('no help text')
  if (type === 'counter' && !name.endsWith('_total')) problems.push('a counter must end in _total')
  if (type !== 'counter' && name.endsWith('_total')) problems.push('only a counter may end in _total')
  if (type !== 'histogram' && type !== 'summary' && /_(count|sum|bucket)$/.test(name))
    problems.push('the suffix is reserved for histograms')
  if (/_(counter|gauge|histogram|summary)(_|$)/.test(name)) problems.push('the type is not part of a name')
  if (/_(ms|milliseconds|minutes|hours|days|kb|mb|kilobytes|megabytes|us|ns)(_|$)/.test(name))
    problems.push('use base units')
  if (/[A-Z:]/.test(name)) problems.push('lower case with underscores')
  return problems
}
