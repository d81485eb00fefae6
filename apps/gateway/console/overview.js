/** The fleet at a glance: totals with their last two minutes, and each instance with its dependencies. */
import { ago, bytes, chip, h, number, rate, sparkline } from './view.js'

const points = 60
const shown = [
  { name: 'sockets', label: 'Connections', value: (now) => now.sockets },
  { name: 'users', label: 'Users', value: (now) => now.users },
  { name: 'in', label: 'Messages in / s', value: (now) => now.rates.messagesIn, format: rate },
  { name: 'out', label: 'Messages out / s', value: (now) => now.rates.messagesOut, format: rate },
  { name: 'http', label: 'HTTP requests / s', value: (now) => now.rates.httpRequests, format: rate },
  { name: 'channels', label: 'Channels', value: (now) => now.channels },
]
const counted = [
  ['Resets', 'resets', 'bad'],
  ['Repairs', 'repairs', 'warn'],
  ['Duplicates dropped', 'duplicates', ''],
  ['Slow closes', 'slowCloses', 'warn'],
  ['Refused logins', 'authFailures', 'warn'],
  ['Redis errors', 'redisErrors', 'bad'],
]

const sum = (instances, value) => instances.reduce((all, instance) => all + value(instance), 0)

/** Remembers reports and makes rates of two of them. */
export function createHistory() {
  let before = new Map()
  const series = new Map(shown.map(({ name }) => [name, []]))
  return {
    series,
    take({ instances }) {
      const rates = {}
      for (const { instanceId, nowMs, startedAtMs, totals } of instances) {
        const old = before.get(instanceId)
        if (!old || old.startedAtMs !== startedAtMs || nowMs <= old.nowMs) continue
        for (const [name, value] of Object.entries(totals))
          rates[name] = (rates[name] ?? 0) + ((value - old.totals[name]) * 1000) / (nowMs - old.nowMs)
      }
      before = new Map(instances.map((instance) => [instance.instanceId, instance]))
      const now = {
        sockets: sum(instances, ({ sockets }) => sockets),
        users: sum(instances, ({ users }) => users),
        channels: sum(instances, ({ channels }) => channels),
        rates: { messagesIn: 0, messagesOut: 0, httpRequests: 0, ...rates },
      }
      for (const { name, value } of shown) {
        const values = series.get(name)
        values.push(value(now))
        if (values.length > points) values.shift()
      }
    },
  }
}

function tiles(history) {
  return h(
    'section',
    { className: 'tiles', 'aria-label': 'Now' },
    ...shown.map(({ name, label, format = number }) => {
      const values = history.series.get(name)
      return h(
        'div',
        { className: 'card tile' },
        h('span', { className: 'quiet' }, label),
        h('b', { 'data-tile': name }, format(values.at(-1) ?? 0)),
        sparkline(values, points),
      )
    }),
  )
}

function counters(instances) {
  return h(
    'section',
    { className: 'card instance', 'aria-label': 'Since start' },
    h('h3', { className: 'quiet' }, 'Since the instances started'),
    h(
      'dl',
      { className: 'facts' },
      ...counted.map(([label, name, level]) => {
        const value = sum(instances, ({ totals }) => totals[name] ?? 0)
        return h('div', {}, h('dt', {}, label), h('dd', { className: value > 0 ? level : '' }, number(value)))
      }),
    ),
  )
}

const breakerLevel = { closed: 'ok', half_open: 'warn', open: 'bad' }

function chips({ health }) {
  const { redis, pubsub, keys, backends } = health
  const ping = redis.pingMs === undefined ? '' : ` ${redis.pingMs.toFixed(1)} ms`
  const age = pubsub.probeAgeMs === undefined ? '' : ` ${(pubsub.probeAgeMs / 1000).toFixed(1)} s`
  return h(
    'div',
    { className: 'chips' },
    redis.configured
      ? chip(redis.up ? 'ok' : 'bad', `Redis${redis.up ? ping : ' away'}`)
      : chip('', 'in memory'),
    chip(pubsub.ok ? 'ok' : 'bad', `Pub/sub${age}`),
    chip(keys.ready ? 'ok' : 'bad', 'Keys'),
    ...Object.entries(backends).map(([name, state]) =>
      chip(breakerLevel[state], state === 'closed' ? name : `${name} ${state.replace('_', ' ')}`),
    ),
  )
}

const stateLevel = { serving: 'ok', drained: 'warn', stopping: 'warn' }

function card(instance, { setDrained, setLevel }) {
  const { instanceId, state, notReady } = instance
  const drained = state !== 'serving'
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value))
  return h(
    'article',
    { className: 'card instance', 'aria-label': instanceId },
    h(
      'div',
      { className: 'row' },
      h('h3', { className: 'mono' }, instanceId),
      notReady && state === 'serving' ? chip('bad', notReady) : chip(stateLevel[state], state),
    ),
    chips(instance),
    h(
      'dl',
      { className: 'facts' },
      fact('Connections', number(instance.sockets)),
      fact('Users', number(instance.users)),
      fact('Channels', number(instance.channels)),
      fact('Memory', bytes(instance.memoryBytes)),
      fact('Loop lag p99', `${instance.eventLoopLagMs.toFixed(1)} ms`),
      fact('Up', ago(instance.startedAtMs)),
      fact('Queued events', number(instance.health.sessionEvents.queued)),
      fact('Version', instance.version),
    ),
    h(
      'div',
      { className: 'row' },
      h(
        'select',
        {
          'aria-label': `Log level of ${instanceId}`,
          className: 'grow',
          'data-level': instanceId,
          onchange: (event) => setLevel(instanceId, event.target.value),
        },
        ...['error', 'warn', 'info', 'debug'].map((level) =>
          h('option', { value: level, selected: level === instance.logLevel }, `log level: ${level}`),
        ),
      ),
      h(
        'button',
        {
          className: drained ? '' : 'danger',
          'data-drain': instanceId,
          disabled: state === 'stopping',
          onclick: () => setDrained(instanceId, !drained),
        },
        drained ? 'Take back' : 'Drain…',
      ),
    ),
  )
}

/** The whole section. */
export function overview({ instances, silent }, history, actions) {
  return [
    tiles(history),
    h(
      'section',
      { className: 'instances', 'aria-label': 'Instances' },
      ...instances.map((instance) => card(instance, actions)),
      ...silent.map((instanceId) =>
        h(
          'article',
          { className: 'card instance' },
          h('div', { className: 'row' }, h('h3', { className: 'mono' }, instanceId), chip('bad', 'silent')),
          h(
            'p',
            { className: 'quiet' },
            'It has a lease and does not answer: hung, cut off, just gone, or without an ADMIN_TOKEN.',
          ),
        ),
      ),
    ),
    counters(instances),
  ]
}
