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

const isDenied = (error) => error instanceof ApiError && error.code === 'auth_denied'
const saying = (error) => (error instanceof ApiError ? `${error.message} (${error.code})` : String(error))

/** Says what went wrong; only a token that is not good leads back to the login. */
function complain(error) {
  if (isDenied(error)) lock(error.message)
  else toast(saying(error))
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

const instanceIds = () => [...fleet.instances.map(({ instanceId }) => instanceId), ...fleet.silent]

/** An instance that is gone, as after a restart, has nothing to show: the first one, from its beginning. */
function ofInstance(values) {
  const ids = instanceIds()
  return ids.includes(values.instance) ? values : { ...values, instance: ids[0], after: undefined }
}

function instanceField(selected) {
  const options = instanceIds().map((id) => h('option', { value: id, selected: id === selected }, id))
  return h('label', {}, 'Instance', h('select', { name: 'instance' }, ...options))
}

/** The button that shows what follows a page. */
const more = (section, values, next) =>
  next !== undefined &&
  h(
    'div',
    { className: 'row' },
    h('button', { onclick: () => go(section, { ...values, after: next }) }, 'Next page'),
  )

const connectionsForm = (given) => {
  const values = ofInstance(given)
  return filters('connections', [
    instanceField(values.instance),
    field('User', 'user', values),
    field('Channel', 'channel', { ...values, placeholder: 'table:…' }),
  ])
}

async function connections(given) {
  const values = ofInstance(given)
  const page = await get(`/connections${query(values)}`)
  return [
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
      more('connections', values, page.next),
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

const channelsForm = (given) => {
  const values = ofInstance(given)
  return filters('channels', [
    instanceField(values.instance),
    field('Name begins with', 'prefix', { ...values, placeholder: 'table:' }),
  ])
}

async function channels({ channel, ...given }) {
  const values = ofInstance(given)
  const page = await get(`/channels${query(values)}`)
  return [
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
      more('channels', values, page.next),
    ),
  ]
}

const usersForm = (values) => filters('users', [field('User id', 'user', values)])

async function users({ user }) {
  if (!user) return [h('p', { className: 'empty' }, 'Type a user id to see their session on all instances.')]
  const session = await get(`/users/${path(user)}`)
  const level = { online: 'ok', away: 'warn', offline: '' }[session.status]
  return [
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

const tailForm = (values) =>
  filters('tail', [
    field('Channel', 'channel', { ...values, placeholder: 'table:…' }),
    field('or user', 'user', values),
  ])

async function tail(values) {
  const asked = values.channel ? { channel: values.channel } : values.user ? { user: values.user } : undefined
  if (!asked)
    return [
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

const glance = () =>
  overview(fleet, history, {
    setDrained: (id, on) => attempt(() => setDrained(id, on)),
    setLevel: (id, level) => attempt(() => setLevel(id, level)),
  })

const sections = {
  overview: { content: glance },
  connections: { form: connectionsForm, content: connections },
  channels: { form: channelsForm, content: channels },
  users: { form: usersForm, content: users },
  tail: { form: tailForm, content: tail },
}

/** A section's parts. What kept its content away is said in its place, below a form that can ask for something else. */
async function partsOf({ name, values }) {
  const { form, content } = sections[name]
  const parts = await Promise.resolve(content(values)).catch((error) => {
    if (isDenied(error)) throw error
    return [h('p', { className: 'empty warn', role: 'alert' }, saying(error))]
  })
  return form ? [form(values), ...parts] : parts
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
  const section = where()
  const asked = location.hash
  for (const link of document.querySelectorAll('nav a'))
    if (link.hash === `#${section.name}`) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  const parts = await partsOf(section)
  if (location.hash !== asked || !hasToken()) return
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
async function redrawUser(section) {
  const asked = location.hash
  if (asked !== shownHash || inUse('users')) return
  const parts = await partsOf(section)
  if (asked === location.hash && !inUse('users')) main.replaceChildren(...parts)
}

async function refresh() {
  fleet = await get('/instances')
  history.take(fleet)
  showState()
  const section = where()
  const { name, values } = section
  if (name === 'users' && values.user) attempt(() => redrawUser(section))
  if (name !== 'overview' || inUse(name)) return
  const focused = document.activeElement?.dataset?.drain
  main.replaceChildren(...glance())
  if (focused !== undefined) main.querySelector(`[data-drain="${CSS.escape(focused)}"]`)?.focus()
}

/** The last fleet stays on the page. */
function missAnswer(error) {
  if (isDenied(error)) return lock(error.message)
  $('#state').className = 'pill bad'
  $('#state').textContent = 'no answer'
}

function again() {
  timer = setTimeout(() => {
    refresh()
      .catch(missAnswer)
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

/** Whatever is away, the token is good until it is refused: the page opens, says what is missing, and asks again. */
async function unlock() {
  await refresh().catch(missAnswer)
  if (!hasToken()) return
  $('#login').hidden = true
  $('#app').hidden = false
  clearTimeout(timer)
  again()
  await showSection()
}

$('#login form').addEventListener('submit', (event) => {
  event.preventDefault()
  const { token, operator } = Object.fromEntries(new FormData(event.target))
  remember(token.trim(), operator.trim())
  attempt(unlock)
})
$('#leave').addEventListener('click', () => lock())
window.addEventListener('hashchange', () => attempt(showSection))

if (hasToken()) attempt(unlock)
else lock()
