import type { JSX } from 'preact'
import type { PageState } from '../page-state.ts'
import type { Session } from '../session.ts'
import { useStore } from '../store.ts'
import type { ChannelCount } from '../traffic.ts'

interface ConnectionPanelProps {
  readonly page: PageState
  readonly session: Session
}

/** What the SDK does for the page: the state of the link, and each channel's position and counts. */
export function ConnectionPanel({ page, session }: ConnectionPanelProps): JSX.Element {
  const channels = useStore(session.traffic.channels)
  const { state, reconnects, instanceId, latencies, ended } = page.connection
  return (
    <section class="panel connection" aria-labelledby="connection-title">
      <h2 id="connection-title">Connection</h2>
      <dl class="facts">
        <Fact name="State" value={state} id="link-state" />
        <Fact name="Reconnects" value={String(reconnects)} id="reconnects" />
        <Fact
          name="Round trip"
          value={latencies.length > 0 ? `${(latencies.at(-1) ?? 0).toFixed(1)} ms` : '–'}
        />
        <Fact name="Instance" value={instanceId?.slice(0, 8) ?? '–'} title={instanceId} />
        <Fact name="Last end" value={ended ?? '–'} />
        <Fact name="Token until" value={timeOf(page.connection.tokenExpiresAt)} />
      </dl>
      <Sparkline values={latencies} />
      <div class="button-row">
        <button type="button" class="danger" onClick={() => session.cut()}>
          Cut the link
        </button>
        <button type="button" class="danger" onClick={() => session.cut(5000)}>
          Cut for 5 s
        </button>
      </div>
      <div class="scroll" tabIndex={0} role="group" aria-label="Channels">
        <table class="channels">
          <thead>
            <tr>
              <th scope="col">Channel</th>
              <th scope="col" title="One life of the channel's log">
                Epoch
              </th>
              <th scope="col" title="The last message handled">
                Seq
              </th>
              <th scope="col" title="Messages handed on to this page">
                In
              </th>
              <th scope="col" title="Of these, missed while offline and caught up">
                Caught up
              </th>
              <th scope="col">Lost</th>
              <th scope="col">Doubled</th>
            </tr>
          </thead>
          <tbody>
            {[...channels].toSorted(byKind).map(([name, count]) => (
              <ChannelRow key={name} name={name} count={count} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  )
}

const kinds = ['presence', 'user', 'lobby', 'chat', 'table']

/** The table and its chat first, people last. */
function byKind([a]: readonly [string, ChannelCount], [b]: readonly [string, ChannelCount]): number {
  const rank = (name: string): number => kinds.indexOf(name.split(':', 1)[0] ?? '')
  return rank(b) - rank(a) || a.localeCompare(b)
}

interface ChannelRowProps {
  readonly name: string
  readonly count: ChannelCount
}

function ChannelRow({ name, count }: ChannelRowProps): JSX.Element {
  const [kind = name, id = ''] = name.split(':')
  return (
    <tr data-channel={name}>
      <th scope="row" title={name}>
        {kind}
        {id !== '' && <span class="muted">:{id.length > 8 ? `${id.slice(0, 6)}…` : id}</span>}
      </th>
      <td title={count.epoch}>
        <code>{count.epoch.slice(-6) || '–'}</code>
      </td>
      <td data-field="seq">{count.seq}</td>
      <td>{count.received}</td>
      <td data-field="recovered" data-good={count.recovered > 0 ? '' : undefined}>
        {count.recovered}
      </td>
      <td data-field="lost" data-bad={count.lost > 0 ? '' : undefined}>
        {count.lost}
      </td>
      <td data-field="doubled" data-bad={count.doubled > 0 ? '' : undefined}>
        {count.doubled}
      </td>
    </tr>
  )
}

interface FactProps {
  readonly name: string
  readonly value: string
  readonly id?: string
  readonly title?: string | undefined
}

function Fact({ name, value, id, title }: FactProps): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd id={id} title={title}>
        {value}
      </dd>
    </div>
  )
}

function timeOf(iso: string | undefined): string {
  return iso === undefined ? '–' : new Date(iso).toLocaleTimeString('en-GB')
}

/** The last round trips as a line; the highest one is the top. */
function Sparkline({ values }: { readonly values: readonly number[] }): JSX.Element | null {
  if (values.length < 2) return null
  const top = Math.max(...values, 1)
  const points = values.map(
    (value, at) => `${((at / (values.length - 1)) * 100).toFixed(1)},${(24 - (value / top) * 22).toFixed(1)}`,
  )
  return (
    <svg
      class="sparkline"
      viewBox="0 0 100 25"
      preserveAspectRatio="none"
      role="img"
      aria-label={`Round trips, at most ${top.toFixed(0)} ms`}
    >
      <polyline points={points.join(' ')} />
    </svg>
  )
}
