/** Closed lists of label values, for what comes from outside. */
import { boundedLabel } from '@gw/observability/metrics'
import { closeCodes } from '@gw/protocol'
import { clientSchemas } from '@gw/protocol/schemas'

const kinds: ReadonlySet<string> = new Set(['table', 'chat', 'lobby', 'user', 'all', 'presence', 'typing'])
const clientTypes: ReadonlySet<string> = new Set([...Object.keys(clientSchemas), 'invalid'])
const codes: ReadonlySet<string> = new Set([
  '1000',
  '1001',
  '1005',
  '1006',
  ...Object.values(closeCodes).map(({ code }) => String(code)),
])

/** The part of a channel's name before the first `:`. */
export function kindLabel(channel: string): string {
  const end = channel.indexOf(':')
  return boundedLabel(end === -1 ? channel : channel.slice(0, end), kinds)
}

/** The type of a client's message. */
export function clientTypeLabel(type: string): string {
  return boundedLabel(type, clientTypes)
}

/** A close code; clients may choose theirs freely. */
export function closeCodeLabel(code: number): string {
  return boundedLabel(String(code), codes)
}
