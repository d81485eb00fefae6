/** What today's web client and gateway said to each other: our schemas take it, and refuse what was ignored for its form. */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { parseClientMessage, parseServerMessage } from '@gw/protocol/schemas'
import captured from './captured-messages.json' with { type: 'json' }

const { client, server } = z
  .object({
    client: z.object({
      taken: z.array(z.unknown()),
      ignored: z.array(z.unknown()),
      newSince: z.array(z.unknown()),
    }),
    server: z.record(z.string(), z.array(z.unknown())),
  })
  .parse(captured)

const titled = (messages: readonly unknown[]) =>
  messages.map((message) => [JSON.stringify(message).slice(0, 120), message] as const)

describe('a captured client message', () => {
  test.each(titled([...client.taken, ...client.newSince]))('is taken: %s', (_title, message) => {
    expect(parseClientMessage(message)).toMatchObject({ ok: true })
  })

  test.each(titled(client.ignored))('is refused: %s', (_title, message) => {
    expect(parseClientMessage(message)).toMatchObject({ ok: false })
  })
})

describe('a captured server message', () => {
  test.each(
    Object.entries(server).flatMap(([title, messages]) =>
      messages.map((message) => [title, message] as const),
    ),
  )('is one of ours: %s', (_title, message) => {
    expect(parseServerMessage(message)).toMatchObject({ ok: true })
  })
})
