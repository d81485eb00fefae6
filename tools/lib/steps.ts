/** One check: its name, what must have succeeded before, and the work. */
export interface Step {
  readonly name: string
  readonly after?: readonly string[]
  /** Resolves with the problems found, each one or more lines; none means passed. */
  readonly check: () => Promise<readonly string[]>
}

export interface StepResult {
  readonly name: string
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly durationMs: number
  readonly problems: readonly string[]
}

export interface RunStepsOptions {
  /** How many run at once. */
  readonly limit: number
  /** Called as each step ends. */
  readonly onResult: (result: StepResult) => void
  /** Milliseconds, monotonic. Default `performance.now`. */
  readonly now?: () => number
}

/**
 * Runs the steps in their order, several at once, each as soon as those it comes after have passed; after one that
 * failed it is skipped. A step that throws has failed. Throws when a step waits for one that is not there.
 */
export async function runSteps(
  steps: readonly Step[],
  options: RunStepsOptions,
): Promise<readonly StepResult[]> {
  const { limit, onResult, now = () => performance.now() } = options
  const names = new Set(steps.map((step) => step.name))
  for (const step of steps)
    for (const name of step.after ?? [])
      if (!names.has(name)) throw new Error(`${step.name} waits for ${name}, which does not exist`)

  const waiting = [...steps]
  const running = new Set<Promise<void>>()
  const results = new Map<string, StepResult>()
  const finish = (result: StepResult): void => {
    results.set(result.name, result)
    onResult(result)
  }
  const start = async (step: Step): Promise<void> => {
    const began = now()
    const problems = await attempt(step)
    const status = problems.length === 0 ? 'passed' : 'failed'
    finish({ name: step.name, status, problems, durationMs: now() - began })
  }

  while (waiting.length > 0 || running.size > 0) {
    const next = waiting.findIndex((step) => (step.after ?? []).every((name) => results.has(name)))
    const step = running.size < limit && next >= 0 ? waiting.splice(next, 1)[0] : undefined
    if (step === undefined) {
      if (running.size === 0)
        throw new Error(`${waiting.map(({ name }) => name).join(', ')} wait for each other`)
      await Promise.race(running)
      continue
    }
    const blocker = (step.after ?? []).find((name) => results.get(name)?.status !== 'passed')
    if (blocker !== undefined) {
      finish({ name: step.name, status: 'skipped', problems: [`needs ${blocker}`], durationMs: 0 })
      continue
    }
    const work: Promise<void> = start(step).finally(() => running.delete(work))
    running.add(work)
  }
  return steps.flatMap(({ name }) => results.get(name) ?? [])
}

async function attempt(step: Step): Promise<readonly string[]> {
  try {
    return await step.check()
  } catch (error) {
    return [error instanceof Error ? (error.stack ?? error.message) : String(error)]
  }
}
