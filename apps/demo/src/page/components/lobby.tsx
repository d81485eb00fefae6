import type { TableSummary } from '@gw/protocol'
import type { JSX } from 'preact'
import { chips } from '../names.ts'
import type { PageState } from '../page-state.ts'
import type { Session } from '../session.ts'

interface LobbyProps {
  readonly page: PageState
  readonly session: Session
}

/** All tables, as the lobby's channel has them. */
export function Lobby({ page, session }: LobbyProps): JSX.Element {
  const { lobby, table } = page
  return (
    <section class="panel lobby" aria-labelledby="lobby-title">
      <h2 id="lobby-title">
        Lobby <span class="count">{lobby?.length ?? ''}</span>
      </h2>
      {lobby === undefined ? (
        <p class="muted">Waiting for the lobby…</p>
      ) : (
        <ul class="table-list">
          {lobby.map((summary) => (
            <li key={summary.tableId}>
              <TableButton
                summary={summary}
                isOpen={summary.tableId === table?.tableId}
                onOpen={() => void session.open(summary.tableId)}
              />
            </li>
          ))}
        </ul>
      )}
      <button type="button" class="wide" onClick={() => void session.createTable()}>
        New table
      </button>
    </section>
  )
}

interface TableButtonProps {
  readonly summary: TableSummary
  readonly isOpen: boolean
  readonly onOpen: () => void
}

function TableButton({ summary, isOpen, onOpen }: TableButtonProps): JSX.Element {
  const { name, config, seatsTaken, inProgress } = summary
  const seats = Array.from({ length: config.maxPlayers }, (_, seatId) =>
    summary.occupiedSeatIds.includes(seatId),
  )
  return (
    <button type="button" class="table-button" aria-current={isOpen ? 'true' : undefined} onClick={onOpen}>
      <span class="table-name">{name}</span>
      <span class="table-stakes">
        {chips(config.smallBlind)}/{chips(config.bigBlind)}
      </span>
      <span class="seat-dots" aria-hidden="true">
        {seats.map((isTaken, seatId) => (
          <span key={seatId} class={isTaken ? 'taken' : ''} />
        ))}
      </span>
      <span class="table-facts">
        {seatsTaken}/{config.maxPlayers} seats
        {inProgress && <span class="tag">playing</span>}
      </span>
    </button>
  )
}
