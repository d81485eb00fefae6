import { startRedis } from '@gw/testing'
import { expect, test } from 'vitest'
import { createRedisClients } from '../src/redis.ts'

test('a Redis that hangs is given up, and found again when it answers', async () => {
  await using redis = await startRedis()
  const changes: string[] = []
  let onChange = (): void => {}
  const next = (): Promise<void> => new Promise((resolve) => (onChange = resolve))
  const ready = next()
  const clients = createRedisClients({
    url: redis.url,
    mode: 'single',
    masterName: 'mymaster',
    timeoutMs: 200,
    onChange(state) {
      changes.push(state)
      onChange()
    },
  })
  try {
    await ready
    const given = next()
    await redis.kill('SIGSTOP')
    await expect(clients.commands.ping()).rejects.toThrow('Command timed out')
    expect(clients.isUp()).toBe(true)
    await given
    expect(clients.isUp()).toBe(false)
    const found = next()
    await redis.kill('SIGCONT')
    await found
    expect(clients.isUp()).toBe(true)
    expect(await clients.commands.ping()).toBe('PONG')
    expect(changes).toEqual(['up', 'down', 'up'])
  } finally {
    await redis.kill('SIGCONT')
    clients.close()
  }
})
