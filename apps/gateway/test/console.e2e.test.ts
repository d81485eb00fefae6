/** The console in a real browser, against two gateways with players on them. */
import { createLink, startRedis } from '@gw/testing'
import { startBrowser } from '@gw/testing/browser'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startFleet } from './harness/fleet.ts'
import { connectPlayer } from './harness/player.ts'

type Browser = Awaited<ReturnType<typeof startBrowser>>
type Page = Awaited<ReturnType<Browser['newPage']>>

// Only something that hangs takes so long.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 180_000 })

const token = 'console-only-for-tests-0123456789-abcdef'
const redis = await startRedis()
const link = await createLink({ target: redis.url })
const fleet = await startFleet({
  redis,
  gateways: [{ INSTANCE_ID: 'one', REDIS_URL: link.url }, { INSTANCE_ID: 'two' }],
  env: { ADMIN_TOKEN: token },
})
const {
  gateways: [one, two],
} = fleet
let browser: Browser

beforeAll(async () => {
  browser = await startBrowser()
}, 300_000)

afterAll(async () => {
  await browser?.close()
  await fleet[Symbol.asyncDispose]()
  await link.close()
  redis.stop()
})

interface OpenPage extends AsyncDisposable {
  readonly page: Page
  /** What the page complained about. */
  readonly complaints: readonly string[]
}

async function openConsole(hash = '', size = { width: 1280, height: 800 }): Promise<OpenPage> {
  const context = await browser.newContext({ viewport: size })
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    // The refused login is in a test of its own.
    if (message.type() === 'error' && !message.text().includes('401')) complaints.push(message.text())
  })
  await page.goto(`${one.adminUrl}/${hash}`)
  await page.getByLabel('Admin token').fill(token)
  await page.getByLabel('Your name').fill('oona')
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByRole('navigation').waitFor()
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() }
}

test('a wrong token opens nothing; the right one shows both instances and what they depend on', async () => {
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(one.adminUrl)
  await page.getByLabel('Admin token').fill('x'.repeat(40))
  await page.keyboard.press('Enter')
  await page.getByText('Missing or wrong admin token').waitFor()
  expect(await page.getByRole('navigation').isVisible()).toBe(false)
  await context.close()

  await using opened = await openConsole()
  const overview = opened.page
  await overview.getByText('2 of 2 ready').waitFor()
  for (const name of ['one', 'two']) {
    const card = overview.getByRole('article', { name })
    for (const part of ['Redis', 'Pub/sub', 'Keys', 'game', 'player', 'event', 'notify'])
      await card.getByText(part, { exact: false }).first().waitFor()
  }
  expect(opened.complaints).toEqual([])
})

test('connections are counted live, found by user, and kicked only after a confirmation, all by keyboard', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await using player = await connectPlayer(two.wsUrl, 'console-kim')
  await page.locator('[data-tile=sockets]', { hasText: '1' }).waitFor()
  await page.getByRole('link', { name: 'Users' }).focus()
  await page.keyboard.press('Enter')
  await page.getByLabel('User id').fill('console-kim')
  await page.keyboard.press('Enter')
  const row = page.getByRole('row', { name: /two/ })
  await row.waitFor()
  await page.getByRole('button', { name: 'Kick…' }).first().focus()
  await page.keyboard.press('Enter')
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Kick console-kim?').waitFor()
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'hidden' })
  expect(player.socket.ws.readyState).toBe(1)
  await page.getByRole('button', { name: 'Kick…' }).first().press('Enter')
  await dialog.getByRole('button', { name: 'Kick' }).press('Enter')
  expect((await player.socket.closed).code).toBe(1008)
  await page.getByText('1 closed').waitFor()
  await page.getByText('No open connection.').waitFor()
  await using _again = await connectPlayer(two.wsUrl, 'console-kim')
  await row.waitFor()
  expect(one.process.lines).toContainEqual(
    expect.objectContaining({ msg: 'admin_action', action: 'kick_user', operator: 'oona' }),
  )
  expect(opened.complaints).toEqual([])
})

test('a question that is asked in the frame in which another was answered gets its own answer', async () => {
  await using opened = await openConsole('#users?user=console-moe')
  const { page } = opened
  await using player = await connectPlayer(two.wsUrl, 'console-moe')
  await page.getByRole('row', { name: /two/ }).waitFor()
  // In one turn, as the event of a closed dialog only comes with the next frame.
  await page.evaluate(`(async () => {
    const [kick] = [...document.querySelectorAll('button')].filter((one) => one.textContent === 'Kick…')
    kick.click()
    // Behind the microtasks of the click.
    await undefined
    document.querySelector('dialog').close('no')
    kick.click()
  })()`)
  const dialog = page.getByRole('dialog')
  await dialog.getByText('Kick console-moe?').waitFor()
  await dialog.getByRole('button', { name: 'Kick' }).click()
  expect((await player.socket.closed).code).toBe(1008)
  await page.getByText('1 closed').waitFor()
  expect(opened.complaints).toEqual([])
})

test('a user who is looked at again is not drawn anew under the hands of the operator, who came meanwhile', async () => {
  await using opened = await openConsole('#users')
  const { page } = opened
  await using _player = await connectPlayer(two.wsUrl, 'console-may')
  await page.getByLabel('User id').fill('console-may')
  await page.keyboard.press('Enter')
  const kick = page.getByRole('button', { name: 'Kick…' }).first()
  await kick.waitFor()
  const asked = Promise.withResolvers<() => Promise<void>>()
  // The page's next look at the user is held.
  await page.route('**/users/console-may', (route) => asked.resolve(() => route.continue()), { times: 1 })
  const answer = await asked.promise
  await kick.focus()
  const answered = page.waitForResponse('**/users/console-may')
  await answer()
  await (await answered).finished()
  // By the next look at the fleet it is long done with that answer.
  await page.waitForRequest('**/instances')
  expect(await kick.and(page.locator(':focus')).count()).toBe(1)
  expect(opened.complaints).toEqual([])
})

test('the tail of a channel shows that something was said, not what', async () => {
  const tableId = await one.createTable('console-lee')
  await using player = await connectPlayer(one.wsUrl, 'console-lee')
  await player.ask({ type: 'SubscribeTable', tableId })
  await player.ask({ type: 'SubscribeChat', tableId })
  await using opened = await openConsole('#channels')
  const { page } = opened
  await page
    .getByRole('row', { name: `chat:${tableId}` })
    .getByRole('button', { name: 'Tail' })
    .click()
  await page.getByText(/following from/).waitFor()
  await player.ask({ type: 'ChatSend', tableId, message: 'the canary sings' })
  await page.getByText('ChatMessage').waitFor()
  expect(await page.content()).not.toContain('canary')
  expect(opened.complaints).toEqual([])
})

test('an instance is drained and taken back; on a phone nothing is wider than the screen', async () => {
  await using opened = await openConsole('', { width: 390, height: 844 })
  const { page } = opened
  await page.getByRole('article', { name: 'two' }).getByRole('button', { name: 'Drain…' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click()
  await page.getByText('1 of 2 ready').waitFor()
  await page.getByRole('article', { name: 'two' }).getByRole('button', { name: 'Take back' }).click()
  await page.getByText('2 of 2 ready').waitFor()
  for (const section of ['Overview', 'Connections', 'Channels', 'Users', 'Tail']) {
    await page.getByRole('link', { name: section }).click()
    await page.locator('#main > *').first().waitFor()
    const wanted = await page.evaluate<number>('document.documentElement.scrollWidth')
    expect(wanted, section).toBeLessThanOrEqual(390)
  }
  expect(opened.complaints).toEqual([])
})

test('an address that names an instance that is gone shows another one, and locks nobody out', async () => {
  await using opened = await openConsole('#connections?instance=gone&after=7')
  const { page } = opened
  await using _player = await connectPlayer(one.wsUrl, 'console-pat')
  // The token is still there after it.
  await page.reload()
  await page.getByRole('button', { name: 'console-pat' }).waitFor()
  expect(await page.getByLabel('Instance').inputValue()).toBe('one')
  expect(opened.complaints).toEqual([])
})

test('a page that is loaded again while nobody answers keeps the token, and opens', async () => {
  await using opened = await openConsole()
  const { page } = opened
  await page.route('**/api/instances', (route) => route.abort(), { times: 1 })
  await page.reload()
  await page.getByText('no answer').waitFor()
  await page.getByText('2 of 2 ready').waitFor()
})

test('while Redis is away a user’s address says so, locks nobody out, and shows the user when Redis is back', async () => {
  await using opened = await openConsole('#users?user=console-sue')
  const { page } = opened
  await page.getByRole('heading', { name: 'console-sue' }).waitFor()
  link.cut()
  await page.reload()
  await page.getByRole('alert').getByText('(unavailable)').waitFor()
  expect(await page.getByLabel('User id').inputValue()).toBe('console-sue')
  link.restore()
  await page.getByRole('heading', { name: 'console-sue' }).waitFor()
  await page.getByText('2 of 2 ready').waitFor()
})

test('the page loads nothing from elsewhere and runs no inline script', async () => {
  const response = await fetch(one.adminUrl)
  const policy = response.headers.get('content-security-policy') ?? ''
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toContain('unsafe')
  const html = await response.text()
  expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org)/)
  expect(html).not.toMatch(/<script(?![^>]*src=)/)
})
