/** The console: login, sections by hash, what is asked again and again, and actions with a confirmation. */
import { ApiError, follow, forget, get, hasToken, query, remember, send } from './api.js'
import { createHistory, overview } from './overview.js'
import { ago, bytes, clock, confirm, h, number, table, toast } from './view.js'

const everyMs = 2000
const maxLines = 500

const $ = (selector) => document.querySelector(selector)
const main = $('#main')
const history = createHistory()
let fleet = { instances: [], silent: [], complete: true }
let timer
let following

const path = (text) => encodeURIComponent(text)

/** Says what went wrong; a token that is no longer good leads back to the login. */
function complain(error) {
  if (error instanceof ApiError && error.code === 'auth_denied') lock('This token is not accepted.')
  else toast(error instanceof ApiError ? `${error.message} (${error.code})` : String(error))
}

const attempt = (work) => {
  Promise.resolve()
    .then(work)
    .catch((error) => complain(error))
}

// ── actions ─────────────────────────────────────────────────────────────────────────────────────────────────────────

async function setDrained(instanceId, drained) {
  const sure =
    !drained ||
    (await confirm({
      title: `Drain ${instanceId}?`,
      text: 'It tells its clients to come back elsewhere and takes no new ones until you take it back.',
      action: 'Drain',
    }))
  if (!sure) return
  const { state } = await send('POST', `/instances/${path(instanceId)}/${drained ? 'drain' : 'undrain'}`)
  toast(`${instanceId}: ${state}`)
  await refresh()
}

async function setLevel(instance, level) {
  await send('PUT', '/log-level', { level, instance })
  toast(`${instance} logs ${level}`)
}

const elsewhere = ({ silent, complete }) =>
  silent.length > 0
    ? `; no answer from ${silent.join(', ')}`
    : complete
      ? ''
      : '; only this instance could be asked'

async function kickUser(userId) {
  const text = 'Their sockets are closed on every instance. They may come back.'
  if (!(await confirm({ title: `Kick ${userId}?`, text, action: 'Kick' }))) return
  const answer = await send('POST', `/users/${path(userId)}/kick`)
  toast(`${answer.closed} closed${elsewhere(answer)}`)
  await showSection()
}

async function revokeUser(userId) {
  const text =
    'Every token of theirs issued until now is refused, over HTTP and on sockets. They must log in again.'
  if (!(await confirm({ title: `Revoke ${userId}?`, text, action: 'Revoke' }))) return
  await send('POST', `/users/${path(userId)}/revoke`)
  toast(`Tokens of ${userId} are refused`)
  await showSection()
}

async function kickConnection({ connectionId, userId }) {
  const text = `Closes this one socket of ${userId}. They may come back.`
  if (!(await confirm({ title: 'Kick this connection?', text, action: 'Kick' }))) return
  const answer = await send('POST', `/connections/${path(connectionId)}/kick`)
  toast(`${answer.closed} closed${elsewhere(answer)}`)
  await showSection()
}

/** Who asks for what is shown already wants to see it as it is now. */
const go = (section, values = {}) => {
  const hash = `#${section}${query(values)}`
  if (location.hash === hash) attempt(showSection)
  else location.hash = hash
}
const userLink = (userId) =>
  h('button', { className: 'link', onclick: () => go('users', { user: userId }) }, userId)
const channelLink = (channel) =>
  h('button', { className: 'link', onclick: () => go('channels', { channel }) }, channel)
const tailButton = (values) => h('button', { className: 'ghost', onclick: () => go('tail', values) }, 'Tail')
const kickButton = (connection) =>
  h('button', { className: 'danger', onclick: () => attempt(() => kickConnection(connection)) }, 'Kick…')

// ── sections ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Fields whose values become the section's hash. */
function filters(section, fields) {
  const onsubmit = (event) => {
    event.preventDefault()
    go(section, Object.fromEntries(new FormData(event.target)))
  }
  return h(
    'form',
    { className: 'card filters', onsubmit },
    ...fields,
    h('button', { className: 'primary' }, 'Show'),
  )
}

function field(label, name, { [name]: value = '', placeholder = '' }) {
  return h(
    'label',
    {},
    label,
    h('input', { name, value, placeholder, autocomplete: 'off', spellcheck: false }),
  )
}

function instanceField(selected) {
  const ids = fleet.instances.map(({ instanceId }) => instanceId)
  const options = ids.map((id) => h('option', { value: id, selected: id === selected }, id))
  return h('label', {}, 'Instance', h('select', { name: 'instance' }, ...options))
}

const firstInstance = () => fleet.instances[0]?.instanceId

/** The button that shows what follows a page. */
const more = (section, values, next) =>
  next !== undefined &&
  h(
    'div',
    { className: 'row' },
    h('button', { onclick: () => go(section, { ...values, after: next }) }, 'Next page'),
  )

async function connections(values) {
  const instance = values.instance ?? firstInstance()
  const page = await get(`/connections${query({ ...values, instance })}`)
  return [
    filters('connections', [
      instanceField(instance),
      field('User', 'user', values),
      field('Channel', 'channel', { ...values, placeholder: 'table:…' }),
    ]),
    h(
      'section',
      { className: 'card' },
      table(
        [
          { label: 'User', cell: ({ userId }) => userLink(userId) },
          { label: 'Address', mono: true, cell: ({ address }) => address },
          { label: 'Client', cell: ({ clientType }) => clientType },
          { label: 'Open', num: true, cell: ({ openedAtMs }) => ago(openedAtMs) },
          {
            label: 'Round trip',
            num: true,
            cell: ({ rttMs }) => (rttMs === undefined ? '–' : `${Math.round(rttMs)} ms`),
          },
          { label: 'Waiting', num: true, cell: ({ bufferedBytes }) => bytes(bufferedBytes) },
          { label: 'Channels', num: true, cell: (row) => number(row.channels) },
          { label: '', cell: kickButton },
        ],
        page.connections,
        'No connection here.',
      ),
      more('connections', { ...values, instance }, page.next),
    ),
  ]
}

async function channelDetail(channel) {
  const { position, subscribers, instances, lastMessageAtMs, silent } = await get(
    `/channels/${path(channel)}`,
  )
  const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value))
  return h(
    'section',
    { className: 'card instance', 'aria-label': channel },
    h('div', { className: 'row' }, h('h2', { className: 'mono' }, channel), tailButton({ channel })),
    h(
      'dl',
      { className: 'facts' },
      fact('Seq', number(position.seq)),
      fact('Epoch', h('code', {}, position.epoch)),
      fact('Subscribers', number(subscribers)),
      fact('Last message', lastMessageAtMs === undefined ? '–' : `${ago(lastMessageAtMs)} ago`),
      ...Object.entries(instances).map(([id, { count }]) => fact(`on ${id}`, number(count))),
    ),
    silent.length > 0 && h('p', { className: 'warn' }, `No answer from ${silent.join(', ')}`),
    h(
      'div',
      { className: 'chips' },
      ...Object.values(instances).flatMap(({ subscribers: some }) =>
        some.slice(0, 20).map(({ userId }) => userLink(userId)),
      ),
    ),
  )
}

async function channels({ channel, ...values }) {
  const instance = values.instance ?? firstInstance()
  const page = await get(`/channels${query({ ...values, instance })}`)
  return [
    filters('channels', [
      instanceField(instance),
      field('Name begins with', 'prefix', { ...values, placeholder: 'table:' }),
    ]),
    ...(channel ? [await channelDetail(channel)] : []),
    h(
      'section',
      { className: 'card' },
      table(
        [
          { label: 'Channel', cell: (row) => channelLink(row.channel) },
          { label: 'Subscribers here', num: true, cell: (row) => number(row.subscribers) },
          { label: '', cell: (row) => tailButton({ channel: row.channel }) },
        ],
        page.channels,
        'No channel has subscribers here.',
      ),
      more('channels', { ...values, instance }, page.next),
    ),
  ]
}

async function users({ user }) {
  const form = filters('users', [field('User id', 'user', { user })])
  if (!user)
    return [form, h('p', { className: 'empty' }, 'Type a user id to see their session on all instances.')]
  const session = await get(`/users/${path(user)}`)
  const level = { online: 'ok', away: 'warn', offline: '' }[session.status]
  return [
    form,
    h(
      'section',
      { className: 'card instance', 'aria-label': user },
      h(
        'div',
        { className: 'row' },
        h('h2', { className: 'mono' }, user),
        h('span', { className: `chip ${level}` }, session.status),
        tailButton({ user }),
        h('button', { className: 'danger', onclick: () => attempt(() => kickUser(user)) }, 'Kick…'),
        h('button', { className: 'danger', onclick: () => attempt(() => revokeUser(user)) }, 'Revoke…'),
      ),
      table(
        [
          { label: 'Instance', mono: true, cell: ({ instanceId }) => instanceId },
          { label: 'Connection', mono: true, cell: ({ connectionId }) => connectionId },
          { label: 'Client', cell: ({ clientType }) => clientType ?? '–' },
          { label: 'Open', num: true, cell: ({ connectedAtMs }) => ago(connectedAtMs) },
          { label: '', cell: (row) => kickButton({ ...row, userId: user }) },
        ],
        session.connections,
        'No open connection.',
      ),
    ),
  ]
}

function line(...parts) {
  const list = $('.tail')
  if (!list) return
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40
  list.append(h('li', { className: 'mono' }, ...parts))
  while (list.childElementCount > maxLines) list.firstElementChild.remove()
  if (atEnd) list.scrollTop = list.scrollHeight
}

function tailLine(name, data) {
  const part = (className, text) => h('span', { className }, text)
  if (name === 'alive') return
  if (name === 'position') return line(part('note', `following from ${data.epoch} · ${data.seq}`))
  if (name === 'watching')
    return line(
      part(
        'note',
        `${data.sockets} sockets${data.silent.length > 0 ? `, no answer from ${data.silent.join(', ')}` : ''}`,
      ),
    )
  if (name === 'lost') return line(part('note', `${data} lines were left out: this page was too slow`))
  if (name === 'reset') return line(part('note', `reset (${data.reason}): continuity was lost`))
  const { atMs, type = '', seq, kind, fields, bytes: size, result, ms, code, instanceId } = data
  const facts = kind
    ? [instanceId, result, ms === undefined ? '' : `${ms} ms`, code === undefined ? '' : `code ${code}`]
    : [`${size} B`, ...Object.entries(fields).map(([field, value]) => `${field.split('.').at(-1)}=${value}`)]
  line(
    h('time', {}, clock(atMs)),
    seq === undefined ? '' : part('seq', `#${seq}`),
    part('type', kind && kind !== 'message' ? kind : type),
    part('quiet', facts.filter(Boolean).join('  ')),
  )
}

async function tail(values) {
  const form = filters('tail', [
    field('Channel', 'channel', { ...values, placeholder: 'table:…' }),
    field('or user', 'user', values),
  ])
  const asked = values.channel ? { channel: values.channel } : values.user ? { user: values.user } : undefined
  if (!asked)
    return [
      form,
      h(
        'p',
        { className: 'empty' },
        'Name a channel or a user. Cards, chat text and tokens are never shown.',
      ),
    ]
  const controller = new AbortController()
  following = controller
  follow(`/tail${query(asked)}`, { signal: controller.signal, onEvent: tailLine }).then(
    () => line(h('span', { className: 'note' }, 'the tail ended')),
    (error) => {
      if (!controller.signal.aborted) complain(error)
    },
  )
  return [
    form,
    h(
      'section',
      { className: 'card instance' },
      h(
        'div',
        { className: 'row' },
        h('h2', { className: 'mono' }, asked.channel ?? asked.user),
        h('button', { onclick: () => controller.abort() }, 'Stop'),
      ),
      h('ol', { className: 'tail', tabIndex: 0, 'aria-label': 'Live messages' }),
    ),
  ]
}

const sections = {
  overview: () =>
    overview(fleet, history, {
      setDrained: (id, on) => attempt(() => setDrained(id, on)),
      setLevel: (id, level) => attempt(() => setLevel(id, level)),
    }),
  connections,
  channels,
  users,
  tail,
}

function where() {
  const [name, values = ''] = location.hash.slice(1).split('?')
  return {
    name: name in sections ? name : 'overview',
    values: Object.fromEntries(new URLSearchParams(values)),
  }
}

let shownHash
async function showSection() {
  following?.abort()
  const { name, values } = where()
  const asked = location.hash
  for (const link of document.querySelectorAll('nav a'))
    if (link.hash === `#${name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  const parts = await sections[name](values)
  if (location.hash !== asked) return
  const hadFocus = main.contains(document.activeElement)
  main.replaceChildren(...parts)
  if (hadFocus || (shownHash !== undefined && shownHash !== asked)) main.focus({ preventScroll: true })
  shownHash = asked
}

// ── the fleet, again and again ──────────────────────────────────────────────────────────────────────────────────────

function showState() {
  const ill = fleet.instances.filter(({ notReady }) => notReady !== undefined).length + fleet.silent.length
  const all = fleet.instances.length + fleet.silent.length
  const pill = $('#state')
  pill.className = `pill ${ill === 0 ? 'ok' : ill < all ? 'warn' : 'bad'}`
  pill.textContent = `${all - ill} of ${all} ready`
  const notice = $('#notice')
  notice.hidden = fleet.complete
  notice.textContent = 'Redis is away: only the instance that serves this page can be seen.'
}

/** What changes by itself is drawn again, but not under the operator's hands. */
function inUse(section) {
  const { activeElement } = document
  if ($('#confirm').open) return true
  if (activeElement === main || !main.contains(activeElement)) return false
  return section !== 'overview' || activeElement.tagName === 'SELECT'
}

/** Asks before it looks whether the operator is at it: they may have come while the answer was under way. */
async function redrawUser(values) {
  const asked = location.hash
  if (asked !== shownHash || inUse('users')) return
  const parts = await sections.users(values)
  if (asked === location.hash && !inUse('users')) main.replaceChildren(...parts)
}

async function refresh() {
  fleet = await get('/instances')
  history.take(fleet)
  showState()
  const { name, values } = where()
  if (name === 'users' && values.user) attempt(() => redrawUser(values))
  if (name !== 'overview' || inUse(name)) return
  const focused = document.activeElement?.dataset?.drain
  main.replaceChildren(...sections.overview())
  if (focused !== undefined) main.querySelector(`[data-drain="${CSS.escape(focused)}"]`)?.focus()
}

function again() {
  timer = setTimeout(() => {
    refresh()
      .catch((error) => {
        $('#state').className = 'pill bad'
        $('#state').textContent = 'no answer'
        if (error instanceof ApiError && error.code === 'auth_denied') complain(error)
      })
      .finally(() => {
        if (hasToken()) again()
      })
  }, everyMs)
}

// ── in and out ──────────────────────────────────────────────────────────────────────────────────────────────────────

function lock(why = '') {
  clearTimeout(timer)
  following?.abort()
  forget()
  main.replaceChildren()
  $('#app').hidden = true
  $('#login').hidden = false
  $('#login .error').textContent = why
  $('#login form').reset()
  $('#login [name=token]').focus()
}

async function unlock() {
  await refresh()
  $('#login').hidden = true
  $('#app').hidden = false
  await showSection()
  clearTimeout(timer)
  again()
}

$('#login form').addEventListener('submit', (event) => {
  event.preventDefault()
  const { token, operator } = Object.fromEntries(new FormData(event.target))
  remember(token.trim(), operator.trim())
  unlock().catch((error) => lock(error instanceof ApiError ? error.message : 'The gateway does not answer'))
})
$('#leave').addEventListener('click', () => lock())
window.addEventListener('hashchange', () => attempt(showSection))

if (hasToken()) unlock().catch((error) => lock(error.message))
else lock()
