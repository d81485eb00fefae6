import { type Family, parseExposition } from '@gw/testing'
import type { GatewayProcess } from './platform.ts'

/** One scrape, strictly read. */
export interface Scrape {
  readonly text: string
  readonly families: ReadonlyMap<string, Family>
  /** The sum of the samples of this name that have these labels; undefined when there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
}

/** Scrapes `/metrics` and throws on anything that Prometheus would refuse. */
export async function scrape({ metricsUrl }: Pick<GatewayProcess, 'metricsUrl'>): Promise<Scrape> {
  const text = await (await fetch(metricsUrl)).text()
  const families = parseExposition(text)
  const samples = [...families.values()].flatMap((family) => family.samples)
  return {
    text,
    families,
    value(name, labels = {}) {
      const found = samples.filter(
        (sample) =>
          sample.name === name &&
          Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
      )
      return found.length === 0 ? undefined : found.reduce((sum, sample) => sum + sample.value, 0)
    },
  }
}

/** Scrapes until `isSo`: for what the gateway does a moment after its answer. Throws what `describe` says after 20 s. */
export async function scrapeUntil(
  gateway: Pick<GatewayProcess, 'metricsUrl'>,
  isSo: (scraped: Scrape) => boolean,
  describe: (scraped: Scrape) => unknown,
): Promise<Scrape> {
  const late = Date.now() + 20_000
  for (;;) {
    const scraped = await scrape(gateway)
    if (isSo(scraped)) return scraped
    if (Date.now() > late) throw new Error(`never so: ${JSON.stringify(describe(scraped))}`)
  }
}
