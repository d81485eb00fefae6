/** What the first process and its workers tell each other over IPC. Both sides are of one version: they start together. */
import type { MetricsSnapshot } from '@gw/observability/metrics'
import type { GatewayPorts } from '../server.ts'

export type ToWorker =
  | { readonly type: 'stop'; readonly signal: string }
  | { readonly type: 'metrics'; readonly askId: number }

export type FromWorker =
  /** From now on it hears what it is told. */
  | { readonly type: 'joined' }
  | { readonly type: 'started'; readonly ports: GatewayPorts }
  | { readonly type: 'metrics'; readonly askId: number; readonly snapshot: MetricsSnapshot }

const types: Readonly<Record<string, true>> = { stop: true, joined: true, started: true, metrics: true }

/** Other libraries may use the same IPC channel: theirs is not ours. */
export function isWorkerMessage(message: unknown): message is ToWorker | FromWorker {
  return (
    typeof message === 'object' &&
    message !== null &&
    'type' in message &&
    typeof message.type === 'string' &&
    Object.hasOwn(types, message.type)
  )
}
