import { AuthError } from './auth-error.ts'

/** The longest time that Node's timers take, in ms: a longer one, like one that is no number, is over after 1 ms. */
export const maxTimerMs = 2_147_483_647

/** Throws `bad_option` for the first of the named numbers that is not finite or not within the bounds. */
export function checkNumbers(
  values: Readonly<Record<string, number>>,
  { least, most = Number.MAX_VALUE }: { readonly least: number; readonly most?: number },
): void {
  const range = `at least ${least}${most === Number.MAX_VALUE ? '' : ` and at most ${most}`}`
  for (const [name, value] of Object.entries(values))
    if (!(value >= least && value <= most))
      throw new AuthError('bad_option', `${name} must be a number of ${range}`)
}
