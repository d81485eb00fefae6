/** Debian's package manager, for what a bare machine lacks. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'

const aptGet = '/usr/bin/apt-get'

/** Whether this process may install packages here: Debian, as root. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && existsSync(aptGet)
}

/** Installs the distribution's packages, with apt's progress on stderr. Whether they are there then is for the caller to see. */
export async function aptInstall(packages: readonly string[]): Promise<void> {
  // Another apt on the machine may hold dpkg's lock for a while.
  const options = ['-q', '-y', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120']
  if (await apt(['install', ...options, ...packages])) return
  // A fresh machine has no package lists.
  await apt(['update', '-q'])
  await apt(['install', ...options, ...packages])
}

async function apt(args: readonly string[]): Promise<boolean> {
  const child = spawn(aptGet, args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  const [code] = await Promise.race([once(child, 'close'), once(child, 'error').then(() => [1])])
  return code === 0
}
