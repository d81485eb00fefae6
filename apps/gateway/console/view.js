/** Small parts of the page. Text is always set as text: what comes from a client can never become markup. */

/** An element: properties, `on…` listeners, `aria-…`/`data-…` attributes, children. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else if (name in element && !name.includes('-')) element[name] = value
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children.filter((child) => child !== undefined && child !== false))
  return element
}

const grouped = new Intl.NumberFormat('en')
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

export const number = (value) => (value >= 100_000 ? short.format(value) : grouped.format(value))
export const rate = (value) => (value >= 10 ? number(Math.round(value)) : value.toFixed(1))
export const bytes = (value) =>
  value >= 1024 ** 2 ? `${Math.round(value / 1024 ** 2)} MB` : `${Math.round(value / 1024)} kB`
export const clock = (ms) => new Date(ms).toLocaleTimeString('en-GB')

export function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d`
}

export const chip = (level, text) => h('span', { className: `chip ${level}` }, text)

const svg = (tag, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}

/** A line over the last values, its area filled. */
export function sparkline(values, points) {
  const [width, height] = [100, 40]
  const top = Math.max(1, ...values) * 1.15
  const at = (value, index) => {
    const x = width - ((values.length - 1 - index) * width) / (points - 1)
    return `${x.toFixed(2)},${(height - (value / top) * (height - 4) - 2).toFixed(2)}`
  }
  const line = values.map(at)
  const box = svg('svg', {
    viewBox: `0 0 ${width} ${height}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  })
  if (line.length < 2) return box
  const [first] = line[0].split(',')
  box.append(
    svg('path', { class: 'spark-fill', d: `M${first},${height} L${line.join(' L')} L${width},${height} Z` }),
    svg('path', { class: 'spark', d: `M${line.join(' L')}` }),
  )
  return box
}

/** `columns`: `{label, cell(row), num?, mono?}`. */
export function table(columns, rows, empty) {
  if (rows.length === 0) return h('p', { className: 'empty' }, empty)
  const className = ({ num, mono }) => `${num ? 'num ' : ''}${mono ? 'mono' : ''}`
  return h(
    'div',
    { className: 'scroll', tabIndex: 0, role: 'region', 'aria-label': 'Table' },
    h(
      'table',
      {},
      h(
        'thead',
        {},
        h(
          'tr',
          {},
          ...columns.map((column) => h('th', { scope: 'col', className: className(column) }, column.label)),
        ),
      ),
      h(
        'tbody',
        {},
        ...rows.map((row) =>
          h(
            'tr',
            {},
            ...columns.map((column) =>
              h(
                'td',
                { className: className(column), ...(column.label && { 'data-label': column.label }) },
                column.cell(row),
              ),
            ),
          ),
        ),
      ),
    ),
  )
}

/** Ends the question that was asked last. */
let settle = () => {}

/** Resolves true when the operator says yes. Escape and Cancel say no; Cancel has the focus. */
export function confirm({ title, text, action }) {
  const dialog = document.querySelector('#confirm')
  // The event of a dialog that was closed comes with the next frame: until then its answer is still to be taken.
  settle()
  dialog.querySelector('h2').textContent = title
  dialog.querySelector('p').textContent = text
  dialog.querySelector('.danger').textContent = action
  dialog.returnValue = 'no'
  const { promise, resolve } = Promise.withResolvers()
  const onClose = () => {
    // While it is open the event is of the question before.
    if (!dialog.open) settle()
  }
  settle = () => {
    dialog.removeEventListener('close', onClose)
    resolve(dialog.returnValue === 'yes')
  }
  dialog.addEventListener('close', onClose)
  dialog.showModal()
  return promise
}

let hiding
export function toast(text) {
  const box = document.querySelector('#toast')
  box.textContent = text
  box.classList.add('shown')
  clearTimeout(hiding)
  hiding = setTimeout(() => box.classList.remove('shown'), 4000)
}
