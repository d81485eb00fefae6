/** What `npm start` and the image run. */
import { startGateway } from './start-gateway.ts'

await startGateway(process.env)
