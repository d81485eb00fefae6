import type { Hand } from '@gw/protocol'
import type { JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { type LegalActions, suggestedSizes } from '../legal-actions.ts'
import { chips, nameOf } from '../names.ts'
import { ownSeat, type PageState } from '../page-state.ts'
import type { Session } from '../session.ts'
import { amountFieldId } from '../shortcuts.ts'

interface ActionBarProps {
  readonly page: PageState
  readonly session: Session
  /** Null: not this user's turn. */
  readonly legal: LegalActions | null
}

/** What one may do now, with the amounts; or what one waits for. */
export function ActionBar({ page, session, legal }: ActionBarProps): JSX.Element {
  const hand = page.table?.state?.hand
  if (!legal || !hand)
    return (
      <section class="actions idle" aria-label="Actions">
        <p>{idleWord(page)}</p>
      </section>
    )
  const { canCheck, call, raise } = legal
  const isOff = page.isActing || page.connection.state !== 'open'
  return (
    <section class="actions" aria-label="Your turn" data-turn={hand.actions.length}>
      <div class="action-buttons">
        <button
          type="button"
          class="action fold"
          disabled={isOff}
          aria-keyshortcuts="f"
          onClick={() => void session.act({ action: 'Fold' })}
        >
          Fold <kbd aria-hidden="true">F</kbd>
        </button>
        <button
          type="button"
          class="action call"
          disabled={isOff}
          aria-keyshortcuts="c"
          onClick={() => void session.act({ action: canCheck ? 'Check' : 'Call' })}
        >
          {canCheck ? 'Check' : `Call ${chips(call ?? 0)}`} <kbd aria-hidden="true">C</kbd>
        </button>
      </div>
      {raise && (
        <RaiseForm
          // Another turn begins at its own least amount.
          key={`${hand.handId}:${hand.actions.length}`}
          hand={hand}
          raise={raise}
          isOff={isOff}
          onRaise={(amount) => void session.act({ action: raise.action, amount })}
        />
      )}
    </section>
  )
}

function idleWord(page: PageState): string {
  const { table, user } = page
  const state = table?.state
  if (!state) return ''
  const seat = ownSeat(page)
  if (!seat) return 'You are watching. Take a seat to play; a robot makes up the numbers.'
  const { hand } = state
  if (!hand || hand.endedAt) {
    if (seat.stack === 0) return 'You are out of chips: stand up and sit down again for more.'
    const players = state.seats.filter(({ userId }) => userId !== null).length
    return players < 2
      ? 'Add a robot, or open this page as somebody else.'
      : 'The next hand is dealt in a moment.'
  }
  if (seat.status === 'FOLDED') return 'You folded. The next hand is yours again.'
  if (seat.status === 'SEATED') return 'You play from the next hand on.'
  if (seat.status === 'ALL_IN') return 'You are all in. Good luck!'
  const turn = state.seats.find(({ seatId }) => seatId === hand.turn)?.userId
  return turn && turn !== user ? `${nameOf(turn)} is thinking…` : ''
}

interface RaiseFormProps {
  readonly hand: Hand
  readonly raise: NonNullable<LegalActions['raise']>
  readonly isOff: boolean
  readonly onRaise: (amount: number) => void
}

/** The amount of a bet or raise: by suggestion, slider or number. */
function RaiseForm({ hand, raise, isOff, onRaise }: RaiseFormProps): JSX.Element {
  const { action, min, max } = raise
  const [amount, setAmount] = useState(min)
  useEffect(() => setAmount(min), [min])
  const isLegal = Number.isInteger(amount) && amount >= min && amount <= max
  return (
    <form
      class="raise"
      onSubmit={(event) => {
        event.preventDefault()
        if (isLegal && !isOff) onRaise(amount)
      }}
    >
      <div class="sizes" role="group" aria-label="Sizes">
        {suggestedSizes(hand, raise).map(({ name, to }) => (
          <button key={name} type="button" aria-pressed={amount === to} onClick={() => setAmount(to)}>
            {name} <span class="size-amount">{chips(to)}</span>
          </button>
        ))}
      </div>
      <input
        type="range"
        class="slider"
        aria-label={`${action} to`}
        min={min}
        max={max}
        value={amount}
        onInput={(event) => setAmount(event.currentTarget.valueAsNumber)}
      />
      <input
        id={amountFieldId}
        type="number"
        class="amount"
        aria-label={`${action} to, from ${min} to ${max}`}
        aria-keyshortcuts="r"
        min={min}
        max={max}
        step={1}
        value={Number.isNaN(amount) ? '' : amount}
        onInput={(event) => setAmount(event.currentTarget.valueAsNumber)}
      />
      <button type="submit" class="action raise-button" disabled={isOff || !isLegal}>
        {amount === max ? 'All in' : action === 'Bet' ? 'Bet' : 'Raise to'} {isLegal ? chips(amount) : ''}{' '}
        <kbd aria-hidden="true">R</kbd>
      </button>
    </form>
  )
}
