import type { JSX } from 'preact'
import { chips, nameOf } from '../names.ts'
import type { ConnectionView, PageState } from '../page-state.ts'
import { useNow } from '../use-now.ts'
import { Avatar } from './avatar.tsx'

interface HeaderProps {
  readonly page: PageState
  readonly onHelp: () => void
  readonly onLeave: () => void
}

/** Who I am, what I have, how the link is. */
export function Header({ page, onHelp, onLeave }: HeaderProps): JSX.Element {
  return (
    <header class="header">
      <p class="brand">
        <span class="brand-mark" aria-hidden="true">
          ♠
        </span>
        Gateway <span class="brand-soft">demo</span>
      </p>
      <LinkPill connection={page.connection} />
      <div class="header-me">
        <Avatar user={page.user} />
        <span class="header-name">{nameOf(page.user)}</span>
        {page.balance !== undefined && (
          <span class="header-balance" title="Chips in the account, besides those at a table">
            {chips(page.balance)} <span class="unit">chips</span>
          </span>
        )}
      </div>
      <button
        type="button"
        class="quiet help-button"
        onClick={onHelp}
        aria-keyshortcuts="?"
        title="Shortcuts (?)"
      >
        Help
      </button>
      <button type="button" class="quiet" onClick={onLeave}>
        Switch user
      </button>
    </header>
  )
}

const words = {
  idle: 'Not connected',
  connecting: 'Connecting…',
  open: 'Connected',
  waiting: 'Link lost',
  closed: 'Signed out',
} as const

function LinkPill({ connection }: { readonly connection: ConnectionView }): JSX.Element {
  const { state, retryAt, latencies } = connection
  const now = useNow(250, state === 'waiting')
  const seconds = retryAt === undefined ? 0 : Math.max(0, (retryAt - now) / 1000)
  const detail =
    state === 'waiting'
      ? `again in ${seconds.toFixed(1)} s`
      : state === 'open' && latencies.length > 0
        ? `${(latencies.at(-1) ?? 0).toFixed(0)} ms`
        : ''
  return (
    <p class="link-pill" data-state={state}>
      <span class="dot" aria-hidden="true" />
      <span role="status">{words[state]}</span>
      {detail !== '' && <span class="link-detail">{detail}</span>}
    </p>
  )
}
