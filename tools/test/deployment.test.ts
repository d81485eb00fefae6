/** What is handed to operators is looked at before they do: compose files and Kubernetes manifests. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { root } from '../lib/workspace.ts'

const docker = join(root, 'docker')
const read = (path: string): string => readFileSync(join(docker, path), 'utf8')

/** Every setting of the gateway and the demo; others are Node's or the SDK's own. */
function settings(): ReadonlySet<string> {
  const names = ['apps/gateway/src/config.ts', 'apps/demo/src/config.ts'].flatMap((file) =>
    [
      ...readFileSync(join(root, file), 'utf8').matchAll(/\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|PORT|HOST)\b/g),
    ].map(([, name = '']) => name),
  )
  return new Set([...names, 'NODE_ENV'])
}

const scalar = z.union([z.string(), z.number(), z.boolean()])
const service = z.strictObject({
  image: z.string().regex(/:[\w.-]+$|^gateway(?:-demo)?$/, 'an image has a tag'),
  build: z.strictObject({ context: z.string(), dockerfile: z.string(), target: z.string() }).optional(),
  user: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment: z.record(z.string(), scalar).optional(),
  networks: z.array(z.string()).min(1),
  // Nothing listens on the host's other addresses.
  ports: z.array(z.string().regex(/^127\.0\.0\.1:\d+:\d+$/)).optional(),
  volumes: z.array(z.string()).optional(),
  depends_on: z
    .union([
      z.array(z.string()),
      z.record(z.string(), z.strictObject({ condition: z.literal('service_healthy') })),
    ])
    .optional(),
  healthcheck: z
    .strictObject({
      test: z.array(z.string()),
      interval: z.string(),
      timeout: z.string(),
      retries: z.int(),
      start_period: z.string().optional(),
    })
    .optional(),
  logging: z.strictObject({ driver: z.string(), options: z.record(z.string(), z.string()) }).optional(),
  stop_grace_period: z.string().optional(),
  mem_limit: z.string(),
  read_only: z.literal(true),
  tmpfs: z.array(z.string()),
  cap_drop: z.tuple([z.literal('ALL')]),
  cap_add: z.array(z.string()).optional(),
  security_opt: z.tuple([z.literal('no-new-privileges:true')]),
  // `no` for what only joins others.
  restart: z.enum(['unless-stopped', 'no']),
})
const project = z.object({
  name: z.string().optional(),
  services: z.record(z.string(), service),
  networks: z.record(
    z.string(),
    z.union([z.strictObject({}), z.strictObject({ internal: z.literal(true) })]),
  ),
  volumes: z.record(z.string(), z.strictObject({})).optional(),
})
type Raw = Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, unknown>>>>>>

/** As compose would merge the files: maps by key, what else by the later one. */
function merged(files: readonly string[]) {
  const documents = files.map((file) => parse(read(file), { merge: true }) as Raw)
  const all: Record<string, Record<string, Record<string, unknown>>> = {}
  for (const document of documents)
    for (const [part, entries] of Object.entries(document)) {
      if (typeof entries !== 'object') continue
      for (const [name, entry] of Object.entries(entries)) {
        const before = all[part]?.[name] ?? {}
        const environment = { ...(before['environment'] as object), ...(entry['environment'] as object) }
        const both = { ...before, ...entry, ...(Object.keys(environment).length > 0 && { environment }) }
        all[part] = { ...all[part], [name]: both }
      }
    }
  return project.parse(all)
}

const stacks = [
  { files: ['compose.yaml'] },
  { files: ['compose.yaml', 'compose.observability.yaml'] },
  { files: ['compose.yaml', 'redis/sentinel.yaml'] },
  { files: ['compose.yaml', 'redis/cluster.yaml'] },
]

test.each(stacks)(
  'compose: $files is what the schema of our own use says, and hangs together',
  ({ files }) => {
    const { services, networks, volumes = {} } = merged(files)
    const known = settings()
    for (const [name, each] of Object.entries(services)) {
      for (const network of each.networks) expect(networks, `${name}: network`).toHaveProperty(network)
      for (const other of Array.isArray(each.depends_on)
        ? each.depends_on
        : Object.keys(each.depends_on ?? {}))
        expect(services, `${name} depends on`).toHaveProperty(other)
      for (const volume of each.volumes ?? []) {
        const [from = ''] = volume.split(':')
        if (from.startsWith('.')) expect(existsSync(join(docker, from)), `${name}: ${from}`).toBe(true)
        else if (!from.startsWith('/')) expect(volumes, name).toHaveProperty(from)
      }
      if (each.build) {
        expect(existsSync(join(docker, each.build.context, each.build.dockerfile))).toBe(true)
        expect(read('Dockerfile')).toMatch(new RegExp(` AS ${each.build.target}$`, 'm'))
        for (const variable of Object.keys(each.environment ?? {}))
          expect(known.has(variable), `${name}: ${variable} is no setting`).toBe(true)
      }
    }
    const ports = Object.values(services)
      .flatMap((each) => each.ports ?? [])
      .map((port) => port.split(':')[1])
    expect(new Set(ports).size).toBe(ports.length)
  },
)

test.each(stacks)(
  'compose: $files: what the demo publishes reaches the gateways, also after a failover',
  ({ files }) => {
    const { services } = merged(files)
    const demo = services['demo']?.environment ?? {}
    const gateways = Object.entries(services).filter(([, { build }]) => build?.target === 'gateway')
    expect(gateways.length).toBeGreaterThan(0)
    for (const [, { environment = {} }] of gateways)
      // It knows one Redis by its address, and no Sentinel or Cluster.
      if (environment['REDIS_MODE'] === undefined) expect(demo['REDIS_URL']).toBe(environment['REDIS_URL'])
      else {
        expect(demo['REDIS_URL']).toBe('')
        expect(environment['INTERNAL_HOST']).toBe('0.0.0.0')
        expect(gateways.map(([name]) => `${name}:${environment['INTERNAL_PORT'] ?? 4001}`)).toContain(
          demo['GATEWAY_PUBLISH_URL'],
        )
      }
  },
)

const run = promisify(execFile)
const hasCompose = await run('docker', ['compose', 'version']).then(
  () => true,
  () => false,
)

test.skipIf(!hasCompose).each(stacks)('docker compose config accepts $files', async ({ files }) => {
  const secrets = { JWT_HS256_SECRET: 'x'.repeat(32), GRAFANA_PASSWORD: 'x' }
  await run('docker', ['compose', ...files.flatMap((file) => ['-f', file]), 'config', '--quiet'], {
    cwd: docker,
    env: { ...process.env, ...secrets },
  })
})

test('Prometheus scrapes every gateway of the compose file, at its metrics port', () => {
  const { scrape_configs: jobs } = z
    .object({
      scrape_configs: z.array(
        z.object({
          job_name: z.string(),
          static_configs: z.array(z.object({ targets: z.array(z.string()) })),
        }),
      ),
    })
    .parse(parse(read('prometheus/prometheus.yml')))
  const { services } = merged(['compose.yaml'])
  const gateways = Object.entries(services).filter(([, { build }]) => build?.target === 'gateway')
  expect(jobs.find(({ job_name: name }) => name === 'gateway')?.static_configs[0]?.targets).toEqual(
    gateways.map(([name, { environment }]) => `${name}:${environment?.['METRICS_PORT']}`),
  )
  for (const [name] of gateways) expect(read('proxy/Caddyfile')).toContain(`${name}:4000`)
})

// ── Kubernetes ──────────────────────────────────────────────────────────────────────────────────────────────────────

const labels = z.record(z.string(), z.string())
const metadata = z.strictObject({ name: z.string(), labels: labels.optional() })
const probe = z.strictObject({
  httpGet: z.strictObject({ path: z.string(), port: z.string() }),
  periodSeconds: z.int(),
  timeoutSeconds: z.int().optional(),
  failureThreshold: z.int(),
})
const container = z.strictObject({
  name: z.string(),
  image: z.string().regex(/:\d/),
  envFrom: z.array(z.strictObject({ configMapRef: z.strictObject({ name: z.string() }) })),
  env: z.array(
    z.strictObject({
      name: z.string(),
      valueFrom: z.union([
        z.strictObject({ fieldRef: z.strictObject({ fieldPath: z.string() }) }),
        z.strictObject({ secretKeyRef: z.strictObject({ name: z.string(), key: z.string() }) }),
      ]),
    }),
  ),
  ports: z.array(z.strictObject({ name: z.string().max(15), containerPort: z.int() })),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  lifecycle: z.strictObject({
    preStop: z.strictObject({ exec: z.strictObject({ command: z.tuple([z.literal('sleep'), z.string()]) }) }),
  }),
  resources: z.strictObject({
    requests: z.strictObject({ cpu: z.string(), memory: z.string() }),
    limits: z.strictObject({ memory: z.string() }),
  }),
  securityContext: z.strictObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
  }),
  volumeMounts: z.array(z.strictObject({ name: z.string(), mountPath: z.string() })),
})
const selector = z.strictObject({ matchLabels: labels })
const deployment = z.strictObject({
  apiVersion: z.literal('apps/v1'),
  kind: z.literal('Deployment'),
  metadata,
  spec: z.strictObject({
    revisionHistoryLimit: z.int(),
    selector,
    strategy: z.strictObject({
      type: z.literal('RollingUpdate'),
      rollingUpdate: z.strictObject({ maxSurge: z.int().min(1), maxUnavailable: z.literal(0) }),
    }),
    minReadySeconds: z.int(),
    template: z.strictObject({
      metadata: z.strictObject({ labels }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        terminationGracePeriodSeconds: z.int(),
        securityContext: z.looseObject({ runAsNonRoot: z.literal(true), runAsUser: z.literal(10_001) }),
        containers: z.tuple([container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
})
const clusterService = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Service'),
  metadata,
  spec: z.strictObject({
    clusterIP: z.literal('None').optional(),
    selector: labels,
    ports: z.array(z.strictObject({ name: z.string(), port: z.int(), targetPort: z.string() })),
  }),
})
const budget = z.strictObject({
  apiVersion: z.literal('policy/v1'),
  kind: z.literal('PodDisruptionBudget'),
  metadata,
  spec: z.strictObject({ maxUnavailable: z.literal(1), selector }),
})
const scaler = z.strictObject({
  apiVersion: z.literal('autoscaling/v2'),
  kind: z.literal('HorizontalPodAutoscaler'),
  metadata,
  spec: z.looseObject({
    scaleTargetRef: z.strictObject({
      apiVersion: z.literal('apps/v1'),
      kind: z.literal('Deployment'),
      name: z.string(),
    }),
    minReplicas: z.int().min(2),
    maxReplicas: z.int(),
    metrics: z.array(z.looseObject({ type: z.enum(['Pods', 'Resource']) })),
  }),
})
const policy = z.strictObject({
  apiVersion: z.literal('networking.k8s.io/v1'),
  kind: z.literal('NetworkPolicy'),
  metadata,
  spec: z.strictObject({
    podSelector: selector,
    policyTypes: z.tuple([z.literal('Ingress'), z.literal('Egress')]),
    ingress: z.array(
      z.strictObject({
        from: z.array(z.looseObject({})).min(1),
        ports: z.array(z.strictObject({ port: z.string() })),
      }),
    ),
    egress: z.array(z.looseObject({ to: z.array(z.looseObject({})).min(1) })),
  }),
})
const configMap = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ConfigMap'),
  metadata,
  data: z.record(z.string(), z.string()),
})
const account = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('ServiceAccount'),
  metadata,
  automountServiceAccountToken: z.literal(false),
})
const manifest = z.discriminatedUnion('kind', [
  deployment,
  clusterService,
  budget,
  scaler,
  policy,
  configMap,
  account,
])

const manifests = parseAllDocuments(read('kubernetes/gateway.yaml')).map((document) => {
  if ('errors' in document && document.errors.length > 0) throw document.errors[0]
  return manifest.parse(document.toJS())
})
type Manifest = z.output<typeof manifest>
function only<K extends Manifest['kind']>(kind: K): Extract<Manifest, { kind: K }> {
  const found = manifests.find((each): each is Extract<Manifest, { kind: K }> => each.kind === kind)
  if (!found) throw new Error(`no ${kind}`)
  return found
}

test('Kubernetes: every selector matches the pods, and every port that is named has that name', () => {
  const { spec } = only('Deployment')
  const pod = spec.template
  const [gateway] = pod.spec.containers
  const named = new Set(gateway.ports.map(({ name }) => name))
  const selectors = [
    spec.selector.matchLabels,
    only('PodDisruptionBudget').spec.selector.matchLabels,
    only('NetworkPolicy').spec.podSelector.matchLabels,
    ...manifests.flatMap((each) => (each.kind === 'Service' ? [each.spec.selector] : [])),
  ]
  for (const each of selectors) expect(pod.metadata.labels).toMatchObject(each)
  for (const each of manifests)
    if (each.kind === 'Service')
      for (const { targetPort } of each.spec.ports) expect(named).toContain(targetPort)
  for (const rule of only('NetworkPolicy').spec.ingress)
    for (const { port } of rule.ports) expect(named).toContain(port)
  expect(only('HorizontalPodAutoscaler').spec.scaleTargetRef.name).toBe(only('Deployment').metadata.name)
  expect(pod.spec.serviceAccountName).toBe(only('ServiceAccount').metadata.name)
})

test('Kubernetes: probes ask for paths that exist, variables are settings, ports are those that are set', () => {
  const [gateway] = only('Deployment').spec.template.spec.containers
  const app = readFileSync(join(root, 'apps/gateway/src/http/app.ts'), 'utf8')
  for (const { httpGet } of [gateway.livenessProbe, gateway.readinessProbe, gateway.startupProbe]) {
    expect(app).toContain(`app.get('${httpGet.path}'`)
    expect(httpGet.port).toBe('http')
  }
  const { data, metadata: named } = only('ConfigMap')
  expect(gateway.envFrom[0]?.configMapRef.name).toBe(named.name)
  const known = settings()
  for (const name of [...Object.keys(data), ...gateway.env.map((each) => each.name)])
    expect(known.has(name), `${name} is no setting`).toBe(true)
  const portOf = (name: string) => gateway.ports.find((port) => port.name === name)?.containerPort
  expect([portOf('http'), portOf('publish'), portOf('metrics')]).toEqual(
    [data['PORT'], data['INTERNAL_PORT'], data['METRICS_PORT']].map(Number),
  )
})

const relabelling = z.strictObject({
  source_labels: z.tuple([z.string().startsWith('__meta_kubernetes_')]).rest(z.string()),
  regex: z.string().optional(),
  action: z.enum(['keep', 'drop']).optional(),
  target_label: z.string().optional(),
})

test('Kubernetes: Prometheus finds the pods, once each, by the job and the labels that others ask for', () => {
  const { scrape_configs: jobs } = z
    .strictObject({
      scrape_configs: z.tuple([
        z.strictObject({
          job_name: z.string(),
          kubernetes_sd_configs: z.tuple([
            z.strictObject({
              role: z.literal('pod'),
              namespaces: z.strictObject({ names: z.array(z.string()).min(1) }),
            }),
          ]),
          relabel_configs: z.array(relabelling),
        }),
      ]),
    })
    .parse(parse(read('kubernetes/prometheus.yaml')))
  const [job] = jobs
  const asked = ['prometheus/gateway.rules.yml', 'kubernetes/prometheus-adapter.yaml']
    .flatMap((file) => [...read(file).matchAll(/\bjob="([^"]*)"/g)])
    .map(([, name]) => name)
  expect(new Set(asked)).toEqual(new Set([job.job_name]))

  const { metadata: pod, spec } = only('Deployment').spec.template
  const [gateway] = spec.containers
  const metas = gateway.ports.map(({ name }) => ({
    ...Object.fromEntries(
      Object.entries(pod.labels).map(([label, value]) => [
        `__meta_kubernetes_pod_label_${label.replaceAll(/\W/g, '_')}`,
        value,
      ]),
    ),
    __meta_kubernetes_pod_container_port_name: name,
    __meta_kubernetes_pod_phase: 'Running',
    __meta_kubernetes_namespace: 'default',
    __meta_kubernetes_pod_name: 'gateway-1',
  }))
  const scraped = metas.filter((meta: Readonly<Record<string, string>>) =>
    job.relabel_configs.every(({ source_labels: from, regex = '(?:.*)', action }) => {
      const text = from.map((label) => meta[label] ?? '').join(';')
      return action === undefined || new RegExp(`^(?:${regex})$`).test(text) === (action === 'keep')
    }),
  )
  expect(scraped).toMatchObject([{ __meta_kubernetes_pod_container_port_name: 'metrics' }])
  expect(Object.keys(pod)).toEqual(['labels'])

  const set = job.relabel_configs.flatMap(({ target_label: label = '', source_labels: [from] }) =>
    label === '' ? [] : [[label, from]],
  )
  expect(Object.fromEntries(set)).toEqual({
    namespace: '__meta_kubernetes_namespace',
    pod: '__meta_kubernetes_pod_name',
    instance: '__meta_kubernetes_pod_name',
  })
})

test('Kubernetes: a pod has the time for its preStop and its whole drain', () => {
  const { spec } = only('Deployment').spec.template
  const [gateway] = spec.containers
  const [, pause] = gateway.lifecycle.preStop.exec.command
  const drainSeconds = Number(only('ConfigMap').data['SHUTDOWN_TIMEOUT_MS']) / 1000
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(Number(pause) + drainSeconds)
})

test('Kubernetes: the autoscaler’s metric is the one that the adapter makes', () => {
  const text = JSON.stringify(only('HorizontalPodAutoscaler').spec.metrics)
  const { rules } = z
    .object({
      rules: z.object({
        custom: z.array(z.object({ seriesQuery: z.string(), name: z.object({ as: z.string() }) })),
      }),
    })
    .parse(parse(read('kubernetes/prometheus-adapter.yaml')))
  for (const { name, seriesQuery } of rules.custom) {
    expect(text).toContain(`"${name.as}"`)
    expect(seriesQuery).toContain(name.as)
  }
})
