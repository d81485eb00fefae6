/** One measurement: so many receivers in so many rooms, so many messages a second, one server. */
import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { startProcess } from '../lib/dev-process.ts'
import type { Contestant, ContestantName, Ground } from './contestants.ts'
import { receive, type Received } from './receivers.ts'

export interface Trial {
  readonly name: string
  readonly about: string
  readonly contestants: readonly ContestantName[]
  readonly receivers: number
  readonly rooms: number
  /** Messages a second in all rooms. */
  readonly rate: number
  /** Time without messages before the memory is read; 0: it is not. */
  readonly idleSeconds: number
}

export interface Measured extends Received {
  /** Resident memory that one connection adds, in kB, if it was asked for. */
  readonly idleKb: number | undefined
}

const messageBytes = 200
/** Until a server's code is compiled for what it does here. */
const warmUpSeconds = 6

/** Resident memory of a process in kB. */
function residentKb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
}

/** Runs a trial once against a server that runs. */
export async function measure(
  trial: Trial,
  contestant: Contestant,
  { ground, seconds }: { readonly ground: Ground; readonly seconds: number },
): Promise<Measured> {
  const { receivers, rooms, rate, idleSeconds } = trial
  const { name, pid, hasTokens, answers } = contestant
  const script = contestant.script(rooms)
  const emptyKb = residentKb(pid)
  let idleKb: number | undefined
  let publishing: Promise<ReturnType<typeof startProcess>> | undefined
  const publish = async (): Promise<ReturnType<typeof startProcess>> => {
    if (idleSeconds > 0) {
      await pause(idleSeconds * 1000)
      idleKb = (residentKb(pid) - emptyKb) / receivers
    }
    return startProcess({
      name: 'publisher',
      entry: 'tools/fan-out/publisher.ts',
      env: {
        PATH: process.env['PATH'],
        FAN_OUT_TO: contestant.publishTo,
        FAN_OUT_RATE: `${rate}`,
        FAN_OUT_ROOMS: `${rooms}`,
        FAN_OUT_BYTES: `${messageBytes}`,
      },
      onLine: (line) => console.error(`publisher: ${line}`),
    })
  }
  try {
    const received = await receive({
      program: ground.wsload,
      url: contestant.url(rooms),
      count: receivers,
      pid,
      ...(script.length > 0 && { script: ground.writeFile(`${name}-${rooms}.script`, script) }),
      ...(hasTokens && { tokens: ground.tokens }),
      ...(answers && { answers }),
      warmUpSeconds: idleSeconds + warmUpSeconds,
      seconds,
      onReady() {
        publishing = publish()
      },
    })
    return { ...received, idleKb }
  } finally {
    await (await publishing)?.stop(1000)
  }
}
