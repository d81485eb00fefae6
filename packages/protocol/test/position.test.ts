import { describe, expect, test } from 'vitest'
import {
  allChannel,
  chatChannel,
  lobbyChannel,
  parseChannel,
  presenceChannel,
  tableChannel,
  userChannel,
} from '@gw/protocol'

describe('channel names', () => {
  test('come apart as they were put together, also around a colon', () => {
    expect(parseChannel(tableChannel('T:1'))).toEqual({ kind: 'table', id: 'T:1' })
    expect(parseChannel(chatChannel('T1'))).toEqual({ kind: 'chat', id: 'T1' })
    expect(parseChannel(userChannel('auth0|7'))).toEqual({ kind: 'user', id: 'auth0|7' })
    expect(parseChannel(presenceChannel('u'))).toEqual({ kind: 'presence', id: 'u' })
    expect(parseChannel(lobbyChannel)).toEqual({ kind: 'lobby', id: '' })
    expect(parseChannel(allChannel)).toEqual({ kind: 'all', id: '' })
  })

  test.each(['', ':', 'table', 'table:', ':T1', 'lobby:1', 'all:1', 'constructor:x', 'Table:T1'])(
    'refuses %j',
    (name) => {
      expect(parseChannel(name)).toBeUndefined()
    },
  )
})
