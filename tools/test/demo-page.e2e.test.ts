/** The demo's page as `npm start` serves it, in a real browser, with the real gateway and a network that breaks. */
import { createLink } from '@gw/testing'
import { type Browser, type Page, startBrowser } from '@gw/testing/browser'
import axe, { type AxeResults } from 'axe-core'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { ports, start, type Started } from './harness/started.ts'

/** A message of a channel as the page got it from the SDK. */
interface Received {
  readonly channel: string
  readonly epoch: string
  readonly seq: number
  readonly type: string
}

interface Count {
  readonly epoch: string
  readonly seq: number
  readonly recovered: number
  readonly lost: number
  readonly doubled: number
}

/** No bound of speed: what does not happen in it does not happen. */
const patience = 60_000
let started: Started
let browser: Browser

beforeAll(async () => {
  started = start({ ...(await ports()), HAND_START_DELAY_MS: '100', NEXT_HAND_DELAY_MS: '600000' })
  ;[browser] = await Promise.all([startBrowser(), started.says('Ctrl-C stops everything')])
  // On a bare machine the browser is installed first.
}, 300_000)

afterAll(async () => {
  await browser?.close()
  await started?.[Symbol.asyncDispose]()
})

/** A browser of its own, as another person's. What goes wrong in the page fails the test. */
async function visit(url: string, options: { readonly phone?: boolean } = {}) {
  const context = await browser.newContext({
    viewport: options.phone ? { width: 390, height: 844 } : { width: 1440, height: 900 },
    reducedMotion: 'reduce',
  })
  context.setDefaultTimeout(patience)
  const page = await context.newPage()
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(url)
  return { page, errors, [Symbol.asyncDispose]: async () => context.close() }
}

async function received(page: Page, channel: string): Promise<readonly Received[]> {
  const all = await page.evaluate<readonly Received[]>('gatewayDemo.received()')
  return all.filter((message) => message.channel === channel)
}

async function counts(page: Page): Promise<Readonly<Record<string, Count>>> {
  return page.evaluate<Record<string, Count>>('gatewayDemo.channels()')
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('.line-text', { hasText: text }).waitFor()
}

/** What axe finds wrong with the page as it stands: names, contrast, landmarks, focus and so on. */
async function barriers(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join(', ')}`)
}

/** The turn that a page offers to play, by its number in the hand. */
async function turnOf(page: Page): Promise<string | null> {
  const bar = page.locator('.actions[data-turn]')
  return (await bar.count()) === 0 ? null : bar.getAttribute('data-turn')
}

/** Whoever's turn it is checks or calls, until everyone sees the selector. */
async function playUntil(players: readonly Page[], selector: string): Promise<void> {
  const isThere = async (): Promise<boolean> => {
    const found = await Promise.all(players.map(async (page) => page.locator(selector).count()))
    return found.every((number) => number > 0)
  }
  for (;;) {
    const next = await vi.waitUntil(
      async () => {
        if (await isThere()) return 'done'
        for (const page of players) {
          const turn = await turnOf(page)
          if (turn !== null) return { page, turn }
        }
        return undefined
      },
      { timeout: patience, interval: 50 },
    )
    if (next === 'done') return
    const { page, turn } = next
    await page.getByRole('button', { name: /^(?:Check|Call)/ }).click()
    await page.locator(`.actions[data-turn="${turn}"]`).waitFor({ state: 'detached' })
  }
}

/** Waits until both have the same positions in these channels, and gives what each got since the later one came. */
async function settled(channels: readonly string[], pages: readonly [Page, Page]) {
  await expect
    .poll(
      async () => {
        const [a, b] = await Promise.all(pages.map(counts))
        return channels.every((name) => a?.[name] !== undefined && a[name].seq === b?.[name]?.seq)
      },
      { timeout: patience },
    )
    .toBe(true)
  return Promise.all(
    channels.map(async (name) => {
      const [a = [], b = []] = await Promise.all(pages.map(async (page) => received(page, name)))
      const from = Math.max(a[0]?.seq ?? 0, b[0]?.seq ?? 0)
      return [a, b].map((list) => list.filter(({ seq }) => seq >= from))
    }),
  )
}

test(
  'two browsers play a hand; one loses its link in the middle, comes back and has the same, once and in order',
  { timeout: 180_000 },
  async () => {
    await using link = await createLink({ target: started.url })
    await using alice = await visit(`${started.url}/demo`)
    await alice.page.getByRole('button', { name: 'Alice' }).click()
    await alice.page.getByRole('button', { name: 'New table' }).click()
    await alice.page.getByRole('heading', { name: "Alice's table" }).waitFor()
    await alice.page.waitForURL(/#alice\/./)
    const tableId = new URL(alice.page.url()).hash.split('/')[1] ?? ''
    await using bob = await visit(new URL(`/demo#bob/${tableId}`, link.url).href)
    const players = [alice.page, bob.page] as const
    await alice.page.getByRole('button', { name: 'Sit down at seat 1' }).click()
    await bob.page.getByRole('button', { name: 'Sit down at seat 3' }).click()
    await playUntil(players, '.board-cards .face:nth-child(3)')
    for (const page of players) expect(await barriers(page)).toEqual([])
    for (const page of players) {
      // One's own two cards, and the other's backs.
      expect(await page.locator('.seat[data-mine] .card.face').count()).toBe(2)
      expect(await page.locator('.seat:not([data-mine]) .card.back').count()).toBe(2)
    }

    link.cut()
    await bob.page.locator('.link-pill[data-state=waiting]').waitFor()
    // Meanwhile: three lines in the chat, and a third player at the table.
    for (const text of ['one', 'two', 'three']) await say(alice.page, text)
    await alice.page.getByRole('button', { name: 'Add a robot' }).click()
    await alice.page.locator('.seat[data-user=carol]').waitFor()
    expect(await bob.page.locator('.line-text').count()).toBe(0)
    expect(await bob.page.locator('.seat[data-user=carol]').count()).toBe(0)
    link.restore()
    await bob.page.locator('.link-pill[data-state=open]').waitFor()
    await playUntil(players, '.seat[data-won]')
    const boards = players.map(async (page) =>
      page.locator('.board-cards .face').evaluateAll((cards) => cards.map((card) => card.ariaLabel)),
    )
    const [board, same] = await Promise.all(boards)
    expect(board).toHaveLength(5)
    expect(same).toEqual(board)
    await say(bob.page, 'back again')

    const channels = [`table:${tableId}`, `chat:${tableId}`]
    for (const [inAlice = [], inBob = []] of await settled(channels, players)) {
      expect(inBob).toEqual(inAlice)
      const [first] = inBob
      expect(inBob.length).toBeGreaterThan(3)
      expect(inBob.map(({ epoch, seq }) => [epoch, seq])).toEqual(
        inBob.map((_, at) => [first?.epoch, (first?.seq ?? 0) + at]),
      )
    }
    const [ofAlice = {}, ofBob = {}] = await Promise.all(players.map(counts))
    for (const name of channels) {
      expect(ofBob[name]).toMatchObject({ epoch: ofAlice[name]?.epoch, seq: ofAlice[name]?.seq })
      expect(ofBob[name]?.recovered).toBeGreaterThan(0)
      for (const count of [ofAlice[name], ofBob[name]]) expect(count).toMatchObject({ lost: 0, doubled: 0 })
    }
    expect(ofBob[`chat:${tableId}`]?.recovered).toBe(3)
    for (const page of players)
      expect(await page.locator('.line-text').allInnerTexts()).toEqual(['one', 'two', 'three', 'back again'])
    expect(Number(await bob.page.locator('#reconnects').innerText())).toBeGreaterThan(0)

    // A robot that is sent home stays there.
    await alice.page.getByRole('button', { name: 'Robots out' }).click()
    await alice.page.locator('.people-list [data-user=carol][data-status=offline]').waitFor()
    expect(await alice.page.locator('.seat[data-user=carol]').count()).toBe(0)
    expect([...alice.errors, ...bob.errors]).toEqual([])
  },
)

test(
  'by keyboard alone, on a phone: in, to a table, and through a crash test that loses and doubles nothing',
  { timeout: 180_000 },
  async () => {
    await using carol = await visit(`${started.url}/demo`, { phone: true })
    const { page } = carol
    const tabTo = async (name: string | RegExp): Promise<void> => {
      const target = page.getByRole('button', { name })
      await target.waitFor()
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press('Tab')
        if (await target.evaluate((element) => element === element.ownerDocument.activeElement)) {
          // What has the focus shows it.
          expect(await target.evaluate((element) => element.matches(':focus-visible'))).toBe(true)
          return
        }
      }
      throw new Error(`The keyboard does not reach ${name}`)
    }
    expect(await barriers(page)).toEqual([])
    await tabTo('Carol')
    await page.keyboard.press('Enter')
    await tabTo(/Main Table/)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Main Table' }).waitFor()
    await page.keyboard.press('/')
    const field = page.getByLabel('Message', { exact: true })
    await field.waitFor()
    await expect
      .poll(async () => field.evaluate((element) => element === element.ownerDocument.activeElement))
      .toBe(true)
    await page.keyboard.type('typed, with c and f in it')
    await page.keyboard.press('Enter')
    await page.locator('.line-text', { hasText: 'typed' }).waitFor()

    await tabTo('Link')
    await page.keyboard.press('Enter')
    await tabTo('Run the crash test')
    await page.keyboard.press('Enter')
    await page.locator('.report[data-done]').waitFor()
    expect(await page.locator('.report').innerText()).toMatch(
      /12 sent, 12 accepted, 6 cuts, 12 came back\s+0 lost\s+0 doubled/,
    )
    // Nothing sticks out at the side.
    for (const tab of ['Lobby', 'Table', 'Chat', 'Link']) {
      await page.getByRole('navigation').getByRole('button', { name: tab }).click()
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
      expect(await barriers(page)).toEqual([])
    }
    expect(carol.errors).toEqual([])
  },
)
