/** Prints the size of the SDK in a browser: `pnpm --filter @gw/client size`. */
import { measureSize } from './measure-size.ts'

const { minified, gzip, brotli } = await measureSize()
console.log(`minified ${minified} B, gzip ${gzip} B, brotli ${brotli} B`)
