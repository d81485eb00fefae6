import { type Browser, chromium } from 'playwright-core'
import { findChromium } from './chromium-binary.ts'

export { findChromium } from './chromium-binary.ts'
export type { Browser, BrowserContext, Page } from 'playwright-core'

const args: readonly string[] = [
  // Containers rarely allow its sandbox, and the pages are ours.
  '--no-sandbox',
  // Their /dev/shm is often 64 MB.
  '--disable-dev-shm-usage',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export interface TestBrowserOptions {
  /** How long the browser itself may take to start, in ms. Default 60 000. */
  readonly startTimeoutMs?: number
}

/**
 * Starts a headless Chromium: playwright-core's `Browser`, one context per user. `await using` closes it. The first time
 * on a bare Debian it is installed (see `findChromium`): give the hook that calls this minutes, not seconds.
 */
export async function startBrowser(options: TestBrowserOptions = {}): Promise<Browser> {
  const { startTimeoutMs = 60_000 } = options
  const executablePath = await findChromium()
  return chromium.launch({ executablePath, args: [...args], headless: true, timeout: startTimeoutMs })
}
