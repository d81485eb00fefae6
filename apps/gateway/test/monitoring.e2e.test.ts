/** Dashboards and alert rules ask only for what a running gateway gives: names, labels, and grammar of every expression. */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { parser } from '@prometheus-io/lezer-promql'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { type GatewayProcess, startGateway } from './harness/platform.ts'

// Only something that hangs takes so long.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 })

const root = resolve(import.meta.dirname, '../../..')
const read = (path: string): string => readFileSync(resolve(root, path), 'utf8')

const target = z.object({ refId: z.string().min(1), expr: z.string().min(1) })
const place = z.object({
  x: z.int().min(0),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
})
const panel = z.object({ id: z.int(), title: z.string().min(1), gridPos: place }).and(
  z.union([
    z.object({ type: z.literal('row') }),
    z.object({
      type: z.enum(['timeseries', 'stat']),
      datasource: z.object({ uid: z.literal('prometheus') }),
      targets: z.array(target).min(1),
    }),
  ]),
)
const dashboard = z.object({
  uid: z.string().min(1).max(40),
  title: z.string().min(1),
  schemaVersion: z.int().min(36),
  panels: z.array(panel).min(1),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.string() })) }),
  annotations: z.object({ list: z.array(z.object({ expr: z.string() })) }),
})
const rules = z.object({
  groups: z.array(
    z.object({
      name: z.string(),
      rules: z.array(
        z.object({
          alert: z.string().regex(/^Gateway[A-Z]\w+$/),
          expr: z.string(),
          for: z.string().regex(/^\d+[sm]$/),
          labels: z.object({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.object({ summary: z.string(), description: z.string(), runbook_url: z.string() }),
        }),
      ),
    }),
  ),
})

const dashboards = readdirSync(resolve(root, 'docker/grafana/dashboards')).map((file) => ({
  file,
  board: dashboard.parse(JSON.parse(read(`docker/grafana/dashboards/${file}`))),
}))
const alerts = rules
  .parse(parse(read('docker/prometheus/gateway.rules.yml')))
  .groups.flatMap((group) => group.rules)

/** What Prometheus itself adds to each scrape. */
const addedLabels = ['job', 'instance']
const addedSeries = ['up']
/** Contract §7: what dashboards that exist already ask the gateway for. */
const contractSeries = [
  'gateway_ws_active_connections',
  'gateway_ws_session_duration_seconds_bucket',
  'gateway_http_request_duration_seconds_bucket',
  'process_cpu_user_seconds_total',
  'process_cpu_system_seconds_total',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
]

let gateway: GatewayProcess
/** Series that a scrape can hold, by name: with their labels where one was there to be seen. */
const series = new Map<string, Set<string>>()

beforeAll(async () => {
  gateway = await startGateway()
  // A series with labels shows them once it has a value.
  await gateway.fetch('/api/tables', { userId: 'ann' })
  const text = await (await fetch(gateway.metricsUrl)).text()
  for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    const suffixes = type === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
    for (const suffix of suffixes) series.set(name + suffix, new Set())
  }
  for (const [, name = '', labels = ''] of text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})? \S+$/gm))
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) series.get(name)?.add(label)
})

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
})

interface Asked {
  readonly names: readonly string[]
  readonly labels: readonly string[]
  readonly faults: number
}

/** What a PromQL expression asks for; Grafana's own variables stand where a duration or a text may. */
function ask(expression: string): Asked {
  const promql = expression.replaceAll(/\$__(?:rate_interval|range|interval)/g, '5m')
  const names: string[] = []
  const labels: string[] = []
  let faults = 0
  parser.parse(promql).iterate({
    enter({ type, from, to, node }) {
      const text = promql.slice(from, to)
      if (type.isError) faults++
      else if (type.name === 'Identifier' && node.parent?.type.name === 'VectorSelector') names.push(text)
      else if (type.name === 'LabelName') labels.push(text)
    },
  })
  return { names, labels, faults }
}

/** Labels of a series as declared: a scrape cannot show those of a series that has no value yet. */
const declared = new Map<string, readonly string[]>()
{
  const source = read('packages/observability/src/metrics.ts')
  // series('name', 'help', ['label', …]) and counter/gauge('name', 'help', ['label', …]).
  for (const [, name = '', list = ''] of source.matchAll(
    /(?:series|counter|gauge)\(\s*'(\w+)',\s*(?:'[^']*'|"[^"]*"),?\s*(?:\[([^\]]*)\])?/g,
  ))
    declared.set(
      `gateway_${name}`,
      [...list.matchAll(/'(\w+)'/g)].map(([, label = '']) => label),
    )
}

function labelsOf(name: string): ReadonlySet<string> {
  const base = name.replace(/_(?:bucket|sum|count)$/, '')
  return new Set([...(series.get(name) ?? []), ...(declared.get(name) ?? declared.get(base) ?? [])])
}

function problemsOf(where: string, expression: string): readonly string[] {
  const { names, labels, faults } = ask(expression)
  if (faults > 0) return [`${where}: not PromQL: ${expression}`]
  if (names.length === 0) return [`${where}: asks for no series: ${expression}`]
  const unknown = names.filter((name) => !series.has(name) && !addedSeries.includes(name))
  const known = new Set([...addedLabels, 'le', ...names.flatMap((name) => [...labelsOf(name)])])
  return [
    ...unknown.map((name) => `${where}: /metrics has no ${name}`),
    ...labels
      .filter((label) => !known.has(label))
      .map((label) => `${where}: no series there has a label ${label}`),
  ]
}

test('every panel asks for series and labels that a running gateway has', () => {
  expect(dashboards.map(({ board }) => board.uid).sort()).toEqual([
    'gateway-backends',
    'gateway-overview',
    'gateway-realtime',
  ])
  const problems = dashboards.flatMap(({ file, board }) => [
    ...board.panels.flatMap((entry) =>
      entry.type === 'row'
        ? []
        : entry.targets.flatMap(({ expr }) => problemsOf(`${file}, ${entry.title}`, expr)),
    ),
    ...board.annotations.list.flatMap(({ expr }) => problemsOf(`${file}, annotation`, expr)),
    ...board.templating.list.flatMap(({ query }) =>
      problemsOf(`${file}, variable`, /^label_values\((\w+),/.exec(query)?.[1] ?? query),
    ),
  ])
  expect(problems).toEqual([])
})

test('every alert asks for series and labels that a running gateway has', () => {
  expect(alerts.flatMap(({ alert, expr }) => problemsOf(alert, expr))).toEqual([])
  expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length)
})

test('a panel that asked for an unknown series, an unknown label or no PromQL would be found', () => {
  expect(problemsOf('x', 'sum(rate(gateway_no_such_total[5m]))')).toEqual([
    'x: /metrics has no gateway_no_such_total',
  ])
  expect(problemsOf('x', 'sum by (room) (gateway_ready)')).toEqual(['x: no series there has a label room'])
  expect(problemsOf('x', 'sum(rate(gateway_ready[5m])')).toHaveLength(1)
})

test('panels lie within the grid, on no other panel, each with an id of its own', () => {
  for (const { file, board } of dashboards) {
    const taken = new Set<string>()
    for (const { title, gridPos } of board.panels)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(x, `${file}, ${title}`).toBeLessThan(24)
          expect(taken.has(`${x},${y}`), `${file}, ${title} covers another panel`).toBe(false)
          taken.add(`${x},${y}`)
        }
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length)
  }
})

test('what existing dashboards ask for is there', () => {
  expect(contractSeries.filter((name) => !series.has(name))).toEqual([])
  expect(labelsOf('gateway_ws_active_connections')).toContain('client_type')
  for (const label of ['method', 'route', 'status'])
    expect(labelsOf('gateway_http_request_duration_seconds_bucket')).toContain(label)
})

test('every alert has its section in the runbook, every section its alert, and the links can be opened', () => {
  const headings = [...read('docs/runbook.md').matchAll(/^## (Gateway\w+)$/gm)].map(([, name = '']) => name)
  expect(headings.sort()).toEqual(alerts.map(({ alert }) => alert).sort())
  for (const { alert, annotations } of alerts)
    expect(annotations.runbook_url).toBe(`{{ $externalLabels.runbook }}#${alert.toLowerCase()}`)
  // The label has its value from the environment, which compose sets to the copy that Prometheus serves.
  expect(read('docker/prometheus/prometheus.yml')).toContain("external_labels: { runbook: '${RUNBOOK_URL}' }")
  const compose = read('docker/compose.observability.yaml')
  expect(compose).toContain('${RUNBOOK_URL:-http://localhost:9090/user/runbook.txt}')
  expect(compose).toContain('- --web.user-assets=/etc/prometheus/user')
  expect(compose).toContain('- ../docs/runbook.md:/etc/prometheus/user/runbook.txt:ro')
})

/** The values that an alert's expression lets a label have. */
function valuesIn(alert: string, label: string): readonly string[] {
  const { expr = '' } = alerts.find((each) => each.alert === alert) ?? {}
  const [, values = ''] = new RegExp(`\\b${label}=~?"([^"]*)"`).exec(expr) ?? []
  return values.split('|')
}

test('an alert on some values of a label has all that the code gives', () => {
  const source = (path: string): string => read(`apps/gateway/src/${path}`)
  // How a proxied call ends that is no answer; a client that goes away says nothing about the backend.
  const [, ends = ''] = /HTTP status of the backend, or (.*)\. \*\//.exec(source('http/proxy.ts')) ?? []
  const proxied = [...ends.matchAll(/`(\w+)`/g)].map(([, code = '']) => code)
  expect(proxied).toContain('client_closed')
  expect(valuesIn('GatewayBackendFailing', 'code')).toEqual(
    expect.arrayContaining(proxied.filter((code) => code !== 'client_closed')),
  )
  expect(valuesIn('GatewayBackendFailing', 'code')).not.toContain('client_closed')
  // Refused with 503: there is no room. While it drains there is none to be had.
  const full = [...source('ws/upgrade.ts').matchAll(/^ {2}(\w+): \[503,/gm)].map(([, reason = '']) => reason)
  expect(valuesIn('GatewayRefusesSockets', 'reason').toSorted()).toEqual(
    full.filter((reason) => reason !== 'draining').toSorted(),
  )
  for (const reason of valuesIn('GatewayRefusesSockets', 'reason'))
    expect(read('docs/runbook.md')).toContain(`\`${reason}\``)
  // Where a limit is not what Redis says.
  const [, sources = ''] = /type DecisionSource = (.*)/.exec(read('packages/ratelimit/src/decision.ts')) ?? []
  const without = [...sources.matchAll(/'(\w+)'/g)]
    .map(([, from = '']) => from)
    .filter((from) => !['memory', 'redis', 'cache'].includes(from))
  expect(valuesIn('GatewayLimitsLocal', 'source').toSorted()).toEqual(without.toSorted())
})

const run = promisify(execFile)
const hasPromtool = await run('promtool', ['--version']).then(
  () => true,
  () => false,
)

test.skipIf(!hasPromtool)(
  'promtool accepts the rules, and they fire and keep quiet as they should',
  async () => {
    const folder = resolve(root, 'docker/prometheus')
    await run('promtool', ['check', 'rules', 'gateway.rules.yml'], { cwd: folder })
    await run('promtool', ['test', 'rules', 'gateway.rules.test.yml'], { cwd: folder })
    await run('promtool', ['check', 'config', '--syntax-only', 'prometheus.yml'], { cwd: folder })
    const forPods = ['check', 'config', '--syntax-only', '../kubernetes/prometheus.yaml']
    await run('promtool', forPods, { cwd: folder }).catch((error: unknown) => {
      // Debian's promtool is built without Kubernetes.
      if (!String(error).includes('field kubernetes_sd_configs not found')) throw error
    })
  },
)
