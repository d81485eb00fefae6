import type { Client } from '@gw/client'
import { chatChannel } from '@gw/protocol'
import type { CuttableLink } from './cuttable-link.ts'
import { freshKey } from './fresh-key.ts'

/** How a crash test stands. Lost and doubled are final when `isDone`. */
export interface CrashReport {
  readonly sent: number
  readonly planned: number
  /** Lines that the server said it has. */
  readonly accepted: number
  /** Lines that the server refused, or did not answer in time. */
  readonly refused: number
  readonly cuts: number
  /** Accepted lines that came back through the channel, each counted once. */
  readonly seen: number
  readonly lost: number
  readonly doubled: number
  readonly isDone: boolean
}

export interface CrashTestOptions {
  readonly client: Client
  readonly link: CuttableLink
  readonly tableId: string
  readonly onReport: (report: CrashReport) => void
  /** In all, two for each cut. Default 12. */
  readonly lines?: number
}

/** For an answer, a connection, and for the last line to come back. */
const patienceMs = 60_000

/** What begins the lines of a crash test, for who would rather not read them. */
export const crashPrefix = 'crash test '

/**
 * Says lines in the table's chat and cuts the link under them, again and again: some are cut before they reach the
 * server, some before the answer comes. In the end every accepted line must have come back exactly once.
 */
export async function runCrashTest(options: CrashTestOptions): Promise<CrashReport> {
  const { client, link, tableId, onReport, lines = 12 } = options
  const run = freshKey().slice(0, 4)
  const timesSeen = new Map<string, number>()
  const accepted = new Set<string>()
  let report: CrashReport = {
    sent: 0,
    planned: lines,
    accepted: 0,
    refused: 0,
    cuts: 0,
    seen: 0,
    lost: 0,
    doubled: 0,
    isDone: false,
  }
  const tell = (change: Partial<CrashReport>): void => {
    const counts = [...timesSeen.values()]
    report = {
      ...report,
      seen: counts.length,
      doubled: counts.reduce((sum, times) => sum + times - 1, 0),
      ...change,
    }
    onReport(report)
  }
  const off = client.on('ChatMessage', ({ channel, message }) => {
    if (channel !== chatChannel(tableId) || !message.text.startsWith(`${crashPrefix}${run} `)) return
    timesSeen.set(message.text, (timesSeen.get(message.text) ?? 0) + 1)
    tell({})
  })
  const say = async (number: number): Promise<void> => {
    const text = `${crashPrefix}${run} ${number}/${lines}`
    tell({ sent: report.sent + 1 })
    const answer = await client.request({ type: 'ChatSend', tableId, message: text }, patienceMs)
    if (answer.ok) accepted.add(text)
    tell({ accepted: accepted.size, refused: report.refused + (answer.ok ? 0 : 1) })
  }
  try {
    const answers: Promise<void>[] = []
    for (let number = 1; number <= lines; number += 2) {
      answers.push(say(number))
      // The second one is on its way, or just about to be, when the link goes.
      answers.push(say(number + 1))
      await pause(Math.random() * 12)
      link.hold()
      tell({ cuts: report.cuts + 1 })
      await pause(80 + Math.random() * 250)
      link.restore()
      client.reconnect()
      await opened(client)
    }
    await Promise.all(answers)
    await until(() => [...accepted].every((text) => timesSeen.has(text)), patienceMs)
    tell({ lost: [...accepted].filter((text) => !timesSeen.has(text)).length, isDone: true })
    return report
  } finally {
    link.restore()
    off()
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms))
}

/** Resolves when the client is connected, or after the time is over. */
async function opened(client: Client): Promise<void> {
  await until(() => client.state === 'open', patienceMs)
}

async function until(done: () => boolean, timeoutMs: number): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!done() && Date.now() < deadline) await pause(25)
}
