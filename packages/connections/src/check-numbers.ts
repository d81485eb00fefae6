import { ConnectionsError } from './connections-error.ts'

/** The longest time that Node's timers take, in ms: a longer one, like one that is no number, is over after 1 ms. */
export const maxTimerMs = 2_147_483_647

/** Bounds for named numbers. */
export interface NumberBounds {
  /** Default: more than 0. */
  readonly least?: number
  /** Default no bound. */
  readonly most?: number
  /** Whole numbers only, as Redis takes them. */
  readonly isWhole?: boolean
}

/** Throws `invalid` for the first of the named options that is not within the bounds; `undefined` stands for a default. */
export function checkNumbers(
  options: Readonly<Record<string, number | undefined>>,
  { least, most = Infinity, isWhole = false }: NumberBounds = {},
): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue
    const isEnough = least === undefined ? value > 0 : value >= least
    if (isEnough && value <= most && (!isWhole || Number.isSafeInteger(value))) continue
    const range = `${least === undefined ? 'more than 0' : `at least ${least}`}${most === Infinity ? '' : ` and at most ${most}`}`
    throw new ConnectionsError('invalid', `${name} must be ${isWhole ? 'whole, ' : ''}${range}`)
  }
}
