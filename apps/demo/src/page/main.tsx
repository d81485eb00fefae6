import { render } from 'preact'
import { App } from './components/app.tsx'
import { fetchUsers } from './demo-api.ts'

const root = document.querySelector('#page')
if (root)
  fetchUsers().then(
    (users) => {
      root.replaceChildren()
      render(<App users={users} />, root)
    },
    (error: unknown) => {
      root.textContent = `The demo platform does not answer: ${error instanceof Error ? error.message : String(error)}`
    },
  )
