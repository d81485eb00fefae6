import express, { type Express } from 'express'
import type { CallLog } from './call-log.ts'
import { type Faults, faultSchema } from './faults.ts'

export interface ControlApiOptions {
  readonly calls: CallLog
  readonly faults: Faults
  /** What `GET /state` shows. */
  readonly state: () => unknown
}

/** The test's remote control: set and clear faults, read the calls that the services saw. Serve it on loopback only. */
export function createControlApi({ calls, faults, state }: ControlApiOptions): Express {
  const app = express()
  app.disable('x-powered-by')
  app.use(express.json({ limit: '10kb' }))
  app.get('/health', (_, res) => {
    res.json({ status: 'ok' })
  })
  app.post('/faults', (req, res) => {
    const fault = faultSchema.safeParse(req.body)
    if (!fault.success) {
      const problems = fault.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
      res.status(400).json({ error: 'INVALID_FAULT', problems })
      return
    }
    faults.add(fault.data)
    res.status(201).json(fault.data)
  })
  app.get('/faults', (_, res) => {
    res.json({ faults: faults.list() })
  })
  app.delete('/faults', (_, res) => {
    faults.clear()
    res.sendStatus(204)
  })
  app.get('/calls', (req, res) => {
    const { service, method } = req.query
    res.json({
      calls: calls.list({
        ...(typeof service === 'string' ? { service } : {}),
        ...(typeof method === 'string' ? { method } : {}),
      }),
    })
  })
  app.delete('/calls', (_, res) => {
    calls.clear()
    res.sendStatus(204)
  })
  app.get('/state', (_, res) => {
    res.json(state())
  })
  return app
}
