import type { TableState } from '@gw/protocol'
import type { JSX } from 'preact'
import { chips } from '../names.ts'
import { ownSeat, type PageState } from '../page-state.ts'
import type { Session } from '../session.ts'

interface TableToolsProps {
  readonly page: PageState
  readonly state: TableState
  readonly session: Session
}

/** The table's name, and what one can do about it besides playing. */
export function TableTools({ page, state, session }: TableToolsProps): JSX.Element {
  const { config } = state
  const watching = state.spectators.filter(
    ({ userId }) => !state.seats.some((seat) => seat.userId === userId),
  )
  const seat = ownSeat(page)
  return (
    <div class="table-tools">
      <div class="table-title">
        <h2>{state.name}</h2>
        <p>
          No limit {chips(config.smallBlind)}/{chips(config.bigBlind)}
          {watching.length > 0 && `, ${watching.length} watching`}
        </p>
      </div>
      <div class="table-buttons">
        <button
          type="button"
          onClick={() => void session.addRobot()}
          title="Seat a demo user that plays by itself"
        >
          Add a robot
        </button>
        {page.robots.length > 0 && (
          <button type="button" onClick={() => void session.removeRobots()}>
            Robots out
          </button>
        )}
        {seat && (
          <>
            <button
              type="button"
              aria-pressed={page.isAutoPlaying}
              onClick={() => session.setAutoPlay(!page.isAutoPlaying)}
            >
              Auto-play
            </button>
            <button type="button" onClick={() => void session.leaveSeat()}>
              Stand up
            </button>
          </>
        )}
      </div>
    </div>
  )
}
