import type { JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { legalActions } from '../legal-actions.ts'
import { ownSeat } from '../page-state.ts'
import { placeHash } from '../place.ts'
import type { Session } from '../session.ts'
import { listenForShortcuts } from '../shortcuts.ts'
import { useStore } from '../store.ts'
import { ActionBar } from './action-bar.tsx'
import { Announcer } from './announcer.tsx'
import { Chat } from './chat.tsx'
import { ConnectionPanel } from './connection-panel.tsx'
import { CrashPanel } from './crash-panel.tsx'
import { Header } from './header.tsx'
import { Help } from './help.tsx'
import { Lobby } from './lobby.tsx'
import { Notices } from './notices.tsx'
import { People } from './people.tsx'
import { Story } from './story.tsx'
import { Table } from './table.tsx'

interface RoomProps {
  readonly session: Session
  readonly onLeave: () => void
}

/** On a phone one of these at a time, below the table's own tab; on a desktop all at once. */
const tabs = [
  { id: 'lobby', name: 'Lobby' },
  { id: 'table', name: 'Table' },
  { id: 'chat', name: 'Chat' },
  { id: 'link', name: 'Link' },
] as const

type Tab = (typeof tabs)[number]['id']

/** Everything behind the choice of a user. */
export function Room({ session, onLeave }: RoomProps): JSX.Element {
  const page = useStore(session.state)
  const [tab, setTab] = useState<Tab>('table')
  const [isHelpOpen, setHelpOpen] = useState(false)
  const latest = useRef(page)
  latest.current = page
  const tableId = page.table?.tableId
  const seat = ownSeat(page)
  const legal = page.table?.state ? legalActions(page.table.state, seat?.seatId) : null

  useEffect(() => {
    history.replaceState(null, '', placeHash({ user: page.user, tableId }))
    setTab(tableId === undefined ? 'lobby' : 'table')
  }, [page.user, tableId])
  useEffect(
    () =>
      listenForShortcuts({
        legal: () => {
          const { table } = latest.current
          return table?.state ? legalActions(table.state, ownSeat(latest.current)?.seatId) : null
        },
        act: (move) => void session.act(move),
        toggleHelp: () => setHelpOpen((isOpen) => !isOpen),
        showChat: () => setTab('chat'),
      }),
    [session],
  )

  return (
    <div class="room" data-tab={tab}>
      <Header page={page} onHelp={() => setHelpOpen(true)} onLeave={onLeave} />
      <nav class="tabs" aria-label="Parts of the page">
        {tabs.map(({ id, name }) => (
          <button
            key={id}
            type="button"
            aria-current={tab === id ? 'page' : undefined}
            onClick={() => setTab(id)}
          >
            {name}
          </button>
        ))}
      </nav>
      <main class="parts">
        <h1 class="for-ears">Gateway demo</h1>
        <div class="side side-left">
          <Lobby page={page} session={session} />
          <People page={page} />
          <Story page={page} />
        </div>
        <div class="stage">
          <Table page={page} session={session} />
          <ActionBar page={page} session={session} legal={legal} />
        </div>
        <div class="side side-right">
          <Chat page={page} session={session} />
          <ConnectionPanel page={page} session={session} />
          <CrashPanel page={page} session={session} />
        </div>
      </main>
      <Announcer page={page} legal={legal} />
      <Notices page={page} />
      {isHelpOpen && <Help onClose={() => setHelpOpen(false)} />}
    </div>
  )
}
