import type { JSX } from 'preact'
import { cardName } from '../card-names.ts'
import type { LegalActions } from '../legal-actions.ts'
import { chips } from '../names.ts'
import type { PageState } from '../page-state.ts'

interface AnnouncerProps {
  readonly page: PageState
  readonly legal: LegalActions | null
}

/** Says to a screen reader what others see: events politely, one's own turn at once. */
export function Announcer({ page, legal }: AnnouncerProps): JSX.Element {
  const cards = page.table?.holeCards
  const isMine = cards !== undefined && cards.handId === page.table?.state?.hand?.handId
  return (
    <div class="for-ears">
      <p aria-live="polite" aria-atomic="true">
        {page.story
          .slice(-3)
          .map(({ text }) => text)
          .join(' ')}
      </p>
      <p aria-live="polite" aria-atomic="true">
        {isMine && `You hold ${cards.cards.map(cardName).join(' and ')}.`}
      </p>
      <p aria-live="assertive" aria-atomic="true">
        {legal && sayLegal(legal)}
      </p>
    </div>
  )
}

function sayLegal({ canCheck, call, raise }: LegalActions): string {
  const choices = [
    canCheck ? 'check' : `call ${chips(call ?? 0)}`,
    'fold',
    ...(raise ? [`${raise.action.toLowerCase()} from ${chips(raise.min)} to ${chips(raise.max)}`] : []),
  ]
  return `Your turn: ${choices.join(', ')}.`
}
