import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createMetrics } from '../src/metrics.ts'

const root = join(import.meta.dirname, '..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

/** The cells of the rows under a heading, without the head of the table. */
function tableUnder(heading: string): string[][] {
  const [, section = ''] = readme.split(`\n## ${heading}\n`)
  const [body = ''] = section.split('\n## ')
  return body
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .slice(2)
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    )
}

/** What prom-client knows of a metric beyond its public type. */
interface Described {
  readonly name: string
  readonly help: string
  readonly type: unknown
  readonly labelNames: readonly string[]
  readonly upperBounds?: readonly number[]
}

function isDescribed(metric: object): metric is Described {
  return 'labelNames' in metric && 'type' in metric && 'name' in metric && 'help' in metric
}

it('lists every metric as it is: name, type, labels, buckets, meaning', () => {
  const series: readonly object[] = createMetrics().registry.getMetricsAsArray()
  const rows = series
    .filter(isDescribed)
    .filter(({ name }) => name.startsWith('gateway_'))
    .map(({ name, type, labelNames, upperBounds, help }) => [
      `\`${name}\``,
      String(type),
      labelNames.map((label) => `\`${label}\``).join(' '),
      upperBounds?.join(' ') ?? '',
      help,
    ])
  expect(rows.length).toBeGreaterThan(30)
  expect(tableUnder('Metrics')).toEqual(rows)
})

it('lists every series that is not the sum of several workers, and what it is instead', async () => {
  const words: Readonly<Record<string, string>> = {
    min: 'the minimum',
    max: 'the maximum',
    first: 'the first',
  }
  const rows = (await createMetrics().snapshot())
    .filter(({ aggregator }) => aggregator !== 'sum')
    .map(({ name, aggregator }) => `\`${name}\` ${words[aggregator]}`)
  const listed = tableUnder('Several workers on one host').map((row) => row.join(' '))
  expect(listed.toSorted()).toEqual(rows.toSorted())
})

it('lists every event that this package logs', () => {
  const source = readdirSync(join(root, 'src'))
    .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
    .join('\n')
  const logged = source.matchAll(/(?:logger\.|put\()(?:'?)(error|warn|info|debug)(?:\('|', ')([a-z_]+)'/g)
  const quick = source.matchAll(/logger\.(lines)\('([a-z_]+)'/g)
  const events = [...logged, ...quick].map(([, level, name]) => [
    `\`${name}\``,
    level === 'lines' ? 'info' : level,
  ])
  expect(events.length).toBeGreaterThan(0)
  const listed = tableUnder('Log events').map(([name, level]) => [name, level])
  expect(listed.sort((a, b) => String(a[0]).localeCompare(String(b[0])))).toEqual(
    events.sort((a, b) => String(a[0]).localeCompare(String(b[0]))),
  )
})
