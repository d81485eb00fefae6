import { createServer } from 'node:http'
import { once } from 'node:events'
import { WebSocketServer } from 'ws'
import { expect, test } from 'vitest'
import { findChromium, startBrowser } from '../src/browser.ts'

// On a bare machine the browser is installed first.
const firstTimeMs = 300_000

test('a page of ours loads, opens a WebSocket and answers by it', { timeout: firstTimeMs }, async () => {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html')
    response.end(
      '<title>ours</title><script>new WebSocket(`ws://${location.host}`).onopen = (e) => e.target.send("hi")</script>',
    )
  })
  const sockets = new WebSocketServer({ server })
  const heard = new Promise<string>((resolve) => {
    sockets.once('connection', (socket) => socket.once('message', (data: Buffer) => resolve(data.toString())))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await using browser = await startBrowser()
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${port}/`)
  expect(await page.title()).toBe('ours')
  expect(await heard).toBe('hi')
  sockets.close()
  server.close()
})

test('a CHROMIUM_PATH that does not start is refused in one sentence', async () => {
  await expect(findChromium({ CHROMIUM_PATH: '/bin/false' })).rejects.toThrow(
    'CHROMIUM_PATH names /bin/false, which does not start: correct it or unset it.',
  )
})
