/** A worker's side of the IPC with the process that started it. */
import cluster from 'node:cluster'
import type { MetricsSnapshot } from '@gw/observability/metrics'
import type { GatewayPorts } from '../server.ts'
import { type FromWorker, isWorkerMessage } from './worker-messages.ts'

export interface WorkerLinkOptions {
  readonly onStop: (signal: string) => void
  readonly snapshot: () => Promise<MetricsSnapshot>
}

export interface WorkerLink {
  started(ports: GatewayPorts): void
}

/** Undefined in a process that is not a worker. Without its parent a worker ends at once: node:cluster sees to that. */
export function joinSupervisor({ onStop, snapshot }: WorkerLinkOptions): WorkerLink | undefined {
  const { worker } = cluster
  if (!worker) return undefined
  const send = (message: FromWorker): void => {
    if (worker.isConnected()) worker.send(message)
  }
  worker.on('message', (message: unknown) => {
    if (!isWorkerMessage(message)) return
    if (message.type === 'stop') onStop(message.signal)
    else if (message.type === 'metrics' && !('snapshot' in message)) {
      const { askId } = message
      snapshot().then(
        (values) => send({ type: 'metrics', askId, snapshot: values }),
        () => {},
      )
    }
  })
  send({ type: 'joined' })
  return { started: (ports) => send({ type: 'started', ports }) }
}
