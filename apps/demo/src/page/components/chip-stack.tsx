import type { JSX } from 'preact'
import { chips } from '../names.ts'

const values = [1000, 500, 100, 25, 5, 1] as const
const maxDrawn = 6

interface ChipStackProps {
  readonly amount: number
  readonly label: string
}

/** An amount as a stack of chips, the big ones below, with the figure beside it. */
export function ChipStack({ amount, label }: ChipStackProps): JSX.Element {
  return (
    <span class="chips" role="img" aria-label={`${label}: ${chips(amount)}`}>
      <span class="chip-stack" aria-hidden="true">
        {stackOf(amount).map((value, at) => (
          <span key={at} class="chip" data-value={value} style={{ '--at': String(at) }} />
        ))}
      </span>
      <span class="chip-amount" aria-hidden="true">
        {chips(amount)}
      </span>
    </span>
  )
}

/** The fewest chips that make the amount, at most six of them drawn. */
function stackOf(amount: number): readonly number[] {
  const stack: number[] = []
  let rest = amount
  for (const value of values)
    for (; rest >= value && stack.length < maxDrawn; rest -= value) stack.push(value)
  return stack
}
