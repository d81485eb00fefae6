/** How long a request may take in all: every backend call made for it ends within what is left. */
import type { IncomingMessage } from 'node:http'

/** A client in a hurry says so in ms; it can shorten its time, never lengthen it. */
const header = 'x-request-timeout-ms'

/** The time a request has: `mostMs`, or less where the client asks for less. Anything but 1 to 7 digits is ignored. */
export function requestBudgetMs({ headers }: Pick<IncomingMessage, 'headers'>, mostMs: number): number {
  const asked = headers[header]
  if (typeof asked !== 'string' || !/^[1-9]\d{0,6}$/.test(asked)) return mostMs
  return Math.min(mostMs, Number(asked))
}
